"""A Prometheus of the run's own: where its binary is, its files, and its command line.

The stack starts it like any other extra process, in a working directory that it throws away
afterwards: there its storage lies, for a time-series database has no place in a report.
"""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from surgeproof.errors import EnvironmentNotReadyError
from surgeproof.observe.dashboards import TARGETS_FILE, dashboard_files

__all__ = ["INSTALL_HINT", "PrometheusServer", "find_prometheus", "write_targets"]

INSTALL_HINT = "install the Debian package `prometheus`, or pass --prometheus URL"
_LOOPBACK = "127.0.0.1"
_STORAGE = "prometheus-data"


def find_prometheus(search_path: str | None = None) -> Path | None:
    """Return the binary on PATH (or on ``search_path``), None if there is none."""
    found = shutil.which("prometheus", path=search_path)
    return None if found is None else Path(found)


class PrometheusServer:
    """Files, port and command of one server; `close` after the process has ended.

    ``command`` stores below its working directory. The files in ``folder`` are those of
    `dashboards/`, and this run's targets (process name to metrics URL).
    """

    def __init__(
        self, binary: Path, folder: Path, targets: Mapping[str, str], *, log_level: str = "warn"
    ) -> None:
        self._holder = _held_port()
        self.url = f"http://{_LOOPBACK}:{self._holder.getsockname()[1]}"
        self.ready_url = f"{self.url}/-/ready"
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        texts = dashboard_files()
        for name in ("prometheus.yml", "rules.yml"):
            (folder / name).write_text(texts[name], encoding="utf-8")
        write_targets(folder, targets)
        self.command: tuple[str, ...] = (
            str(binary),
            f"--config.file={folder.absolute() / 'prometheus.yml'}",
            f"--storage.tsdb.path={_STORAGE}",
            "--storage.tsdb.retention.time=1d",
            f"--web.listen-address={self.url.removeprefix('http://')}",
            f"--log.level={log_level}",
        )

    def close(self) -> None:
        """Give the port back; safe to call twice."""
        self._holder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def write_targets(folder: Path, targets: Mapping[str, str]) -> None:
    """Write the target file of `prometheus.yml`, whole or not at all."""
    groups = [
        {
            "targets": [urlsplit(url).netloc],
            "labels": {"process": process, "__metrics_path__": urlsplit(url).path or "/metrics"},
        }
        for process, url in targets.items()
    ]
    path = folder / TARGETS_FILE
    unfinished = path.with_suffix(".part")
    unfinished.write_text(json.dumps(groups, indent=2) + "\n", encoding="utf-8")
    unfinished.replace(path)


def _held_port() -> socket.socket:
    """Return a bound socket that never listens, so that nobody else is given its port.

    With SO_REUSEADDR on both sides (Go sets it) the server can listen there all the same.
    """
    holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        holder.bind((_LOOPBACK, 0))
    except OSError as error:
        holder.close()
        message = f"cannot have a port on {_LOOPBACK} for prometheus: {error.strerror}"
        raise EnvironmentNotReadyError(message) from error
    return holder
