"""PostgreSQL as a plain child on TCP: durable as in production, small as a rehearsal needs it."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from surgeproof.stack.children import Launch
from surgeproof.stack.ports import LOOPBACK
from surgeproof.stack.postgres_wire import accepts
from surgeproof.stack.servers.kind import SERVER_RANK, ServerKind, Site
from surgeproof.stack.specs import ServerSpec

__all__ = ["KIND", "ROLE", "SETTINGS", "data_directory", "initdb_launch", "seeding_launch"]

ROLE = "app"
_INITDB_TIMEOUT_S = 60.0

# Commits wait for the disk, as they do where it matters. The rest keeps the server small; the
# memory that its processes share lies in its own folder, so a killed server leaves none behind.
SETTINGS = (
    "fsync=on",
    "synchronous_commit=on",
    "shared_buffers=64MB",
    "max_connections=100",
    "jit=off",
    "dynamic_shared_memory_type=mmap",
    "unix_socket_directories=",
    f"listen_addresses={LOOPBACK}",
    "logging_collector=off",
    "log_min_duration_statement=250ms",
    "log_line_prefix=%m [%p] %a ",
    "log_timezone=UTC",
)


def data_directory(folder: Path) -> Path:
    """Return where the server's data lies within its folder."""
    return folder / "data"


def launch(spec: ServerSpec, site: Site) -> Launch:
    """Return the command for a data directory that is there already."""
    return _server(spec, site, data_directory(site.folder))


def seeding_launch(spec: ServerSpec, site: Site, data: Path) -> Launch:
    """Return the command of the server that is only up to be filled.

    It is stopped by a *fast* shutdown, which writes everything out; a run's own server is stopped
    by an *immediate* one, for its data are thrown away.
    """
    server = _server(spec, site, data, name=f"{spec.name}-seeding", database="postgres")
    return replace(server, stop_signal=signal.SIGINT)


def initdb_launch(spec: ServerSpec, site: Site, data: Path) -> Launch:
    """Return the command that makes an empty cluster at ``data``, an empty folder of the user's."""
    return Launch(
        name=f"{spec.name}-initdb",
        command=(
            str(site.programs["initdb"]),
            *("--pgdata", str(data), "--username", ROLE, "--auth", "trust"),
            *("--encoding", "UTF8", "--locale", "C", "--no-instructions"),
            *("--wal-segsize", "4"),
        ),
        directory=site.folder,
        environment=site.environment,
        ready=_never,
        waits_for="its end",
        ready_timeout_s=_INITDB_TIMEOUT_S,
        rank=SERVER_RANK,
        user=site.user,
    )


def _server(
    spec: ServerSpec, site: Site, data: Path, *, name: str = "", database: str = ""
) -> Launch:
    port = site.ports[spec.name]
    options = [word for setting in SETTINGS for word in ("-c", setting)]
    return Launch(
        name=name or spec.name,
        command=(
            str(site.programs["postgres"]),
            *("-D", str(data), "-p", str(port)),
            *options,
            *spec.arguments,
        ),
        directory=site.folder,
        environment=site.environment,
        ready=_accepts(port, database or spec.database),
        waits_for=f"a session on {LOOPBACK}:{port}",
        ready_timeout_s=spec.ready_timeout_s,
        rank=SERVER_RANK,
        fixed_port=spec.port,
        user=site.user,
        stop_signal=signal.SIGQUIT,
    )


def _accepts(port: int, database: str) -> Callable[[int], bool]:
    def probe(_pid: int) -> bool:
        return accepts(port, ROLE, database)

    return probe


def _never(_pid: int) -> bool:
    return False


KIND = ServerKind(
    name="postgres",
    programs=(),
    launch=launch,
    options=frozenset({"database"}),
)
