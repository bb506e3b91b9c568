"""``summary.md``: the verdict for a job summary or a pull request's comment."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from surgeproof.report.accounts import endpoint_results, fault_rows, outcome_share
from surgeproof.report.effects import effect_of
from surgeproof.report.run import Run
from surgeproof.report.sentences import STATUS_ICONS, STATUS_WORDS, findings, headline
from surgeproof.report.trust import client_limited
from surgeproof.report.wording import clip, count_text, plain, seconds_text

__all__ = ["MOST_BYTES", "render_markdown"]

# GitHub refuses comments above 65,536 signs, and drops a summary above its limit whole.
MOST_BYTES = 64_000
_LONGEST_CELL = 160
# What Markdown reads in the middle of a line; our own lines never begin with a name.
_MARKS = re.compile(r"([\\`*_\[\]#|~>])")
_ICONS = {"go": "✅", "nogo": "❌", "none": "⚠️"}


def render_markdown(run: Run) -> str:
    """Return GitHub-flavoured Markdown of at most `MOST_BYTES`, with the least dear parts cut."""
    head = headline(run)
    lines = [f"## {_ICONS[head.tone]} {_words(str(head))}", "", f"`{_code(run.id)}`", ""]
    lines += [f"- {_words(sentence)}" for sentence in findings(run)]
    limited = client_limited(run)
    lines += ["", f"**Client-limited.** {_words(limited)}"] if limited else []
    parts = ["\n".join(lines) + "\n"]
    parts += [part for part in (_reasons(run), *_tables(run)) if part]
    parts.append("The whole report is `report.html` in the run folder.\n")
    return _fit(parts)


def _fit(parts: Sequence[str]) -> str:
    """Join the parts that fit; the first and the last always do."""
    note = "_Some parts were left out: this summary is limited in size._\n"
    room = MOST_BYTES - sum(len(part.encode()) + 1 for part in (parts[0], parts[-1], note))
    kept = []
    for part in parts[1:-1]:
        size = len(part.encode()) + 1
        if size <= room:
            room -= size
            kept.append(part)
    left_out = [note] if len(kept) < len(parts) - 2 else []
    return "\n".join([parts[0], *kept, *left_out, parts[-1]])


def _reasons(run: Run) -> str:
    if run.result is None or not run.result.reasons:
        return ""
    rows = [
        f"- `{_code(reason.code)}` {_words(clip(reason.message, 400))}"
        for reason in run.result.reasons[:40]
    ]
    return "**Why**\n\n" + "\n".join(rows) + "\n"


def _tables(run: Run) -> Iterable[str]:
    result = run.result
    if result is not None:
        yield _table(
            "Gates",
            ("verdict", "gate", "limit", "measured", "margin", "n", "window"),
            [
                (
                    f"{STATUS_ICONS[gate.result.status]} {STATUS_WORDS[gate.result.status]}",
                    gate.name,
                    gate.limit_text,
                    gate.value_text,
                    gate.margin_text,
                    count_text(gate.result.n),
                    gate.where,
                )
                for gate in result.gates
            ],
        )
    yield _table(
        "Faults",
        ("fault", "kind", "edge", "applied", "in force", "removal", "effect", "recovery"),
        [
            (
                fault.name,
                fault.kind,
                fault.edge,
                fault.applied,
                fault.in_force,
                fault.removal,
                fault.effect,
                fault.recovery,
            )
            for fault in fault_rows(run)
        ],
    )
    if result is not None:
        yield _degradation(run)
        arrivals = result.arrivals
        yield _table(
            "Arrivals",
            ("scheduled", "sent", "late", "dropped", "lag p99", "generator"),
            [
                (
                    count_text(arrivals.scheduled),
                    count_text(arrivals.sent),
                    count_text(arrivals.late),
                    count_text(arrivals.dropped),
                    seconds_text(arrivals.lag_p99_s),
                    "healthy"
                    if result.generator is not None and result.generator.healthy
                    else "not reliable",
                )
            ],
        )
    yield _endpoints(run)


def _degradation(run: Run) -> str:
    cells = run.result.degradation if run.result else ()
    rows = []
    for cell in cells:
        effect = effect_of(cell)
        if effect.word not in {"holds", "no data"}:
            what = f"{effect.symbol} {effect.word}"
            rows.append((cell.endpoint, cell.fault, what, effect.change, ", ".join(effect.shares)))
    return _table(
        "What the faults changed", ("endpoint", "fault", "effect", "p99", "answers"), rows
    )


def _endpoints(run: Run) -> str:
    return _table(
        "Endpoints",
        ("endpoint", "tier", "requests", "p50", "p99", "full", "degraded", "shed", "error"),
        [
            (
                endpoint.name,
                endpoint.tier,
                count_text(endpoint.count),
                seconds_text(endpoint.response_time.p50),
                seconds_text(endpoint.response_time.p99),
                *(outcome_share(endpoint, word) for word in ("full", "degraded", "shed", "error")),
            )
            for endpoint in endpoint_results(run)
        ],
    )


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    lines = [
        f"### {title}",
        "",
        _row(heads),
        "|" + " --- |" * len(heads),
        *(_row([_words(clip(cell, _LONGEST_CELL)) for cell in row]) for row in rows),
    ]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _words(text: str) -> str:
    """Return text that Markdown shows as it is: no markup, no mention, no HTML."""
    escaped = _MARKS.sub(r"\\\1", plain(text).replace("&", "&amp;").replace("<", "&lt;"))
    return escaped.replace("@", "&#64;").replace("://", ":&#47;&#47;")


def _code(text: str) -> str:
    return plain(text).replace("`", "'")
