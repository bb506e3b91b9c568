"""How the harness starts Locust: always a process of its own, for Locust patches its process."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from surgeproof.load.handover import HEADERS_VARIABLE, ORDER_VARIABLE, LoadOrder
from surgeproof.load.plain import DRIVER_FILE

__all__ = [
    "generator_environment",
    "locust_command",
    "master_command",
    "read_back_command",
    "worker_command",
    "worker_environment",
]

_LOOPBACK = "127.0.0.1"


def locust_command(
    order: LoadOrder, *, python: str = sys.executable, csv: Path | None = None
) -> list[str]:
    """Return the command of one headless Locust process for an order.

    It exits 0 when the load has been driven, whatever the target answered, and other than 0 when
    it could not be driven (the exit code of the error). With ``csv`` Locust writes its own
    statistics there. The environment must be that of `generator_environment`.
    """
    command = [*_locust(order, python), "--users", "1", "--spawn-rate", "1"]
    command += ["--host", order.base_url, "--exit-code-on-error", "0"]
    return command if csv is None else [*command, "--csv", str(csv)]


def master_command(
    order: LoadOrder, port: int, *, python: str = sys.executable, csv: Path | None = None
) -> list[str]:
    """Return the command of the master of ``load.workers`` workers on this machine.

    It is otherwise as `locust_command`: it starts once all workers have come, and takes its order
    from the same environment. ``port`` is where workers find it on the loopback.
    """
    count = str(order.load.workers)
    return [
        *locust_command(order, python=python, csv=csv),
        *("--master", "--master-bind-host", _LOOPBACK, "--master-bind-port", str(port)),
        *("--expect-workers", count),
    ]


def worker_command(order: LoadOrder, port: int, *, python: str = sys.executable) -> list[str]:
    """Return the command of one worker of the master on ``port``, from which it has its order."""
    return [
        *_locust(order, python),
        *("--worker", "--master-host", _LOOPBACK, "--master-port", str(port)),
        *("--exit-code-on-error", "0"),
    ]


def worker_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return ``environment`` without an order, without secrets, and without Locust's settings."""
    ours = (ORDER_VARIABLE, HEADERS_VARIABLE)
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith("LOCUST_") and name not in ours
    }


def _locust(order: LoadOrder, python: str) -> list[str]:
    # The driver takes over where the scenario has plain Locust users, and leaves others alone.
    files = f"{order.load.file},{DRIVER_FILE}"
    return [python, "-m", "locust", "-f", files, "--headless", "--only-summary"]


def generator_environment(
    environment: Mapping[str, str], order_path: Path, headers: Mapping[str, str]
) -> dict[str, str]:
    """Return ``environment`` with the order's place and the secret headers added.

    Settings of Locust in the caller's environment (``LOCUST_…``) are taken out: they would
    change the run without a trace in its journal.
    """
    kept = {name: value for name, value in environment.items() if not name.startswith("LOCUST_")}
    kept[ORDER_VARIABLE] = str(order_path)
    kept[HEADERS_VARIABLE] = json.dumps(dict(headers))
    return kept


def read_back_command(order_path: Path, *, python: str = sys.executable) -> list[str]:
    """Return the command that reads the ledger back after the run."""
    return [python, "-m", "surgeproof.load.read_back", "--order", str(order_path)]
