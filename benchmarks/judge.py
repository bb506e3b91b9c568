"""The judge's side of Python: `sources/judge.c` compiled, run, and asked what it saw."""

from __future__ import annotations

import contextlib
import json
import select
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.networks import SHARED, Network
from benchmarks.processes import pinned
from benchmarks.stall import Stall
from surgeproof.errors import EnvironmentNotReadyError, MissingBinaryError

__all__ = ["Judge", "Seen", "compile_judge", "judging"]

_SOURCE = Path(__file__).resolve().parent / "sources" / "judge.c"
_COMPILERS = ("cc", "gcc", "clang")
_COMPILE_S = 60.0
_START_S = 10.0
_END_S = 30.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What arrived: moments in seconds of CLOCK_MONOTONIC, in order, and counts.

    ``journeys`` are those that were completed, ``rejected`` the requests without a valid token
    or for what is not there.
    """

    arrivals_s: NDArray[np.float64]
    connections: int
    journeys: int
    rejected: int


def compile_judge(folder: Path) -> Path:
    """Compile the judge into a folder and return the program.

    Raises:
        MissingBinaryError: there is no C compiler.
        EnvironmentNotReadyError: the compiler fails (no headers, say).
    """
    compiler = next(filter(None, map(shutil.which, _COMPILERS)), None)
    if compiler is None:
        raise MissingBinaryError(
            f"no C compiler for the judge that logs arrivals; accepted: {', '.join(_COMPILERS)}"
        )
    program = folder / "judge"
    ended = subprocess.run(
        [compiler, "-O2", "-std=gnu11", "-o", str(program), str(_SOURCE)],
        capture_output=True,
        text=True,
        timeout=_COMPILE_S,
        check=False,
    )
    if ended.returncode != 0:
        raise EnvironmentNotReadyError(f"{compiler} cannot compile {_SOURCE}: {ended.stderr}")
    return program


class Judge:
    """The running server; what it saw is known once `finish` was called."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process, self._log = process, log
        output = process.stdout
        if output is None or not select.select([output], [], [], _START_S)[0]:
            raise EnvironmentNotReadyError(f"the judge said no port in {_START_S:g} s")
        port = output.readline().strip()
        if not port.isdigit():
            raise EnvironmentNotReadyError(f"the judge said {port!r}, not a port")
        self.url = f"http://127.0.0.1:{port}"

    def finish(self) -> Seen:
        """End the server and return what it saw."""
        output, _ = self._process.communicate(timeout=_END_S)
        counts = json.loads(output)
        arrivals = np.fromfile(self._log, dtype=np.int64)
        self._log.unlink()
        return Seen(arrivals / 1e9, counts["connections"], counts["journeys"], counts["rejected"])


@contextlib.contextmanager
def judging(
    program: Path,
    folder: Path,
    core: int | None,
    stall: Stall | None = None,
    network: Network = SHARED,
) -> Iterator[Judge]:
    """Run the judge in a process of its own for a while; it keeps its log in ``folder``."""
    log = folder / "arrivals.bin"
    command = [str(program), str(log)]
    if stall is not None:
        numbers = (stall.every_s, stall.length_s, stall.phase_s)
        command += ["--stall", *(f"{number:g}" for number in numbers)]
    process = subprocess.Popen(
        network.placed(pinned(command, core)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Judge(process, log)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
