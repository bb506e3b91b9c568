"""report.html as text: what it says, what it escapes, how large it is."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest

from surgeproof.errors import FormatError
from surgeproof.journal.folder import RunFolder
from surgeproof.report.html import render_html
from surgeproof.report.render import render_all
from surgeproof.report.run import read_run
from surgeproof.report.sentences import headline

Make = Callable[..., RunFolder]
SECTIONS = (
    "verdict", "timeline", "gates", "degradation", "faults", "objectives", "generator", "ledger",
    "endpoints", "heatmap", "server", "provenance", "methods",
)  # fmt: skip
# The promise for a run of two minutes.
MOST_BYTES = 550_000


class Tags(HTMLParser):
    """Every tag and attribute of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.ids: list[str] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self.ids += [value for name, value in attrs if name == "id" and value]

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def page(whole_run: RunFolder) -> str:
    return render_html(read_run(whole_run))


def test_every_section_is_there_once_and_ids_do_not_clash(page: str) -> None:
    ids = Tags(page).ids
    assert set(SECTIONS) <= set(ids)
    assert len(ids) == len(set(ids))


def test_every_link_leads_to_something_within_the_page(page: str) -> None:
    tags = Tags(page)
    links = {value for name, value in tags.attributes if name in {"href", "xlink:href"} and value}
    inside = {link.removeprefix("#") for link in links if link.startswith("#")}
    assert inside <= set(tags.ids)
    assert all(link.startswith(("#", "data:image/png")) for link in links)


def test_the_verdict_in_words_comes_before_anything_else(page: str) -> None:
    text = Tags(page[page.index("<body>") :]).text
    assert text.startswith("~ NO VERDICT 1 of 8 gates could not be judged")


def test_commit_seed_versions_and_accounting_are_said(page: str) -> None:
    text = Tags(page).text
    for needed in ("4f2d9c1e7ab3", "20230705", "locust 2.47.0", "CPython", "arrivals scheduled"):
        assert needed in text, needed


def test_it_says_what_a_killed_run_recorded_and_that_it_has_no_verdict(make: Make) -> None:
    folder = make(is_judged=False, until_s=57.0)
    text = Tags(render_html(read_run(folder))).text
    assert "NO VERDICT" in text
    assert "the run ended before it was judged" in text
    assert "redis-down" in text
    assert "GET /v1/feed/home" in text
    assert "never" in text  # redis-down was not cleared
    assert "generator CPU, at most 40 %" in text


def test_a_failed_gate_is_the_first_chip_and_the_first_row(make: Make) -> None:
    page = render_html(read_run(make(redis_p99_s=0.62)))
    chips = re.findall(r'<li class="(\w+)"><a href="#gate-\d+">', page)
    assert chips[0] == "nogo"
    assert set(chips[1:]) == {"none", "go"}
    row = page[page.index('id="gate-1"') :]
    assert row.index("feed-p99-redis") < row.index("</tr>")
    text = Tags(page).text
    assert "NO-GO 1 of 8 gates failed, 1 could not be judged" in text
    assert "was 620 ms and missed its limit" in text


def test_names_from_outside_are_never_markup(make: Make) -> None:
    evil = "GET /<script>alert(1)</script>\"'&{{7*7}}$\\frac{x}$"
    folder = make(
        endpoints=((evil, "T0", 1, 0.02),), name="<img src=x onerror=alert(2)>", rate_per_s=10.0
    )
    page = render_html(read_run(folder))
    tags = Tags(page)
    assert "script" not in tags.tags
    assert "img" not in tags.tags
    assert not [name for name, _ in tags.attributes if name.startswith("on")]
    assert "{{7*7}}" in tags.text


def test_numbers_in_a_name_are_not_rounded_with_the_charts_coordinates(make: Make) -> None:
    name = "GET /v1.2345/x"
    page = render_html(read_run(make(endpoints=((name, "T0", 1, 0.02),), rate_per_s=10.0)))
    charts = "".join(re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL))
    assert name in charts


def test_nothing_is_fetched_and_nothing_is_executed(page: str) -> None:
    assert "default-src 'none'" in page
    assert "script" not in Tags(page).tags
    addresses = set(re.findall(r"https?://[^\"' <]+", page))
    assert addresses == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


def test_the_same_folder_gives_the_same_bytes(make: Make) -> None:
    folder = make(rate_per_s=10.0)
    first = [path.read_bytes() for path in render_all(folder)]
    second = [path.read_bytes() for path in render_all(folder)]
    assert first == second


def test_no_path_of_this_machine_gets_into_the_page(page: str, whole_run: RunFolder) -> None:
    assert str(whole_run.path.parent) not in page


def test_a_run_of_two_minutes_with_everything_fits_the_budget(make: Make) -> None:
    endpoints = tuple(
        (f"GET /v1/thing/{number}/{{id}}", f"T{number % 4}", 1 + number, 0.01 + number / 500)
        for number in range(14)
    )
    line = [[float(t), (t * 37 % 101) / 7] for t in range(108)]
    panels = [
        {
            "title": f"Metric {number}",
            "unit": "per_s",
            "series": [{"label": f"edge-{edge}", "points": line} for edge in range(14)],
        }
        for number in range(12)
    ]
    folder = make(endpoints=endpoints, rate_per_s=75.0)
    folder.write_json("server_metrics.json", {"source": "a scrape", "panels": panels})
    page = render_html(read_run(folder))
    assert len(page.encode()) <= MOST_BYTES


def test_a_run_without_a_single_sample_is_said_to_be_empty(make: Make) -> None:
    folder = make(rate_per_s=0.0, is_judged=False)
    text = Tags(render_html(read_run(folder))).text
    assert "No request was recorded before the run ended." in text
    assert "no samples" in text


def test_a_single_sample_makes_a_whole_page(make: Make) -> None:
    folder = make(rate_per_s=1.0, until_s=1.5, is_judged=False)
    assert len(read_run(folder).samples) == 1
    text = Tags(render_html(read_run(folder))).text
    assert "1 request and 0 dropped arrivals" in text


def test_a_folder_with_nothing_but_events_makes_a_page(make: Make) -> None:
    folder = make(is_judged=False, has_server_metrics=False)
    for path in [*folder.samples.iterdir(), folder.effective, folder.provenance]:
        path.unlink()
    text = Tags(render_html(read_run(folder))).text
    assert "No server-side metrics were recorded for this run" in text
    assert "None was recorded." in text


def test_samples_that_cannot_be_read_are_said_and_not_passed_over(make: Make) -> None:
    folder = make(is_judged=False)
    (folder.samples / "samples-0.arrow").write_bytes(b"this is no arrow stream at all")
    text = Tags(render_html(read_run(folder))).text
    assert "the samples could not be read: samples/samples-0.arrow" in text


def test_a_result_of_another_schema_is_an_error_with_its_name(make: Make) -> None:
    folder = make()
    folder.write_json("result.json", {"schema": "somebody/else/9"})
    with pytest.raises(FormatError, match="somebody/else/9"):
        render_all(folder)


def test_a_field_of_the_wrong_type_is_an_error_with_its_place(make: Make) -> None:
    folder = make(result={"gates": [{"id": "x", "status": "pass", "limit": "400ms"}]})
    with pytest.raises(FormatError, match=r"gates\[0\]\.limit is '400ms'"):
        render_all(folder)


def test_an_untrusted_measurement_is_said_in_the_headline(make: Make) -> None:
    verdict = {
        "status": "inconclusive",
        "words": "NO VERDICT",
        "reasons": [{"code": "generator_unreliable", "message": "12 % dropped"}],
    }
    told = str(headline(read_run(make(result={"verdict": verdict}))))
    assert "but the measurement cannot be trusted" in told


def test_notes_are_shown_and_lead_from_missing_metrics_to_the_reason(make: Make) -> None:
    note = "no Prometheus was found: install it, or give --prometheus"
    folder = make(has_server_metrics=False, result={"notes": [note]})
    page = render_html(read_run(folder))
    assert note in Tags(page).text
    assert 'href="#generator">notes</a>' in page


def test_a_failed_objective_counts_as_a_failed_gate(make: Make) -> None:
    objective = {
        "id": "slo:feed-fast", "name": "feed-fast", "target": 0.99, "value": 0.9, "total": 100,
        "bad": 10, "good_when": "latency <= 300ms", "status": "fail", "message": "90% were good",
    }  # fmt: skip
    verdict = {"status": "fail", "words": "NO-GO", "reasons": []}
    folder = make(result={"objectives": [objective], "gates": [], "verdict": verdict})
    assert str(headline(read_run(folder))) == "NO-GO — 1 of 1 gate failed"
