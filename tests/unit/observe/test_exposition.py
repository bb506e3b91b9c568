from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from surgeproof.errors import FormatError
from surgeproof.observe.exposition import Exposition, Reading, SeriesKey, render_labels


def _read(text: str) -> list[Reading]:
    return Exposition().read(text)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param("up 1", Reading(SeriesKey("up"), 1.0), id="a name and a value"),
        pytest.param(
            'a_total{edge="graph-pg",outcome="ok"} 3.5e2',
            Reading(SeriesKey("a_total", (("edge", "graph-pg"), ("outcome", "ok"))), 350.0),
            id="labels and an exponent",
        ),
        pytest.param("a{} 2", Reading(SeriesKey("a"), 2.0), id="empty braces"),
        pytest.param(
            'a { b = "c" , } -1 1700000000000',
            Reading(SeriesKey("a", (("b", "c"),)), -1.0),
            id="blanks, a last comma and a timestamp",
        ),
        pytest.param(
            r'a{path="C:\\x",says="\"hi\"\n",end="}"} 0',
            Reading(
                SeriesKey("a", (("end", "}"), ("path", "C:\\x"), ("says", '"hi"\n'))),
                0.0,
            ),
            id="escapes and a brace within quotes",
        ),
        pytest.param(
            'a_bucket{le="+Inf"} 7 # {trace_id="x"} 0.5',
            Reading(SeriesKey("a_bucket", (("le", "+Inf"),)), 7.0),
            id="an exemplar is passed over",
        ),
        pytest.param(
            'a{route="/v1/posts/{id}"} 1',
            Reading(SeriesKey("a", (("route", "/v1/posts/{id}"),)), 1.0),
            id="a route template in a label",
        ),
    ],
)
def test_a_sample_line_is_read_as_the_format_defines_it(line: str, expected: Reading) -> None:
    assert _read(line + "\n") == [expected]


def test_special_values_are_floats_and_comments_are_no_samples() -> None:
    page = "# HELP a text\n# TYPE a gauge\n\na 1\nb +Inf\nc -Inf\nd NaN\n"
    values = [reading.value for reading in _read(page)]
    assert values[:3] == [1.0, math.inf, -math.inf]
    assert math.isnan(values[3])


@pytest.mark.parametrize(
    ("page", "part"),
    [
        pytest.param("<html>no metrics here</html>", "line 1", id="an HTML page"),
        pytest.param('ok 1\na{b="c} 1', "line 2", id="an open quote"),
        pytest.param("a{b=c} 1", "labels", id="a label without quotes"),
        pytest.param("a one", "'one'", id="a word as value"),
        pytest.param("a", "line 1", id="no value"),
    ],
)
def test_a_page_that_is_no_exposition_is_refused_with_its_line(page: str, part: str) -> None:
    with pytest.raises(FormatError, match=part):
        _read(page)


def test_the_second_page_gives_the_same_keys_as_the_first() -> None:
    exposition = Exposition()
    first = exposition.read('a{b="1",c="2"} 1\n')
    second = exposition.read('a{b="1",c="2"} 5\n')
    assert second == [Reading(first[0].key, 5.0)]


def test_only_metrics_with_a_wanted_prefix_are_kept() -> None:
    readings = Exposition(prefixes=("app_",)).read("app_a 1\npython_info 2\napp_b 3\n")
    assert [reading.key.name for reading in readings] == ["app_a", "app_b"]


def test_a_page_of_the_official_client_is_read_as_its_own_parser_reads_it() -> None:
    registry = CollectorRegistry()
    Counter("app_c_total", 'odd "help" \\', ["edge"], registry=registry).labels('x"\n\\y').inc(3)
    Gauge("app_g", "gauge", registry=registry).set(math.inf)
    Histogram("app_h_seconds", "histogram", ["route"], registry=registry).labels("/a b").observe(2)
    page = generate_latest(registry).decode()

    theirs = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }
    ours = {(reading.key.name, reading.key.labels): reading.value for reading in _read(page)}
    assert ours == theirs


@settings(deadline=None)  # a busy machine is no defect
@given(
    st.dictionaries(
        st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,8}", fullmatch=True),
        st.text(st.characters(exclude_categories=["Cs"])),
        max_size=4,
    )
)
def test_rendered_labels_read_back_as_they_were(labels: dict[str, str]) -> None:
    (reading,) = _read(f"a{render_labels(labels)} 1\n")
    assert dict(reading.key.labels) == labels


def test_added_labels_win_over_the_pages_own() -> None:
    key = SeriesKey("a", (("process", "x"), ("z", "1"))).with_labels({"process": "graph"})
    assert key.labels == (("process", "graph"), ("z", "1"))
    assert key.label("process") == "graph"
    assert not key.label("absent")
