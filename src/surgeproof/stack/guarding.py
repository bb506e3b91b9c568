"""What this package needs of the process that outlives the harness."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

__all__ = ["ProcessGuardian"]


class ProcessGuardian(Protocol):
    """Ends every process told to it when the harness dies before it could do so itself."""

    def wrap(self, command: Sequence[str], name: str) -> list[str]:
        """Return a command that registers itself and then becomes ``command``, same pid."""
        ...

    def gone(self, pid: int) -> None:
        """Say that a registered process has ended and must not be looked for any more."""
        ...
