"""Who is there, who has leave to send until when, and what to do about those who are not.

A worker may start arrivals only up to a moment of the schedule that the master has given it leave
for, some seconds ahead, and leave is never taken back. Each sign of life extends it. That makes
slots safe to deal again without asking anybody: whoever is silent cannot have sent anything beyond
its leave, however alive it is behind a broken link.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from surgeproof.load.fleet.dealing import Dealing, Epoch, Takeover

__all__ = ["Member", "Presence", "Roster", "Timing"]


@dataclass(frozen=True, slots=True)
class Timing:
    """Times in seconds: leave, patience with a silent worker, and notice of a change.

    Leave goes so far ahead, so much silence counts as a loss, and so long before its moment a
    change is told.

    A worker speaks every second, so two messages may come late before its leave runs out.
    """

    leave_s: float = 4.0
    silence_s: float = 3.0
    lead_s: float = 0.05


class Presence(StrEnum):
    """What a worker is to the run."""

    PREPARING = "preparing"
    READY = "ready"
    SENDING = "sending"
    LOST = "lost"
    ENDED = "ended"


@dataclass(slots=True)
class Member:
    """One worker: ``heard_s`` and ``until_s`` (its leave) are seconds since t0."""

    number: int
    presence: Presence = Presence.PREPARING
    heard_s: float = 0.0
    until_s: float = 0.0


class Roster:
    """The workers of one run and the dealing among them. Times are seconds since t0."""

    def __init__(self, timing: Timing | None = None) -> None:
        self._timing = timing or Timing()
        self.members: dict[int, Member] = {}
        self.dealing = Dealing()

    def numbers(self, *presences: Presence) -> tuple[int, ...]:
        """Return the workers in one of these states, in order of their numbers."""
        return tuple(
            sorted(each.number for each in self.members.values() if each.presence in presences)
        )

    @property
    def sending(self) -> tuple[int, ...]:
        return self.numbers(Presence.SENDING)

    def join(self, number: int) -> None:
        """Take in a worker that prepares; one that was here before begins anew."""
        known = self.members.get(number)
        # Leave that was given stays given, whatever becomes of the worker.
        until_s = known.until_s if known is not None else 0.0
        self.members[number] = Member(number, until_s=until_s)

    def ready(self, number: int) -> None:
        """Note that a worker is prepared."""
        self.members[number].presence = Presence.READY

    def begin(self) -> None:
        """Deal everything, from t0 on, among those who are ready.

        Raises:
            ValueError: nobody is.
        """
        ready = self.numbers(Presence.READY)
        self.dealing = self.dealing.then(Epoch(0.0, ready))
        for number in ready:
            self._set_sending(number, 0.0)

    def admit(self, number: int, now_s: float) -> float:
        """Give a worker its share from the next cut-off on, and return that moment.

        It is where the leave of all others ends: until there they may send by the dealing before.
        """
        from_s = max(now_s + self._timing.lead_s, *(each.until_s for each in self.members.values()))
        self.dealing = self.dealing.then(Epoch(from_s, tuple(sorted({*self.sending, number}))))
        self._set_sending(number, now_s)
        return from_s

    def heard(self, number: int, now_s: float) -> float:
        """Note a sign of life of a worker that sends; return until when it has leave now."""
        member = self.members[number]
        member.heard_s = now_s
        member.until_s = max(member.until_s, now_s + self._timing.leave_s)
        return member.until_s

    def silent(self, now_s: float) -> tuple[int, ...]:
        """Return the workers that should send and have not been heard of for too long."""
        return tuple(
            number
            for number in self.sending
            if now_s - self.members[number].heard_s > self._timing.silence_s
        )

    def forgive(self, duration_s: float) -> None:
        """Do not count ``duration_s`` as silence: the master itself was held up."""
        for number in self.sending:
            self.members[number].heard_s += duration_s

    def lose(self, number: int, now_s: float, *, is_dead: bool) -> Takeover | None:
        """Strike a worker off and deal its slots; None if nobody is left to take them.

        One that is surely dead sends nothing any more; of one that is only silent nothing is
        known but its leave.
        """
        member = self.members[number]
        from_s = now_s + self._timing.lead_s
        if not is_dead:
            from_s = max(from_s, member.until_s)
        was_sending = member.presence is Presence.SENDING
        member.presence = Presence.LOST
        if is_dead:
            member.until_s = min(member.until_s, now_s)
        return self._hand_over(number, from_s) if was_sending else None

    def leave(self, number: int, now_s: float, stopped_s: float) -> Takeover | None:
        """Let a worker go that has stopped at ``stopped_s``; None if nobody is left to take over.

        Nobody has started anything of its share from there on, so the others may, a little late.
        """
        member = self.members[number]
        was_sending = member.presence is Presence.SENDING
        member.presence, member.until_s = Presence.ENDED, min(member.until_s, now_s)
        return self._hand_over(number, stopped_s) if was_sending else None

    def end(self, number: int) -> None:
        """Note that a worker has done all of its part."""
        self.members[number].presence = Presence.ENDED

    def _set_sending(self, number: int, now_s: float) -> None:
        self.members[number].presence = Presence.SENDING
        self.heard(number, now_s)

    def _hand_over(self, number: int, from_s: float) -> Takeover | None:
        heirs: Sequence[int] = self.sending
        if not heirs:
            return None
        change = Takeover(from_s, number, tuple(heirs))
        self.dealing = self.dealing.then(change)
        return change
