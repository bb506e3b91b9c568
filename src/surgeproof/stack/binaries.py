"""Where the servers' programs are found, and what to install when they are not."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from surgeproof.errors import MissingBinaryError

__all__ = ["Program", "find_program"]

_VERSION_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Program:
    """A program that a server kind needs.

    ``variable`` names an environment variable that points at it; ``version`` is what the output
    of ``-version`` must contain; ``path_first`` asks PATH before the Python environment's own.
    """

    name: str
    install: str
    variable: str | None = None
    version: str | None = None
    path_first: bool = False


def find_program(program: Program, environ: Mapping[str, str], scripts: Path | None = None) -> Path:
    """Return the absolute path of ``program``.

    ``scripts`` is the folder where the Python environment keeps programs.

    Raises:
        MissingBinaryError: there is none, or none of the right version.
    """
    pointed = environ.get(program.variable, "") if program.variable else ""
    if pointed:
        found = shutil.which(pointed)
        if found is None:
            raise MissingBinaryError(
                f"{program.variable} is {pointed!r}, which is no program; accepted: the path of "
                f"{program.name}; to get it: {program.install}"
            )
        candidates = [found]
    else:
        own = str(scripts or sysconfig.get_path("scripts"))
        folders = [environ.get("PATH", ""), own]
        places = folders if program.path_first else reversed(folders)
        candidates = [
            found for place in places if place and (found := shutil.which(program.name, path=place))
        ]
    wrong: list[str] = []
    for candidate in dict.fromkeys(candidates):
        complaint = _version_complaint(program, candidate)
        if complaint is None:
            return Path(candidate).absolute()
        wrong.append(complaint)
    seen = f" ({'; '.join(wrong)})" if wrong else ""
    wanted = f"{program.name} {program.version}" if program.version else program.name
    raise MissingBinaryError(f"{wanted} is not installed{seen}; to get it: {program.install}")


def _version_complaint(program: Program, candidate: str) -> str | None:
    if program.version is None:
        return None
    try:
        answer = subprocess.run(
            [candidate, "-version"],
            capture_output=True,
            text=True,
            timeout=_VERSION_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{candidate} cannot be run: {error}"
    words = f"{answer.stdout} {answer.stderr}".split()
    if program.version in words:
        return None
    return f"{candidate} says {' '.join(words[:8])!r}"
