"""Code that blocks the event loop: found while it does so, and named.

All arrivals share one event loop. A journey that sleeps with `time.sleep`, computes for long or
makes a synchronous request stops every other arrival for as long, and that would look like a slow
target. The loop notes a *beat* at fixed intervals; another thread looks at it. Where a beat is
overdue, and two looks find one and the same call of a journey at work, that call blocks.

Two looks, because an overloaded loop is late as well: there each look finds another arrival, and
nobody is named. What holds the interpreter itself (a long call into C) cannot be looked at while
it does; it shows in the loop's lag only.
"""

from __future__ import annotations

import math
import os
import sys
import sysconfig
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType

__all__ = ["CLOSE_S", "Blocked", "Place", "Stacks", "Watchdog", "journey_codes", "locate"]

# A loop that is held up for this long makes arrivals late that are on time within 10 ms.
_AFTER_S = 0.05
# While a beat is overdue, look this often.
CLOSE_S = 0.005
# What blocks for this long is told while it still does: it may never end.
_HANGS_S = 1.0
# The same place is told again after this.
_QUIET_S = 10.0
# So many places fit in a pulse line; the worst come first.
_MOST_PLACES = 5

_PACKAGE = Path(__file__).parents[1]
_NOT_THE_AUTHORS = tuple(
    f"{path}{os.sep}"
    for path in (
        *{sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")},
        _PACKAGE,
    )
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where code blocks: ``journey`` is empty if it runs in a task that the journey started."""

    journey: str
    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    @property
    def code(self) -> tuple[str, str, str]:
        """The journey and the function, whichever line of it."""
        return self.journey, self.file, self.function


@dataclass(frozen=True, slots=True)
class Blocked:
    """How often code blocked the loop for 50 ms or more; ``place`` is where it did for longest."""

    place: Place
    count: int
    longest_s: float


@dataclass(slots=True)
class _Suspect:
    """What was found at work when a beat was overdue."""

    call: FrameType  # held, so that no other call can be taken for this one
    since_s: float
    place: Place
    is_certain: bool = False
    is_told: bool = False


class Stacks:
    """The stack of one thread, as another sees it.

    Under gevent a thread that waits (in a patched ``time.sleep``, in a patched socket) runs
    gevent's own loop; the code that waits is then in a suspended greenlet, not on the stack.
    """

    def __init__(self) -> None:
        self._thread: int | None = None
        self._suspended: Callable[[], FrameType | None] = lambda: None

    def attach(self) -> None:
        """Take the calling thread as the one to look at."""
        # Only where Locust runs; the journeys' package itself needs neither.
        from gevent import getcurrent  # noqa: PLC0415
        from gevent.monkey import get_original  # noqa: PLC0415

        self._thread = get_original("_thread", "get_ident")()
        mine = getcurrent()
        self._suspended = lambda: mine.gr_frame

    def frame(self) -> FrameType | None:
        """Return the innermost frame, None if there is no such thread."""
        if self._thread is None:
            return None
        return self._suspended() or sys._current_frames().get(self._thread)  # noqa: SLF001


class Watchdog:
    """Counts what blocks the loop.

    ``look`` belongs to one thread, and not to the loop's. ``journeys`` has the name of each
    journey by its code; ``period_s`` is how often the loop means to beat.
    """

    def __init__(
        self,
        stack: Callable[[], FrameType | None],
        journeys: Mapping[CodeType, str],
        say: Callable[[str], None],
        *,
        period_s: float,
        after_s: float = _AFTER_S,
    ) -> None:
        self._stack, self._journeys, self._say = stack, journeys, say
        self._period_s, self._after_s = period_s, after_s
        self._beat_s: float | None = None
        self._suspect: _Suspect | None = None
        # By journey, file and function: within a loop that computes, each look meets another line.
        self._blocked: dict[tuple[str, str, str], Blocked] = {}
        self._told_s: dict[tuple[str, str, str], float] = {}

    @property
    def blocked(self) -> list[Blocked]:
        """What blocked so far, the longest first."""
        return sorted(self._blocked.values(), key=lambda each: -each.longest_s)

    def line(self) -> dict[str, object]:
        """Return the part of a pulse line: ``blocked``, a list of places, the worst first."""
        return {
            "blocked": [
                {
                    "journey": each.place.journey,
                    "place": str(each.place),
                    "function": each.place.function,
                    "count": each.count,
                    "longest_s": round(each.longest_s, 6),
                }
                for each in self.blocked[:_MOST_PLACES]
            ]
        }

    def look(self, now_s: float, beat_s: float) -> bool:
        """Look at the loop, whose last beat was at ``beat_s``; return whether one is overdue.

        Both moments are seconds on one axis. Meant to be called every 20 ms, which costs next to
        nothing, and every `CLOSE_S` for as long as a beat is overdue.
        """
        if beat_s != self._beat_s:
            self._end(beat_s, now_s)
            self._beat_s = beat_s
        overdue_s = now_s - beat_s - self._period_s
        if overdue_s < self._after_s / 4:
            return False
        found = locate(self._stack(), self._journeys)
        suspect = self._suspect
        if found is None:
            self._suspect = None
        elif suspect is None or suspect.call is not found[0]:
            self._suspect = _Suspect(found[0], now_s, found[1])
        else:
            suspect.is_certain |= now_s - suspect.since_s >= self._after_s / 2
            if suspect.is_certain and not suspect.is_told and overdue_s >= _HANGS_S:
                suspect.is_told = True
                self._tell(
                    suspect.place, f"has blocked the event loop for {overdue_s:.1f} s", now_s
                )
        return True

    def close(self, now_s: float) -> None:
        """Count what blocks right now, for nobody will look any more."""
        self._end(now_s, now_s)

    def _end(self, beat_s: float, now_s: float) -> None:
        """Count what blocked until this beat, if anything did."""
        suspect, self._suspect = self._suspect, None
        if suspect is None or not suspect.is_certain or self._beat_s is None:
            return
        lasted_s = beat_s - self._beat_s - self._period_s
        if lasted_s < self._after_s:
            return
        place = suspect.place
        known = self._blocked.get(place.code, Blocked(place, 0, 0.0))
        worst = place if lasted_s > known.longest_s else known.place
        known = Blocked(worst, known.count + 1, max(known.longest_s, lasted_s))
        self._blocked[place.code] = known
        if now_s - self._told_s.get(place.code, -math.inf) >= _QUIET_S:
            times = f", {known.count} times so far" if known.count > 1 else ""
            self._tell(place, f"blocked the event loop for {lasted_s * 1e3:.0f} ms{times}", now_s)

    def _tell(self, place: Place, what: str, now_s: float) -> None:
        self._told_s[place.code] = now_s
        who = f"journey {place.journey!r}" if place.journey else "a task of a journey"
        self._say(
            f"{who} {what} at {place} in {place.function}: every other arrival waited as long;"
            " await there, or move the work to a thread with asyncio.to_thread"
        )


def journey_codes(methods: Mapping[str, Callable[..., object]]) -> Mapping[CodeType, str]:
    """Return the name of each journey by the code of its method, wrapped or not."""
    found: dict[CodeType, str] = {}
    for name, method in methods.items():
        inner: object = method
        while inner is not None:
            code = getattr(inner, "__code__", None)
            if isinstance(code, CodeType):
                found[code] = name
            inner = getattr(inner, "__wrapped__", None)
    return found


def locate(
    frame: FrameType | None, journeys: Mapping[CodeType, str]
) -> tuple[FrameType, Place] | None:
    """Return the call that is at work and the place in the author's code; None if there is none.

    The call is the journey's own, or the outermost one of the author's code.
    """
    stack = list(_outwards(frame))
    journey = next((each for each in reversed(stack) if each.f_code in journeys), None)
    authors = [each for each in stack if _is_the_authors(each.f_code.co_filename)]
    if journey is None and not authors:
        return None
    call = journey or authors[-1]
    at = authors[0] if authors else call
    name = "" if journey is None else journeys[journey.f_code]
    code = at.f_code
    return call, Place(name, _shown(code.co_filename), at.f_lineno, code.co_qualname)


def _outwards(frame: FrameType | None) -> Iterable[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _is_the_authors(file: str) -> bool:
    """Whether a file is neither a library's nor ours (nor the standard library's)."""
    return not file.startswith(("<", *_NOT_THE_AUTHORS))


def _shown(file: str) -> str:
    """Return a path as one would type it: relative where it is below the working folder."""
    path = Path(file)
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return file
