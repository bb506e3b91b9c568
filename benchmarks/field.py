"""Who takes part in which table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from benchmarks.job import Teller, Tool
from benchmarks.runs import Entrant
from benchmarks.tables.ladder import Climb
from benchmarks.tools.k6 import K6, K9Plan, K9Script
from benchmarks.tools.locust_peers import LocustPeer
from benchmarks.tools.native import Hey, Oha, Vegeta, Wrk
from benchmarks.tools.ours import Surgeproof

__all__ = ["ENGINE", "HEARD", "JOURNEYS", "PLAIN", "WORKERS", "Field", "choose_field"]

ENGINE = "surgeproof"
HEARD = "surgeproof, an event each"
JOURNEYS = "surgeproof journeys, an event each"
PLAIN = "plain @task, surgeproof's client"
WORKERS = "surgeproof, two workers"

# What journeys and plain tasks are offered where others run a closed loop: well above what one
# core does, and not so much that dropping the rest is the work.
_JOURNEYS_PER_S, _SESSIONS_PER_S, _PLAIN_PER_S = 60_000.0, 12_000.0, 30_000.0
_POOLS = (5, 50, 1000)

_FAST, _HTTP = LocustPeer("fast", "FastHttpUser"), LocustPeer("http", "HttpUser")

Peer = TypeVar("Peer")


@dataclass(frozen=True, slots=True)
class Field:
    """The entrants of each table; the groups of the stall run one after the other."""

    closed: Sequence[Tool]
    open: Sequence[Entrant]
    workers: tuple[Tool, Tool]
    ladder: Sequence[Climb]
    stall: Sequence[Sequence[tuple[Teller, int]]]
    journey: Sequence[Tool]
    startup: Sequence[Entrant]
    memory: Tool


def _alone(rate_per_s: float) -> int:
    """Return the users of a tool that needs no telling."""
    del rate_per_s
    return 1


def _virtual_users(rate_per_s: float) -> int:
    """Return enough for answers of 50 ms, at least 100: far more than these answers need."""
    return max(100, round(rate_per_s / 20))


def _connections(rate_per_s: float) -> int:
    """Return what oha does best with at the rates of the ladder."""
    return 100 if rate_per_s <= 2000 else 200


def _locust_users(rate_per_s: float) -> int:
    """Return a user for each ten requests a second, and a usual number at least."""
    return max(50, round(rate_per_s / 10))


def _bounded(rate_per_s: float) -> int:
    """Return the workers and connections with which vegeta holds most."""
    del rate_per_s
    return 500


def choose_field(peers: Mapping[str, Path], versions: Mapping[str, str], *, quick: bool) -> Field:
    """Return who takes part with these peers; a quick field leaves out all but a few."""
    with_peers = _Peers(peers, versions, quick=quick)
    engine = _requests(ENGINE)
    return Field(
        closed=_closed(with_peers, quick=quick),
        open=_open(with_peers, quick=quick),
        workers=(engine, replace(engine, name=WORKERS, workers=2)),
        ladder=_ladder(with_peers),
        stall=_stall(with_peers, quick=quick),
        journey=_journey(with_peers),
        startup=_startup(with_peers, quick=quick),
        memory=engine,
    )


def _requests(name: str) -> Surgeproof:
    return Surgeproof("ours_requests.py", name)


def _journeys() -> Surgeproof:
    return Surgeproof("ours_journeys_heard.py", JOURNEYS, saturating_per_s=_JOURNEYS_PER_S)


def _closed(peers: _Peers, *, quick: bool) -> list[Tool]:
    return [
        *peers.named("wrk", Wrk),
        *peers.named("oha", Oha),
        *peers.named("k9", K9Plan),
        *peers.named("hey", Hey),
        *peers.named("vegeta", Vegeta),
        *peers.named("k9", K9Script),
        *peers.k6(),
        _FAST,
        *([] if quick else [_HTTP]),
        _requests(ENGINE),
        *([] if quick else [Surgeproof("ours_requests_heard.py", HEARD)]),
        _journeys(),
        Surgeproof("plain_task.py", PLAIN, saturating_per_s=_PLAIN_PER_S, is_plain=True),
    ]


def _open(peers: _Peers, *, quick: bool) -> list[Entrant]:
    return [
        Entrant(_requests(ENGINE), _alone),
        *([] if quick else [Entrant(_journeys(), _alone)]),
        *(Entrant(each, _alone) for each in peers.named("vegeta", Vegeta)),
        *(Entrant(each, _connections) for each in peers.named("oha", Oha)),
        *(Entrant(each, _virtual_users) for each in peers.named("k9", K9Plan)),
        *(Entrant(each, _virtual_users) for each in peers.named("k9", K9Script)),
        *(Entrant(each, _virtual_users) for each in peers.k6()),
        Entrant(_FAST, _locust_users),
        *([] if quick else [Entrant(_HTTP, _locust_users)]),
    ]


def _ladder(peers: _Peers) -> list[Climb]:
    return [
        Climb(Entrant(_requests(ENGINE), _alone), 32_000.0),
        *(Climb(Entrant(each, _connections), 32_000.0) for each in peers.named("oha", Oha)),
        *(Climb(Entrant(each, _virtual_users), 24_000.0) for each in peers.named("k9", K9Plan)),
        *(Climb(Entrant(each, _virtual_users), 8000.0) for each in peers.named("k9", K9Script)),
        *(Climb(Entrant(each, _bounded), 8000.0) for each in peers.bounded_vegeta()),
        *(Climb(Entrant(each, _virtual_users), 3000.0) for each in peers.k6()),
        # The last one: above its ceiling it leaves thousands of connections behind.
        *(Climb(Entrant(each, _alone), 6000.0) for each in peers.named("vegeta", Vegeta)),
    ]


def _stall(peers: _Peers, *, quick: bool) -> list[list[tuple[Teller, int]]]:
    pools: list[tuple[Teller, int]] = [
        (replace(_requests(f"{ENGINE}, {pool} connections"), connections=pool), 1)
        for pool in (_POOLS[:1] if quick else _POOLS)
    ]
    ours = [(_requests(ENGINE), 1), *pools]
    native: list[tuple[Teller, int]] = [
        *((each, 1) for each in peers.named("vegeta", Vegeta)),
        *peers.with_users("oha", Oha, "oha", 50, 500),
        *peers.with_users("hey", Hey, "hey", 20),
        *((replace(each, name=f"{each.name}, 20 users"), 20) for each in peers.k6()),
        *((replace(each, name=f"{each.name}, 500 users"), 500) for each in peers.k6()),
    ]
    few: tuple[Teller, int] = (LocustPeer("fast", "FastHttpUser, 20 users"), 20)
    if quick:
        return [[*ours, *native, few]]
    others: list[tuple[Teller, int]] = [
        *peers.with_users("k9", K9Plan, "k9 plan", 500),
        *peers.with_users("k9", K9Script, "k9 script", 500),
        few,
        (LocustPeer("fast", "FastHttpUser, 500 users"), 500),
        (LocustPeer("http", "HttpUser, 20 users"), 20),
    ]
    return [ours, native, others]


def _journey(peers: _Peers) -> list[Tool]:
    ours = Surgeproof("ours_journeys.py", ENGINE, saturating_per_s=_SESSIONS_PER_S)
    return [ours, *peers.k6(), _FAST]


def _startup(peers: _Peers, *, quick: bool) -> list[Entrant]:
    tools: list[Tool] = [
        _requests(ENGINE),
        *peers.named("vegeta", Vegeta),
        *peers.named("oha", Oha),
        *peers.named("k9", K9Plan),
        *peers.named("k9", K9Script),
        *peers.k6(),
        *([] if quick else [_FAST]),
    ]
    return [Entrant(tool, _alone) for tool in tools]


# Peers that take part in a quick run: the ones that the ratios are against, in one version each.
_QUICK = frozenset({"vegeta", "k6"})


class _Peers:
    """The peers that are there, as tools."""

    def __init__(
        self, peers: Mapping[str, Path], versions: Mapping[str, str], *, quick: bool
    ) -> None:
        self._peers = {key: path for key, path in peers.items() if not quick or key in _QUICK}
        if quick and "k6" not in self._peers and "k6-wheel" in peers:
            self._peers["k6-wheel"] = peers["k6-wheel"]
        self._versions = versions

    def named(self, key: str, make: Callable[[Path], Peer]) -> list[Peer]:
        """Return a tool of its own name, none if the peer is missing."""
        return [make(self._peers[key])] if key in self._peers else []

    def with_users(
        self, key: str, make: Callable[[Path, str], Teller], name: str, *users: int
    ) -> list[tuple[Teller, int]]:
        """Return a tool once for each number of users, named by it."""
        if key not in self._peers:
            return []
        return [(make(self._peers[key], f"{name}, {count} users"), count) for count in users]

    def k6(self) -> list[K6]:
        """Return k6 in each version that is there, the newest first."""
        return [
            K6(self._peers[key], f"k6 {self._versions[key]}")
            for key in ("k6", "k6-wheel")
            if key in self._peers
        ]

    def bounded_vegeta(self) -> list[Vegeta]:
        """Return vegeta with bounded workers and connections."""
        if "vegeta" not in self._peers:
            return []
        return [Vegeta(self._peers["vegeta"], "vegeta, 500 workers", is_bounded=True)]
