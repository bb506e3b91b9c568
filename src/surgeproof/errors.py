"""The one error tree of surgeproof.

::

    SurgeproofError                 exit 1
    ├── UsageError                  exit 2   a command line that cannot be obeyed
    │   ├── PlanError               exit 2   every mistake of a plan at once
    │   └── FormatError             exit 2   a file that is not the format it should be
    ├── EnvironmentNotReadyError    exit 6   the machine or the target lacks something
    │   ├── MissingBinaryError      exit 6   says what to install
    │   ├── PortTakenError          exit 6
    │   └── TargetNotReadyError     exit 6   carries the last log lines
    ├── FaultError                  exit 1
    │   ├── FaultRejectedError      exit 2   definite: nothing was changed
    │   ├── FaultIndefiniteError    exit 1   a call timed out: the effect is unknown
    │   └── RollbackFailedError     exit 9   a fault could not be undone
    └── AbortedError                exit 8   a guard ended the run

A message says what was wrong, the value, where, and what is accepted; lower case, no final stop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

__all__ = [
    "AbortedError",
    "EnvironmentNotReadyError",
    "FaultError",
    "FaultIndefiniteError",
    "FaultRejectedError",
    "FormatError",
    "MissingBinaryError",
    "Mistake",
    "PlanError",
    "PortTakenError",
    "RollbackFailedError",
    "SurgeproofError",
    "TargetNotReadyError",
    "UsageError",
]


class SurgeproofError(Exception):
    """The base of every error that surgeproof raises."""

    exit_code: ClassVar[int] = 1


class UsageError(SurgeproofError):
    """The command line asks for something that cannot be done."""

    exit_code: ClassVar[int] = 2


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing wrong in a file: ``line`` and ``column`` are 1-based, 0 where unknown."""

    file: str
    line: int
    column: int
    key: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.key}: {self.message}" if self.key else f"{place}: {self.message}"


class PlanError(UsageError):
    """A plan file has mistakes; all of them are in ``mistakes``, in file order."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(str(mistake) for mistake in self.mistakes))


class FormatError(UsageError):
    """A file is not in the format that its use here requires."""


class EnvironmentNotReadyError(SurgeproofError):
    """The machine, a server or the target lacks what the run needs."""

    exit_code: ClassVar[int] = 6


class MissingBinaryError(EnvironmentNotReadyError):
    """A program that the run needs is not installed; the message says how to get it."""


class PortTakenError(EnvironmentNotReadyError):
    """A port that the plan fixes is in use by somebody else."""


class TargetNotReadyError(EnvironmentNotReadyError):
    """A process or target did not become ready in time; ``log_tail`` shows its last lines."""

    def __init__(self, message: str, log_tail: Sequence[str] = ()) -> None:
        self.log_tail = tuple(log_tail)
        shown = "".join(f"\n    {line}" for line in self.log_tail)
        super().__init__(f"{message}{shown}")


class FaultError(SurgeproofError):
    """A fault could not be handled as asked."""


class FaultRejectedError(FaultError):
    """The fault was refused before or by the server: nothing was changed (definite)."""

    exit_code: ClassVar[int] = 2


class FaultIndefiniteError(FaultError):
    """A call to the fault's server timed out or broke: whether it took effect is unknown."""


class RollbackFailedError(FaultError):
    """A fault could not be removed, or its removal could not be verified."""

    exit_code: ClassVar[int] = 9


class AbortedError(SurgeproofError):
    """A guard stopped the rehearsal."""

    exit_code: ClassVar[int] = 8
