from __future__ import annotations

import pytest

from surgeproof.load.http import RawResponse
from surgeproof.load.outcomes import degraded_mark, judge
from surgeproof.model.words import Outcome

Headers = list[tuple[bytes, bytes]]

RETRY: Headers = [(b"retry-after", b"1")]
MARK: Headers = [(b"degraded", b"feed;mode=pull;cause=feed-timeline")]


def answer(status: int, headers: Headers | None = None, body: bytes = b"{}") -> RawResponse:
    return RawResponse(status, headers or [], body, can_keep_alive=True)


@pytest.mark.parametrize(
    ("response", "expected", "outcome", "error_kind"),
    [
        pytest.param(answer(200), (), Outcome.FULL, "", id="200"),
        pytest.param(answer(201), (), Outcome.FULL, "", id="201"),
        pytest.param(answer(302), (), Outcome.FULL, "", id="redirect"),
        pytest.param(answer(304, body=b""), (), Outcome.FULL, "", id="not modified"),
        pytest.param(answer(404), (404,), Outcome.FULL, "", id="declared expected"),
        pytest.param(answer(200, MARK), (), Outcome.DEGRADED, "", id="degraded by header"),
        pytest.param(
            answer(200, body=b'{"degraded": ["feed"]}'),
            (),
            Outcome.DEGRADED,
            "",
            id="degraded by body",
        ),
        pytest.param(answer(304, MARK), (), Outcome.FULL, "", id="a mark on 304 says nothing"),
        pytest.param(answer(503, RETRY), (), Outcome.SHED, "status_503", id="503 with retry"),
        pytest.param(answer(429, RETRY), (), Outcome.SHED, "status_429", id="429 with retry"),
        pytest.param(answer(503), (), Outcome.ERROR, "status_503", id="503 without retry"),
        pytest.param(answer(429), (), Outcome.ERROR, "status_429", id="429 without retry"),
        pytest.param(answer(500, RETRY), (), Outcome.ERROR, "status_500", id="500 with retry"),
        pytest.param(answer(503, RETRY), (503,), Outcome.FULL, "", id="declared shed is full"),
        pytest.param(answer(404), (), Outcome.ERROR, "status_404", id="404"),
        pytest.param(answer(502, MARK), (), Outcome.ERROR, "status_502", id="marked error"),
    ],
)
def test_an_answer_has_exactly_one_outcome(
    response: RawResponse, expected: tuple[int, ...], outcome: Outcome, error_kind: str
) -> None:
    judged = judge(response, expected=expected)
    assert (judged.outcome, judged.error_kind) == (outcome, error_kind)


def test_a_good_answer_that_fails_its_check_is_wrong() -> None:
    judged = judge(answer(200), check=lambda: "two of a kind")
    assert (judged.outcome, judged.error_kind) == (Outcome.WRONG, "check")
    assert judged.detail == "two of a kind"


def test_a_degraded_answer_that_fails_its_check_is_wrong() -> None:
    assert judge(answer(200, MARK), check=lambda: "no").outcome is Outcome.WRONG


def test_degraded_unmarked_is_wrong_only_if_a_check_says_so() -> None:
    assert judge(answer(200)).outcome is Outcome.FULL


def test_an_error_is_not_asked_whether_it_is_right() -> None:
    def check() -> str:
        raise AssertionError("asked")

    assert judge(answer(500), check=check).outcome is Outcome.ERROR
    assert judge(answer(503, RETRY), check=check).outcome is Outcome.SHED


@pytest.mark.parametrize(
    ("body", "mark"),
    [
        pytest.param(b'{"degraded": ["feed"]}', "feed", id="a list of words"),
        pytest.param(b'{"degraded": "cached"}', "cached", id="a word"),
        pytest.param(b'{"degraded": true}', "true", id="a flag"),
        pytest.param(b'{"degraded": [{"mode":"pull"}]}', '{"mode": "pull"}', id="an object"),
        pytest.param(b'{"degraded": []}', "", id="an empty list"),
        pytest.param(b'{"degraded": [ ]}', "", id="an empty list with a space"),
        pytest.param(b'{"degraded": null}', "", id="null"),
        pytest.param(b'{"degraded": false}', "", id="false"),
        pytest.param(b'{"items": [{"degraded": [1]}], "degraded": []}', "", id="nested only"),
        pytest.param(rb'{"text": "\"degraded\": [1]"}', "", id="within a text"),
        pytest.param(b'["degraded"]', "", id="no object"),
        pytest.param(b'{"degraded": [1', "", id="cut short"),
        pytest.param(b"", "", id="empty"),
    ],
)
def test_the_body_marks_degradation_with_a_top_level_member(body: bytes, mark: str) -> None:
    assert degraded_mark(answer(200, body=body)) == mark


def test_the_header_goes_before_the_body() -> None:
    marked = answer(200, MARK, b'{"degraded": ["other"]}')
    assert degraded_mark(marked) == "feed;mode=pull;cause=feed-timeline"
