"""The harness's side of the guardian: start it, tell it what to clean up, part in peace.

There is one guardian a run, started before anything else, and never a second one. If it dies
first nothing is lost, since the harness still cleans up after itself; the harness notices by
`GuardianLink.alive` and applies no fault from then on.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from surgeproof.errors import EnvironmentNotReadyError, UsageError
from surgeproof.faults import guardian_process

__all__ = ["Guardian", "GuardianLink"]

_START_S = 10.0
_TELL_S = 2.0
# The guardian tries this long to undo what the harness left open in spite of its bye.
_BYE_S = guardian_process.LAST_TRIES_S + 5.0
# Writes up to this size are whole or not at all, and cannot block where select says so.
_ATOMIC = select.PIPE_BUF

# A child registers first and then makes sure that the harness is still its parent: if so, the
# guardian, which waits for the harness to be quite gone, hears of the child; if not, the child
# ends before it becomes anything. The pipe is opened both ways so that a dead guardian cannot
# make it wait.
_REGISTER = """\
fifo=$1 name=$2 harness=$3
shift 3
if [ -p "$fifo" ]; then printf '%s %s\\n' "$$" "$name" 1<>"$fifo"; fi
read -r stat <"/proc/$$/stat"
stat=${stat##*) }
stat=${stat#* }
if [ "${stat%% *}" != "$harness" ]; then exit 125; fi
exec "$@"
"""


class GuardianLink:
    """The pipe to the running guardian. Safe to use from several threads.

    As a context manager it says bye at the end of the block; an exception that leaves the block
    counts as the harness's death: the guardian undoes and ends everything that is registered.
    """

    def __init__(self, process: subprocess.Popen[bytes], fifo: Path) -> None:
        self._process = process
        self._fifo = fifo
        self._harness = os.getpid()

    @property
    def pid(self) -> int:
        return self._process.pid

    def alive(self) -> bool:
        """Tell whether the guardian still runs."""
        return self._process.poll() is None

    def intent(self, fault_id: str, undo: Mapping[str, object]) -> None:
        """Say that a fault is about to be applied, and which call undoes it.

        ``undo`` is ``{method, url, body?, ok: [status…], check?: {url, status: […], body?}}``:
        the fault is gone when the answer is among ``ok`` and reading ``check`` shows ``status``
        and, if that is 200, the members of ``body``.

        Raises:
            EnvironmentNotReadyError: the guardian is gone, and the fault must not be applied.
        """
        if not self._tell({"message": "fault.intent", "id": fault_id, "undo": dict(undo)}):
            raise EnvironmentNotReadyError(
                f"the guardian (pid {self.pid}) is gone: a fault that outlived "
                "this process would stay behind"
            )

    def undone(self, fault_id: str) -> None:
        """Say that a fault is gone, verified."""
        self._tell({"message": "fault.undone", "id": fault_id})

    def process(self, pid: int, name: str) -> None:
        """Register a running process; `wrap` does it without a gap at the start."""
        self._tell({"message": "process", "pid": pid, "name": name})

    def gone(self, pid: int) -> None:
        """Say that a registered process has ended and must not be looked for any more."""
        self._tell({"message": "gone", "pid": pid})

    def wrap(self, command: Sequence[str], name: str) -> list[str]:
        """Return a command that registers itself and then becomes ``command``, same pid.

        Only this very process may start it (else it exits with 125), as a direct child in a
        session of its own, and under the harness's user: what changes user belongs *inside*.

        Raises:
            UsageError: the name is empty or has spaces.
        """
        if not name or name.split() != [name]:
            raise UsageError(f"process name {name!r}; accepted: a word without spaces")
        register = ["/bin/sh", "-c", _REGISTER, "surgeproof-register"]
        return [*register, str(self._fifo), name, str(self._harness), *command]

    def bye(self) -> None:
        """Part in peace; what is open all the same is undone and ended.

        Raises:
            EnvironmentNotReadyError: the guardian does not end.
        """
        self._tell({"message": "bye"})
        self._close()

    def _tell(self, message: Mapping[str, object]) -> bool:
        """Write one message; False if there is nobody to read it."""
        line = json.dumps(message).encode() + b"\n"
        if len(line) > _ATOMIC:
            raise UsageError(f"message to the guardian of {len(line)} bytes; accepted: {_ATOMIC}")
        pipe = self._process.stdin
        if pipe is None or pipe.closed or not self.alive():
            return False
        try:
            _, writable, _ = select.select([], [pipe], [], _TELL_S)
            return bool(writable) and os.write(pipe.fileno(), line) == len(line)
        except (OSError, ValueError):
            # Broken, or closed by another thread just now.
            return False

    def _close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None and not pipe.closed:
                pipe.close()
        try:
            self._process.wait(_BYE_S)
        except subprocess.TimeoutExpired as error:
            raise EnvironmentNotReadyError(
                f"the guardian (pid {self.pid}) still runs {_BYE_S:.0f} s after its end was asked"
            ) from error
        # A guardian that was killed could not remove it.
        self._fifo.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.bye()
        else:
            self._close()


class Guardian:
    """The one guardian of a run."""

    @staticmethod
    def start(folder: Path) -> GuardianLink:
        """Start the guardian of a run folder and wait until it listens.

        Raises:
            EnvironmentNotReadyError: it did not start, or the folder has one already.
        """
        fifo = folder.absolute() / "guardian.fifo"
        process = subprocess.Popen(
            [
                sys.executable,
                # Isolated and without site: nothing of the environment can break it.
                "-I",
                "-S",
                str(Path(guardian_process.__file__).absolute()),
                str(folder.absolute()),
                str(fifo),
                str(os.getpid()),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert process.stdin is not None  # noqa: S101  # for the type checker: asked for above
        assert process.stdout is not None  # noqa: S101
        ready, _, _ = select.select([process.stdout], [], [], _START_S)
        said = os.read(process.stdout.fileno(), 65536).decode("utf-8", "replace") if ready else ""
        if said == "ready\n":
            return GuardianLink(process, fifo)
        if not said.startswith("ready"):
            process.kill()
        rest, _ = process.communicate()
        told = (said + rest.decode("utf-8", "replace")).strip().splitlines()
        raise EnvironmentNotReadyError(
            f"the guardian of {folder} did not start: {told[-1] if told else 'it said nothing'}"
        )
