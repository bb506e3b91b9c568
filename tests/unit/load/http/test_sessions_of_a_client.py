"""What a client remembers within an arrival: cookies, redirects, and what it makes of codings."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from surgeproof.load.client import Client, ClientSettings
from surgeproof.load.http import Attempt, Origin, RawResponse, RequestEncoder
from surgeproof.load.journeys import CURRENT_ARRIVAL, Arrival
from surgeproof.load.recorder import Recorder, SampleRow
from surgeproof.model.plan import Timeouts

Spoken = TypeVar("Spoken", bound=asyncio.BaseProtocol)


class CannedCall(Attempt):
    """An attempt that has its answer."""

    def __init__(self, raw: RawResponse) -> None:
        super().__init__()
        self.raw = raw

    @property
    async def answer(self) -> RawResponse:
        return self.raw

    def abandon(self) -> None: ...


class CannedSender:
    """Gives one canned answer after the other; each takes a second."""

    def __init__(self, *answers: RawResponse) -> None:
        self.answers = list(answers)
        self.sent: list[str] = []
        self.now = 100.0

    def begin(
        self,
        data: bytes,
        *,
        is_head: bool = False,
        limits: Timeouts | None = None,
        rest: Iterable[bytes] | None = None,
    ) -> CannedCall:
        self.sent.append(data.decode("latin-1"))
        call = CannedCall(self.answers.pop(0))
        call.start = self.now
        call.end = self.now = self.now + 1.0
        return call

    async def dial(self, make_protocol: Callable[[], Spoken], timeout_s: float) -> Spoken:
        raise NotImplementedError


def answer(status: int = 200, body: bytes = b"", **fields: str) -> RawResponse:
    headers = [
        (name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in fields.items()
    ]
    return RawResponse(status, headers, body, can_keep_alive=True)


class Bench:
    def __init__(self, *answers: RawResponse) -> None:
        self.sender = CannedSender(*answers)
        self.recorder = Recorder({"POST /login": "T0"})
        self.wall = 1_700_000_000.0
        self.client = Client(
            self.sender,
            RequestEncoder(Origin.parse("http://shop.test/base"), {}),
            ClientSettings(Timeouts(1, 2, 5), names_by_journey=False),
            self.recorder,
            wall_clock=lambda: self.wall,
        )

    def travel(self, journey: Callable[[Client], Awaitable[object]], index: int = 0) -> None:
        async def go() -> None:
            CURRENT_ARRIVAL.set(Arrival(index, 99.0, 0, "shopper", 1))
            await journey(self.client)

        asyncio.run(go())

    def rows(self) -> list[SampleRow]:
        return [self.recorder.row(0, "surge", values) for values in self.recorder.take().tolist()]


def test_a_cookie_stays_within_its_arrival() -> None:
    bench = Bench(answer(set_cookie="s=1; Path=/base"), answer(), answer())

    async def log_in_and_look(client: Client) -> None:
        await client.get("/login")
        await client.get("/a")

    bench.travel(log_in_and_look, 1)
    bench.travel(lambda client: client.get("/a"), 2)
    assert ["Cookie: s=1\r\n" in head for head in bench.sender.sent] == [False, True, False]


def test_a_cookie_of_the_preparation_stays_there() -> None:
    bench = Bench(answer(set_cookie="s=1; Path=/"), answer(), answer())

    async def prepare() -> None:
        await bench.client.get("/login")
        await bench.client.get("/a")

    asyncio.run(prepare())
    bench.travel(lambda client: client.get("/a"))
    assert ["Cookie" in head for head in bench.sender.sent] == [False, True, False]


def test_a_cookie_ends_with_its_lifetime() -> None:
    bench = Bench(answer(set_cookie="s=1; Path=/; Max-Age=60"), answer(), answer())

    async def journey(client: Client) -> None:
        await client.get("/login")
        await client.get("/a")
        bench.wall += 60
        await client.get("/a")

    bench.travel(journey)
    assert ["Cookie" in head for head in bench.sender.sent] == [False, True, False]


def test_each_hop_of_a_redirect_is_a_step_of_its_own_in_the_tier_of_the_request() -> None:
    bench = Bench(
        answer(303, location="/base/b", set_cookie="s=1; Path=/"),
        answer(302, location="c"),
        answer(200, b"there"),
    )
    bodies = []

    async def journey(client: Client) -> None:
        given = await client.post(
            "/login",
            json={"name": "ada"},
            follow_redirects=True,
            check=lambda each: each.body == b"there",
        )
        bodies.append(given.body)

    bench.travel(journey)
    assert bodies == [b"there"]
    assert [head.partition(" HTTP")[0] for head in bench.sender.sent] == [
        "POST /base/login",
        "GET /base/b",
        "GET /base/c",
    ]
    assert "Cookie: s=1" in bench.sender.sent[1]
    assert "Content-Type" not in bench.sender.sent[1]
    rows = bench.rows()
    assert [(row.step, row.name, row.status, row.outcome, row.tier) for row in rows] == [
        (1, "POST /login", 303, "full", "T0"),
        (2, "POST /login (redirected)", 302, "full", "T0"),
        (3, "POST /login (redirected)", 200, "full", "T0"),
    ]
    assert [row.intended_s for row in rows] == [99.0, 101.0, 102.0]


def test_a_redirect_that_is_refused_is_an_error_of_the_answer_that_gave_it() -> None:
    bench = Bench(answer(302, location="http://other.test/"))
    bench.travel(lambda client: client.get("/a", follow_redirects=True))
    (row,) = bench.rows()
    assert (row.status, row.outcome, row.error_kind) == (302, "error", "redirect_refused")


def test_a_redirect_that_nobody_asked_to_follow_is_an_answer() -> None:
    bench = Bench(answer(302, location="http://other.test/"))
    bench.travel(lambda client: client.get("/a"))
    (row,) = bench.rows()
    assert (row.status, row.outcome) == (302, "full")


def test_a_body_is_decoded_before_anybody_looks_at_it() -> None:
    bench = Bench(answer(body=gzip.compress(b'{"degraded": ["feed"]}'), content_encoding="gzip"))
    bench.travel(lambda client: client.get("/a"))
    (row,) = bench.rows()
    assert (row.outcome, row.degraded) == ("degraded", "feed")


def test_a_body_that_cannot_be_decoded_is_an_error_with_its_status() -> None:
    bench = Bench(answer(body=b"{}", content_encoding="gzip"))
    bench.travel(lambda client: client.get("/a"))
    (row,) = bench.rows()
    assert (row.status, row.outcome, row.error_kind) == (200, "error", "protocol")
