"""A real Chromium, and pages made of hand-made run folders."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from playwright.sync_api import Browser, sync_playwright

from surgeproof.report.html import render_html
from surgeproof.report.run import read_run

_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


# Not for the session: while it is open, Playwright keeps an event loop running in this thread,
# and tests of other modules could not run their own.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return a headless Chromium of this machine; CI must have one, elsewhere it is a skip."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        reason = "no chromium on PATH; on Debian: apt-get install chromium"
        if os.environ.get("CI", "").lower() in {"1", "true"}:
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=list(_FLAGS))
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def report_pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return reports by what became of the run: nogo, go, killed and empty."""
    made = _made_runs()
    recipes = {
        "nogo": made.Recipe(redis_p99_s=0.62),
        "go": made.Recipe(
            result={"verdict": {"status": "pass", "words": "GO", "reasons": []}, "exit_code": 0}
        ),
        "killed": made.Recipe(is_judged=False, until_s=57.0, has_server_metrics=False),
        "empty": made.Recipe(is_judged=False, rate_per_s=0.0),
    }
    pages = {}
    for name, recipe in recipes.items():
        folder = made.make_run(tmp_path_factory.mktemp(name), recipe)
        pages[name] = folder.write_text("report.html", render_html(read_run(folder)))
    return pages


def _made_runs() -> ModuleType:
    """Load the unit tests' maker of run folders; test folders are no packages to import from."""
    path = Path(__file__).parents[1] / "unit" / "report" / "conftest.py"
    spec = importlib.util.spec_from_file_location("made_runs", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module
