"""The journeys' client against a sender of canned answers, on a clock that tests move."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from surgeproof.load.client import Client, ClientSettings, Response
from surgeproof.load.http import Attempt, Origin, RawResponse, RequestEncoder, TransportError
from surgeproof.load.journeys import CURRENT_ARRIVAL, Arrival
from surgeproof.load.recorder import Recorder, SampleRow
from surgeproof.model.plan import Timeouts
from surgeproof.model.words import Outcome

T0 = 1000.0
FINE = RawResponse(200, [], b'{"id": 1}', can_keep_alive=True)

Outcomes = RawResponse | TransportError | None


class CannedSender:
    """Gives the next canned result: an answer, an error, or (None) waits until cancelled."""

    def __init__(self, *results: Outcomes) -> None:
        self.results = list(results)
        self.sent: list[bytes] = []
        self.start, self.service_s = T0 + 5.0, 0.25

    def begin(
        self, data: bytes, *, limits: Timeouts | None = None, **_options: object
    ) -> CannedCall:
        self.sent.append(data)
        self.limits = limits
        result = self.results.pop(0)
        self.call = call = CannedCall(result)
        if isinstance(result, TransportError) and result.kind == "queue_timeout":
            return call
        call.start, call.sent_bytes = self.start, 10
        if result is not None:
            call.end = self.start = call.start + self.service_s
            call.received_bytes = 0 if isinstance(result, TransportError) else 20
        return call


class CannedCall(Attempt):
    """An attempt whose end is known from the start."""

    def __init__(self, result: Outcomes) -> None:
        super().__init__()
        self.result = result
        self.was_abandoned = False

    @property
    async def answer(self) -> RawResponse:
        if self.result is None:
            await asyncio.get_running_loop().create_future()
        if isinstance(self.result, TransportError):
            raise self.result
        assert self.result is not None
        return self.result

    def abandon(self) -> None:
        self.was_abandoned = True


class Bench:
    def __init__(self, *results: Outcomes, by_journey: bool = True) -> None:
        self.sender = CannedSender(*results)
        self.recorder = Recorder({"GET /a": "T0"})
        encoder = RequestEncoder(
            Origin.parse("http://target"), {"X-Common": "1", "Authorization": "secret"}
        )
        settings = ClientSettings(Timeouts(1, 2, 5), names_by_journey=by_journey)
        self.client = Client(self.sender, encoder, settings, self.recorder)
        self.client.t0 = T0
        self.arrival = Arrival(7, T0 + 4.9, 0, "GET /a", 1)

    def within_arrival(self, journey: Callable[[Client], object]) -> list[SampleRow]:
        async def travel() -> None:
            CURRENT_ARRIVAL.set(self.arrival)
            await journey(self.client)  # type: ignore[misc]

        asyncio.run(travel())
        return [self.recorder.row(3, "surge", values) for values in self.recorder.take().tolist()]


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


@pytest.mark.parametrize("kind", ["closed", "reset", "timeout", "refused"])
def test_nothing_is_sent_twice(kind: str) -> None:
    bench = Bench(TransportError(kind))
    (row,) = bench.within_arrival(lambda client: client.get("/a"))
    assert (row.attempt, row.outcome, row.error_kind) == (1, "error", kind)


def test_a_requests_own_limit_takes_the_place_of_the_plans() -> None:
    bench = Bench(FINE, FINE)

    async def journey(client: Client) -> None:
        await client.get("/a")
        assert bench.sender.limits is None
        await client.get("/a", timeout_s=0.5)

    bench.within_arrival(journey)
    assert bench.sender.limits == Timeouts(connect_s=0.5, read_s=2, total_s=0.5)


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
    assert bench.sender.call.was_abandoned


def test_an_arrival_that_never_got_a_connection_is_not_a_sample() -> None:
    bench = Bench(TransportError("queue_timeout"))
    assert bench.within_arrival(lambda client: client.get("/a")) == []
    assert not bench.arrival.was_sent
    assert bench.recorder.sent == 0


def test_requests_outside_of_an_arrival_are_not_counted() -> None:
    bench = Bench(FINE)
    answer = asyncio.run(bench.client.get("/login"))
    assert answer.json() == {"id": 1}
    assert not bench.recorder.packed


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
    head, _, body = bench.sender.sent[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert b"authorization: mine" in lines
    assert b"Authorization: secret" not in lines
    assert b"X-Common: 1" in lines
    assert b"Content-Type: application/json" in lines
    assert body == b'{"x":1}'
