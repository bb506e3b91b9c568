"""The page says whose waiting a number holds, who was busy, and what to change."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from surgeproof.journal.folder import RunFolder
from surgeproof.report.html import render_html
from surgeproof.report.markdown import render_markdown
from surgeproof.report.run import Run, read_run
from surgeproof.report.trust import client_limited, sessions_of, trust_of

Make = Callable[..., RunFolder]


@pytest.fixture
def changed(make: Make) -> Callable[..., Run]:
    """Make a run whose result differs in the parts given; `steps` requests in each session."""

    def build(*, steps: int = 1, **parts: Mapping[str, Any]) -> Run:
        folder = make(steps=steps)
        path = folder.path / "result.json"
        result = json.loads(path.read_text())
        for name, part in parts.items():
            result[name] = {**result[name], **part}
        path.write_text(json.dumps(result))
        return read_run(folder)

    return build


LIMITED = {
    "requests": 1000, "waited": 207, "never_sent": 2, "is_limited": True,
    "wait": {"p50": 0.0, "p95": 0.4, "p99": 1.2, "max": 1.9},
    "response_time": {"p50": 0.1, "p95": 0.6, "p99": 1.5, "max": 2.2},
    "service_time": {"p50": 0.1, "p95": 0.2, "p99": 0.3, "max": 0.4},
}  # fmt: skip


def test_a_client_limited_run_is_marked_at_its_head(changed: Callable[..., Run]) -> None:
    run = changed(generator={"waits": LIMITED})
    said = client_limited(run).replace("\N{NO-BREAK SPACE}", " ")
    assert said.startswith(
        "20.7 % of requests waited in the generator for a connection, up to 1.9 s"
    )
    assert "p99 is 1.5 s with that wait and 300 ms without" in said
    head = render_html(run).partition("<nav")[0]
    assert "Client-limited" in head
    assert "Client-limited" in render_markdown(run)


def test_a_run_that_was_not_limited_bears_no_mark(changed: Callable[..., Run]) -> None:
    run = changed()
    assert client_limited(run) == ""
    assert "Client-limited" not in render_html(run)


def test_response_time_service_time_and_wait_stand_side_by_side(
    changed: Callable[..., Run],
) -> None:
    parts = trust_of(changed(generator={"waits": LIMITED})).parts
    assert [row[3].replace("\N{NO-BREAK SPACE}", " ") for row in parts] == [
        "1.5 s", "300 ms", "1.2 s",
    ]  # fmt: skip


def test_what_to_change_is_said_beside_what_is_wrong(changed: Callable[..., Run]) -> None:
    sick = {"healthy": False, "problems": ["too late"], "advice": ["raise load.connections"]}
    run = changed(generator=sick)
    assert trust_of(run).words == "no: the generator did not keep up"
    assert "raise load.connections" in render_html(run)


def test_every_generator_and_the_target_show_how_busy_they_were(
    changed: Callable[..., Run],
) -> None:
    trust = trust_of(changed())
    facts = dict(trust.generators)
    assert trust.generator_names == ("generator 0", "generator 1")
    assert facts["open files, most of limit"] == ("214 of 1,024",) * 2
    assert facts["garbage collections, longest"][0].startswith("41, 4.2")
    assert "code that blocks the loop" not in facts
    assert trust.target[0] == ("gateway", "0.72", "0.99")


def test_a_target_that_the_run_did_not_start_has_no_known_processors(
    changed: Callable[..., Run],
) -> None:
    run = changed(target={"cpu_ratio": None, "cpu_most_ratio": None, "processes": []})
    assert dict(trust_of(run).facts)["target CPU"] == "not known"
    assert "so their CPU is not known" in render_html(run)


def test_a_result_of_before_there_were_such_fields_still_makes_a_page(
    make: Make,
) -> None:
    folder = make()
    path = Path(folder.path / "result.json")
    result = json.loads(path.read_text())
    for key in ("advice", "waits", "processes"):
        del result["generator"][key]
    del result["target"]
    path.write_text(json.dumps(result))
    run = read_run(folder)
    assert (trust_of(run).parts, trust_of(run).generators, client_limited(run)) == ((), (), "")
    assert "Where the time went" not in render_html(run)


def test_sessions_are_told_apart_from_the_steps_inside_them(changed: Callable[..., Run]) -> None:
    run = changed(steps=4, arrivals={"unit": "session"})
    sessions = sessions_of(run)
    assert sessions is not None
    facts = dict(sessions.facts)
    started = -(-len(run.samples) // 4)
    assert facts["sessions started"].startswith(f"{started:,}")
    assert facts["most requests in a session"] == "4"
    assert facts["requests in a session, on average"] == "4.0"
    assert facts["sessions run to their end"] == f"{len(run.samples) // 4:,}"
    firsts = sum(int(row[1].replace(",", "")) for row in sessions.rows)
    assert firsts == started
    assert {row[3] for row in sessions.rows} == {"both ways"}
    assert "Sessions: what was open-loop and what waited" in render_html(run)


def test_where_each_arrival_is_one_request_there_is_no_word_of_sessions(
    changed: Callable[..., Run],
) -> None:
    run = changed()
    assert sessions_of(run) is None
    assert 'id="sessions"' not in render_html(run)
