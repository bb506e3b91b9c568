"""What a load generator is asked to do in one run, and how it is started for that."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol

from benchmarks.stall import ResponseTimes

__all__ = ["OUTPUT_FILE", "Job", "Launch", "Teller", "Tool", "Work", "peer_environment"]

# Where in its folder the standard output of a run is.
OUTPUT_FILE = "stdout.txt"
# Settings of the tools in the caller's environment would change a run without a trace.
_SETTINGS = ("LOCUST_", "K6_", "K9_", "SURGEPROOF_")


class Work(Enum):
    """What one arrival (or one turn of a closed loop) does."""

    GET = "get"
    JOURNEY = "journey"


@dataclass(frozen=True, slots=True)
class Job:
    """One run against a server. ``folder`` is the run's own, for scratch files.

    ``rate_per_s`` None is the closed loop: as many as ``users`` users (or connections) get done.
    With a rate, ``users`` is how many the tool may have under way, for tools that need to be
    told. ``duration_s`` is a whole number, for Locust takes no other.
    """

    url: str
    folder: Path
    duration_s: float
    rate_per_s: float | None
    users: int
    work: Work = Work.GET

    def output(self) -> str:
        """Return what the tool printed."""
        return (self.folder / OUTPUT_FILE).read_text(encoding="utf-8", errors="replace")


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a tool.

    ``begin``, if any, lets it go once it is prepared: it is given a function that says whether
    the tool still runs. ``stop_after_s`` is when a run that would go on is told to end.
    ``directory`` is where it runs, None the run's folder. ``companions`` are processes, each with
    its environment, that belong to the tool and end with it.
    """

    command: Sequence[str]
    environment: Mapping[str, str]
    begin: Callable[[Callable[[], bool]], None] | None = None
    stop_after_s: float | None = None
    directory: Path | None = None
    companions: Sequence[tuple[Sequence[str], Mapping[str, str]]] = ()


class Tool(Protocol):
    """A load generator as a process."""

    @property
    def name(self) -> str:
        """What tables call it."""
        ...

    def launch(self, job: Job) -> Launch:
        """Return how to start it for a job; may write to the job's folder."""
        ...


class Teller(Tool, Protocol):
    """A tool that says how long requests took."""

    def reported(self, job: Job) -> ResponseTimes:
        """Return what it reports of a job that has ended.

        Raises:
            EnvironmentNotReadyError: it reports no request.
        """
        ...


def peer_environment(settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment without settings of the tools, and with ``settings``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)}
    return {**kept, **(settings or {})}
