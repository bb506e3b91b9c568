"""The report as one HTML file: everything within it, nothing fetched, nothing executed."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from surgeproof.report.effects import LEGEND
from surgeproof.report.page import build_page
from surgeproof.report.run import Run
from surgeproof.report.sentences import STATUS_ICONS, STATUS_WORDS
from surgeproof.report.wording import count_text, ratio_text
from surgeproof.slo.quantiles import minimum_samples

__all__ = ["render_html"]


def render_html(run: Run) -> str:
    """Return the page; the same run folder gives the same text."""
    environment = Environment(
        loader=PackageLoader("surgeproof.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=False,
    )
    loader = environment.loader
    css = loader.get_source(environment, "report.css")[0] if loader else ""
    return environment.get_template("report.html.j2").render(
        page=build_page(run),
        css=Markup(css),  # noqa: S704 - our own file, no part of the run
        icons=STATUS_ICONS,
        words=STATUS_WORDS,
        effect_legend=LEGEND,
        minimum_samples=minimum_samples,
        count=count_text,
        ratio=ratio_text,
    )
