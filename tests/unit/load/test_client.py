"""The journeys' client against a sender of canned answers, on a clock that tests move."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from math import nan

import pytest

from surgeproof.load.client import Client, ClientSettings, Response
from surgeproof.load.http import Attempt, RawResponse, TransportError
from surgeproof.load.journeys import CURRENT_ARRIVAL, Arrival
from surgeproof.load.recorder import Recorder, SampleRow
from surgeproof.model.words import Outcome

T0 = 1000.0
FINE = RawResponse(200, [], b'{"id": 1}', can_keep_alive=True)

Outcomes = RawResponse | TransportError | None


class CannedSender:
    """Gives the next canned result: an answer, an error, or (None) waits until cancelled."""

    def __init__(self, *results: Outcomes) -> None:
        self.results = list(results)
        self.sent: list[tuple[str, str, dict[str, str], bytes]] = []
        self.reused = False
        self.start, self.service_s = T0 + 5.0, 0.25

    async def attempt(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        timeout_s: float,
        attempt: Attempt,
    ) -> RawResponse:
        self.sent.append((method, path, dict(headers), body))
        result = self.results.pop(0)
        attempt.start = self.start
        if isinstance(result, TransportError) and result.kind == "queue_timeout":
            attempt.start = nan
            raise result
        attempt.was_reused, attempt.sent_bytes = self.reused, 10
        if result is None:
            await asyncio.get_running_loop().create_future()
        attempt.end = self.start = attempt.start + self.service_s
        if isinstance(result, TransportError):
            raise result
        assert result is not None
        attempt.received_bytes = 20
        return result


class Bench:
    def __init__(self, *results: Outcomes, by_journey: bool = True) -> None:
        self.sender = CannedSender(*results)
        self.recorder = Recorder()
        settings = ClientSettings(
            generator=3,
            headers={"X-Common": "1", "Authorization": "secret"},
            tiers={"GET /a": "T0"},
            request_timeout_s=5,
            late_after_s=0.01,
            names_by_journey=by_journey,
        )
        self.client = Client(self.sender, settings, self.recorder)
        self.client.t0 = T0
        self.arrival = Arrival(7, T0 + 4.9, "surge", "GET /a", 1)

    def within_arrival(self, journey: Callable[[Client], object]) -> list[SampleRow]:
        async def travel() -> None:
            CURRENT_ARRIVAL.set(self.arrival)
            await journey(self.client)  # type: ignore[misc]

        asyncio.run(travel())
        return list(self.recorder.samples)


def test_a_sample_counts_from_the_intended_start_and_on_the_runs_own_axis() -> None:
    bench = Bench(FINE)
    (row,) = bench.within_arrival(lambda client: client.get("/a"))
    assert (row.intended_s, row.start_s, row.end_s) == pytest.approx((4.9, 5.0, 5.25))
    assert (row.name, row.method, row.tier, row.phase) == ("GET /a", "GET", "T0", "surge")
    assert (row.generator, row.session, row.step, row.attempt) == (3, 7, 1, 1)
    assert (row.outcome, row.status, row.sent_bytes, row.received_bytes) == ("full", 200, 10, 20)


def test_a_start_behind_the_schedule_is_late() -> None:
    bench = Bench(FINE)
    bench.within_arrival(lambda client: client.get("/a"))
    assert (bench.recorder.sent, bench.recorder.late) == (1, 1)
    assert bench.recorder.lags[0] == pytest.approx(0.1)


def test_the_second_step_is_intended_at_the_end_of_the_first() -> None:
    bench = Bench(FINE, FINE)

    async def journey(client: Client) -> None:
        await client.get("/a")
        await client.post("/v1/b?x=1", json={})

    first, second = bench.within_arrival(journey)
    assert (first.step, second.step) == (1, 2)
    assert second.intended_s == first.end_s
    assert second.name == "POST /v1/b"
    assert bench.recorder.sent == 1


def test_sessions_name_requests_by_method_and_path() -> None:
    bench = Bench(FINE, by_journey=False)
    (row,) = bench.within_arrival(lambda client: client.get("/v1/x?limit=5"))
    assert row.name == "GET /v1/x"


def test_a_failure_is_an_answer_with_status_zero_and_a_sample() -> None:
    bench = Bench(TransportError("timeout"))
    answers: list[Response] = []

    async def journey(client: Client) -> None:
        answers.append(await client.get("/a"))

    (row,) = bench.within_arrival(journey)
    assert (row.outcome, row.error_kind, row.status) == ("error", "timeout", 0)
    assert (answers[0].status, answers[0].body) == (0, b"")
    assert answers[0].outcome is Outcome.ERROR
    assert answers[0].is_indefinite


@pytest.mark.parametrize("kind", ["closed", "reset"])
def test_a_stale_connection_is_dialled_again_once_and_both_attempts_are_samples(kind: str) -> None:
    bench = Bench(TransportError(kind), FINE)
    bench.sender.reused = True
    first, second = bench.within_arrival(lambda client: client.get("/a"))
    assert [(row.attempt, row.outcome) for row in (first, second)] == [(1, "error"), (2, "full")]
    assert first.intended_s == second.intended_s
    assert (first.step, second.step) == (1, 1)
    assert bench.recorder.sent == 1


def test_a_post_is_sent_twice_only_under_an_idempotency_key() -> None:
    bench = Bench(TransportError("closed"))
    bench.sender.reused = True
    assert len(bench.within_arrival(lambda client: client.post("/a", json={}))) == 1
    keyed = Bench(TransportError("closed"), FINE)
    keyed.sender.reused = True
    rows = keyed.within_arrival(
        lambda client: client.post("/a", json={}, headers={"Idempotency-Key": "k"})
    )
    assert [row.attempt for row in rows] == [1, 2]


@pytest.mark.parametrize(
    ("kind", "reused"),
    [("closed", False), ("timeout", True), ("refused", False)],
    ids=["a new connection broke", "no answer in time", "refused"],
)
def test_other_failures_are_not_tried_again(kind: str, reused: bool) -> None:
    bench = Bench(TransportError(kind))
    bench.sender.reused = reused
    assert len(bench.within_arrival(lambda client: client.get("/a"))) == 1


def test_a_request_cut_off_by_the_end_of_the_run_is_an_unfinished_sample() -> None:
    bench = Bench(None)

    async def journey(client: Client) -> None:
        request = asyncio.create_task(client.get("/a"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request

    (row,) = bench.within_arrival(journey)
    assert (row.end_s, row.outcome, row.error_kind) == (None, "error", "unfinished")


def test_an_arrival_that_never_got_a_connection_is_not_a_sample() -> None:
    bench = Bench(TransportError("queue_timeout"))
    assert bench.within_arrival(lambda client: client.get("/a")) == []
    assert not bench.arrival.was_sent
    assert bench.recorder.sent == 0


def test_requests_outside_of_an_arrival_are_not_counted() -> None:
    bench = Bench(FINE)
    answer = asyncio.run(bench.client.get("/login"))
    assert answer.json() == {"id": 1}
    assert not bench.recorder.samples


@pytest.mark.parametrize(
    ("said", "outcome"),
    [(None, "full"), (True, "full"), (False, "wrong"), ("not mine", "wrong")],
    ids=["nothing", "yes", "no", "a reason"],
)
def test_a_check_decides_whether_a_good_answer_is_wrong(
    said: bool | str | None, outcome: str
) -> None:
    bench = Bench(FINE)
    (row,) = bench.within_arrival(lambda client: client.get("/a", check=lambda _: said))
    assert row.outcome == outcome


def test_a_check_that_raises_has_failed() -> None:
    bench = Bench(FINE)
    (row,) = bench.within_arrival(
        lambda client: client.get("/a", check=lambda answer: answer.json()["missing"] == 1)
    )
    assert (row.outcome, row.error_kind) == ("wrong", "check")


def test_a_requests_own_header_replaces_the_common_one_in_any_case() -> None:
    bench = Bench(FINE)
    bench.within_arrival(
        lambda client: client.post("/a", json={"x": 1}, headers={"authorization": "mine"})
    )
    _, _, headers, body = bench.sender.sent[0]
    assert headers["authorization"] == "mine"
    assert "Authorization" not in headers
    assert headers["X-Common"] == "1"
    assert (headers["Content-Type"], body) == ("application/json", b'{"x":1}')
