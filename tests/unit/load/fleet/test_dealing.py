"""Dealing: every slot has one owner, and nothing that happens makes two of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surgeproof.errors import FormatError
from surgeproof.load.fleet.dealing import Dealing, Epoch, Takeover
from surgeproof.load.fleet.holding import Holding
from surgeproof.load.fleet.roster import Presence, Roster

TIMES_S = np.arange(0, 12, 0.05)
ALL = np.arange(len(TIMES_S), dtype=np.int64)


def owners(dealing: Dealing) -> list[int]:
    return list(map(int, dealing.owners(ALL, TIMES_S)))


def test_an_epoch_deals_in_turn() -> None:
    dealing = Dealing().then(Epoch(0.0, (4, 7, 9)))
    assert owners(dealing)[:7] == [4, 7, 9, 4, 7, 9, 4]


def test_before_the_first_epoch_slots_have_no_owner() -> None:
    dealing = Dealing().then(Epoch(0.1, (3,)))
    assert owners(dealing)[:4] == [-1, -1, 3, 3]


def test_a_takeover_moves_the_lost_ones_slots_alone_and_spreads_them_evenly() -> None:
    before = Dealing().then(Epoch(0.0, (0, 1, 2)))
    after = before.then(Takeover(6.0, 2, (0, 1)))
    for slot, (was, is_) in enumerate(zip(owners(before), owners(after), strict=True)):
        if was != 2 or TIMES_S[slot] < 6.0:
            assert is_ == was
        else:
            assert is_ in {0, 1}
    late = np.array(owners(after))[TIMES_S >= 6.0]
    assert np.bincount(late).tolist() == [60, 60]


def test_a_takeover_of_a_takeover_leaves_everything_to_the_last_one() -> None:
    dealing = Dealing((Epoch(0.0, (0, 1, 2)), Takeover(3.0, 2, (0, 1)), Takeover(6.0, 0, (1,))))
    assert set(np.array(owners(dealing))[TIMES_S >= 6.0].tolist()) == {1}


def test_a_later_epoch_ends_takeovers_from_its_moment_on() -> None:
    dealing = Dealing((Epoch(0.0, (0, 1)), Takeover(3.0, 1, (0,)), Epoch(6.0, (0, 1))))
    found = np.array(owners(dealing))
    assert set(found[(TIMES_S >= 3.0) & (TIMES_S < 6.0)].tolist()) == {0}
    assert found[TIMES_S >= 6.0].tolist()[:4] == [0, 1, 0, 1]


@pytest.mark.parametrize("change", [Epoch(0.0, ()), Epoch(0.0, (1, 1)), Takeover(0.0, 1, ())])
def test_a_change_deals_to_somebody_and_to_nobody_twice(change: Epoch | Takeover) -> None:
    with pytest.raises(ValueError, match="accepted: one or more workers, once each"):
        Dealing().then(change)


def test_a_dealing_survives_its_message() -> None:
    dealing = Dealing((Epoch(0.0, (0, 1)), Takeover(3.25, 1, (0,)), Epoch(6.5, (0, 2))))
    assert Dealing.from_data(dealing.to_data()) == dealing


@pytest.mark.parametrize(
    "data", [[{"from_s": 1.0}], [{"workers": [1]}], [{"from_s": "x", "workers": [1]}], [3]]
)
def test_a_message_that_is_no_dealing_is_refused(data: list[dict[str, object]]) -> None:
    with pytest.raises(FormatError, match="no dealing"):
        Dealing.from_data(data)


# -- the proof over random losses and joins ---------------------------------------------------


@dataclass
class Worker:
    """A worker of the model: it hears late, sends what it holds, and may freeze or die."""

    holding: Holding
    inbox: list[tuple[float, Dealing, float]] = field(default_factory=list)
    pending: list[int] = field(default_factory=list)
    is_frozen: bool = False
    is_dead: bool = False

    def step(self, now_s: float) -> list[int]:
        """Read what has arrived, and send what is due."""
        if self.is_frozen or self.is_dead:
            return []
        due = [message for message in self.inbox if message[0] <= now_s]
        self.inbox = [message for message in self.inbox if message[0] > now_s]
        for _, dealing, until_s in due:
            self.pending += self.holding.update(dealing, until_s).tolist()
        sent = [slot for slot in self.pending if TIMES_S[slot] <= now_s]
        self.pending = [slot for slot in self.pending if TIMES_S[slot] > now_s]
        return sent


class Model:
    """A master's roster and its workers, with messages that take their time."""

    def __init__(self, first: int) -> None:
        self.roster = Roster()
        self.workers: dict[int, Worker] = {}
        self.unreachable: set[int] = set()
        self.sent: list[int] = []
        for _ in range(first):
            self.add()
        self.roster.begin()
        self.tell_all(-0.5, 0.0)

    def add(self) -> int:
        number = len(self.workers)
        self.workers[number] = Worker(Holding(number, TIMES_S))
        self.roster.join(number)
        self.roster.ready(number)
        return number

    def tell(self, number: int, now_s: float, delay_s: float) -> None:
        if number not in self.unreachable:
            until_s = self.roster.members[number].until_s
            self.workers[number].inbox.append((now_s + delay_s, self.roster.dealing, until_s))

    def tell_all(self, now_s: float, delay_s: float) -> None:
        for number in self.roster.sending:
            self.tell(number, now_s, delay_s)

    def happen(self, what: str, number: int, now_s: float) -> None:
        worker, presence = self.workers[number], self.roster.members[number].presence
        if what == "kill" and not worker.is_dead and presence is not Presence.LOST:
            self.roster.lose(number, now_s, is_dead=True)
        worker.is_dead = worker.is_dead or what.startswith("kill")
        worker.is_frozen = what == "freeze" or (worker.is_frozen and what != "thaw")
        if what == "cut":
            self.unreachable.add(number)
        elif what == "heal":
            self.unreachable.discard(number)
        elif what == "join":
            self.roster.admit(self.add(), now_s)

    def turn(self, tick: int, now_s: float, delay_s: float) -> None:
        """Let workers send, speak once a second, and be missed if they do not."""
        for number, worker in self.workers.items():
            self.sent += worker.step(now_s)
            is_mute = worker.is_dead or worker.is_frozen or number in self.unreachable
            if is_mute or tick % 20 != number % 20:
                continue
            if self.roster.members[number].presence is Presence.LOST:
                self.roster.admit(number, now_s)
            self.roster.heard(number, now_s)
            self.tell(number, now_s, delay_s)
        for number in self.roster.silent(now_s):
            self.roster.lose(number, now_s, is_dead=False)
            self.tell_all(now_s, delay_s)


# What happens at each half second: nothing, one is killed (seen at once, or never), one freezes
# or thaws, its link breaks or heals, one more joins; to whom; and how long messages take.
KINDS = ["nothing", "kill", "kill unseen", "freeze", "thaw", "cut", "heal", "join"]
HAPPENINGS = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, 5), st.floats(0.0, 1.5)),
    min_size=24,
    max_size=24,
)


@given(first=st.integers(1, 4), happenings=HAPPENINGS)
@settings(max_examples=150, deadline=None)
def test_no_slot_is_ever_sent_twice_whatever_is_lost_or_joins(
    first: int, happenings: list[tuple[str, int, float]]
) -> None:
    model = Model(first)
    for tick in range(240):
        now_s = tick * 0.05
        what, whom, delay_s = happenings[tick // 10]
        if tick % 10 == 0:
            model.happen(what, whom % len(model.workers), now_s)
            model.tell_all(now_s, delay_s)
        model.turn(tick, now_s, delay_s)
    assert len(model.sent) == len(set(model.sent))
    assert np.all(model.roster.dealing.owners(ALL, TIMES_S) >= 0)


@given(first=st.integers(2, 4), at=st.integers(10, 150), whom=st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_one_death_costs_no_slot_but_the_dead_ones_until_the_cut_off(
    first: int, at: int, whom: int
) -> None:
    roster, workers, sent = Roster(), {}, []
    for number in range(first):
        workers[number] = Worker(Holding(number, TIMES_S))
        roster.join(number)
        roster.ready(number)
    roster.begin()
    dead = whom % first
    change = None
    for tick in range(240):
        now_s = tick * 0.05
        if tick == at:
            workers[dead].is_dead = True
            change = roster.lose(dead, now_s, is_dead=True)
        for number in roster.sending:
            workers[number].inbox.append((now_s, roster.dealing, roster.heard(number, now_s)))
        for worker in workers.values():
            sent += worker.step(now_s)
    assert change is not None
    assert change.from_s == pytest.approx(at * 0.05 + 0.05)
    missed = set(ALL.tolist()) - set(sent)
    assert len(sent) == len(set(sent))
    for slot in missed:
        assert slot % first == dead
        assert at * 0.05 - 1e-9 <= TIMES_S[slot] < change.from_s
