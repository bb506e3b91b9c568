"""The driver ``processes``: the whole stack as child processes on loopback."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType

from surgeproof.clock import Clock, SystemClock
from surgeproof.errors import EnvironmentNotReadyError
from surgeproof.journal.folder import RunFolder
from surgeproof.stack.children import Child, Children, Launch
from surgeproof.stack.database_cache import DatabaseCache
from surgeproof.stack.guarding import ProcessGuardian
from surgeproof.stack.interrupts import interrupts_deferred
from surgeproof.stack.ports import PortBook
from surgeproof.stack.probes import answers_ok
from surgeproof.stack.programs import Programs, find_programs
from surgeproof.stack.running import RunningStack
from surgeproof.stack.scratch import Scratch, cache_root
from surgeproof.stack.seeding import Seeding
from surgeproof.stack.servers import SERVER_KINDS
from surgeproof.stack.servers.kind import Site
from surgeproof.stack.servers.postgres import data_directory
from surgeproof.stack.servers.toxiproxy import create_proxies
from surgeproof.stack.specs import ProcessSpec, ServerSpec, StackDefinition
from surgeproof.stack.users import User, is_reachable_by_all, unprivileged_user
from surgeproof.stack.wiring import Wiring, reserve_ports

__all__ = ["ProcessStack"]

_PROCESS_RANK = 1
_EXTRA_RANK = 3
_NOTHING: Mapping[str, str] = MappingProxyType({})


class ProcessStack:
    """A stack that is up between `start` and `stop`; a context manager that does both.

    Whatever ends `start` early, an interrupt included, takes down what was up by then. Not for
    use by several threads.
    """

    def __init__(
        self,
        definition: StackDefinition,
        *,
        seed: int,
        run_folder: RunFolder,
        guardian: ProcessGuardian,
        env: Mapping[str, str] = _NOTHING,
        clock: Clock | None = None,
        cache_dir: Path | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        """Take what is needed; nothing is started.

        ``env`` goes to the target's own processes; ``environ`` stands for ours, from which every
        child inherits (but nothing of SURGEPROOF_*, where secrets are).
        """
        self._definition = definition
        self._seed = seed
        self._run_folder = run_folder
        self._env = dict(env)
        self._clock = clock or SystemClock()
        self._environ = dict(os.environ if environ is None else environ)
        self._inherited = {
            name: value
            for name, value in self._environ.items()
            if not name.startswith("SURGEPROOF_")
        }
        self._cache_dir = cache_dir or cache_root(self._environ, os.geteuid())
        self._children = Children(guardian, run_folder.logs, self._clock)
        self._ports = PortBook()
        self._scratch: Scratch | None = None

    def __enter__(self) -> RunningStack:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> RunningStack:
        """Bring everything up and return once every part is ready.

        Raises:
            MissingBinaryError: programs are not installed; nothing was started.
            PortTakenError: a fixed port is in use.
            TargetNotReadyError: a part died or took too long; with its last log lines.
            EnvironmentNotReadyError: the disk or the machine refused something.
        """
        try:
            return self._start()
        except OSError as error:
            self.stop()
            where = f" ({error.filename})" if error.filename else ""
            message = f"cannot start the stack {self._definition.name}: {error.strerror}{where}"
            raise EnvironmentNotReadyError(message) from error
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End every process, the last started first, and remove what they left; idempotent.

        An interrupt meanwhile waits for the end of it, a few seconds at most.
        """
        with interrupts_deferred():
            try:
                self._children.stop()
            finally:
                self._ports.close()
                if self._scratch is not None:
                    self._scratch.remove(self._clock.sleep)
                    self._scratch = None

    def start_extra(
        self, name: str, command: Sequence[str], ready_url: str, *, ready_timeout_s: float
    ) -> int:
        """Start one more server; see `RunningStack.start_extra`."""
        launch = Launch(
            name=name,
            command=tuple(command),
            directory=self._folder(name),
            environment=self._inherited,
            ready=answers_ok(ready_url),
            waits_for=f"200 from {ready_url}",
            ready_timeout_s=ready_timeout_s,
            rank=_EXTRA_RANK,
        )
        child = self._children.spawn(launch)
        try:
            self._children.wait_until_ready([child])
        except BaseException:
            if child in self._children.alive:
                self._children.stop([child])
            raise
        return child.pid

    def dead(self) -> tuple[tuple[str, int], ...]:
        """Return name and pid of each process that ended without being told to."""
        return self._children.dead()

    def _start(self) -> RunningStack:
        user = unprivileged_user(os.geteuid()) if self._has("postgres") else None
        programs = find_programs(self._definition, self._environ, self._cache_dir, user)
        reserve_ports(self._definition, self._ports)
        with interrupts_deferred():
            self._scratch = Scratch.create(self._cache_dir)
        if user is not None and not is_reachable_by_all(self._scratch.path):
            raise EnvironmentNotReadyError(
                f"user {user.name}, whom postgresql runs as, cannot reach {self._cache_dir}; "
                "accepted: a cache folder that all users may pass into"
            )
        wiring = Wiring(self._definition, self._ports, self._seed)
        was_cached = self._start_servers(wiring, programs, user)
        edges_file = self._run_folder.write_json(
            "edges.json",
            {name: {"host": at.host, "port": at.port} for name, at in wiring.edges().items()},
        )
        started = [
            self._children.spawn(self._process_launch(process, wiring, edges_file))
            for process in self._definition.processes
        ]
        for server in self._servers(fronting=True):
            site = self._site(server, programs, user)
            started.append(self._children.spawn(SERVER_KINDS[server.kind].launch(server, site)))
        self._children.wait_until_ready(started)
        return self._describe(wiring, was_cached)

    def _start_servers(self, wiring: Wiring, programs: Programs, user: User | None) -> bool | None:
        """Start the servers below the processes; tell whether the database was cached."""
        started: list[Child] = []
        was_cached: bool | None = None
        # PostgreSQL last: while its data are copied or made, the others come up.
        ordered = sorted(self._servers(fronting=False), key=lambda one: one.kind == "postgres")
        for server in ordered:
            site = self._site(server, programs, user)
            if server.kind == "postgres":
                was_cached = self._provide_database(server, site, wiring, programs)
            started.append(self._children.spawn(SERVER_KINDS[server.kind].launch(server, site)))
        self._children.wait_until_ready(started)
        if wiring.toxiproxy_url is not None and self._definition.edges:
            create_proxies(wiring.toxiproxy_url, wiring.routes())
        return was_cached

    def _provide_database(
        self, server: ServerSpec, site: Site, wiring: Wiring, programs: Programs
    ) -> bool:
        step = self._definition.seed
        seeding = Seeding(
            server=server,
            step=step,
            command=wiring.command(step.command) if step is not None else (),
            seed=self._seed,
            root=self._definition.root,
            environment=self._inherited | {"APP_DATABASE": server.database},
        )
        key = seeding.key(programs.postgres_version, site.user.name if site.user else "")

        def make(data: Path) -> None:
            seeding.fill(data, site, self._children)

        cache = DatabaseCache(self._cache_dir, self._clock)
        return cache.provide(key, make, data_directory(site.folder))

    def _process_launch(self, process: ProcessSpec, wiring: Wiring, edges_file: Path) -> Launch:
        told = wiring.process_environment(process, edges_file, self._run_folder.logs)
        return Launch(
            name=process.name,
            command=wiring.command(process.command, self._ports[process.name]),
            directory=self._definition.root,
            environment=self._inherited | told | self._env,
            ready=answers_ok(wiring.ready_url(process)),
            waits_for=f"200 from {wiring.ready_url(process)}",
            ready_timeout_s=process.ready_timeout_s,
            rank=_PROCESS_RANK,
            fixed_port=process.port,
        )

    def _describe(self, wiring: Wiring, was_cached: bool | None) -> RunningStack:
        """Write ``stack.json`` into the run folder, and return the same to the caller."""
        running = RunningStack(
            base_url=wiring.base_url,
            edges=wiring.edges(),
            toxiproxy_url=wiring.toxiproxy_url,
            processes=tuple((child.name, child.pid) for child in self._children.alive),
            metrics_urls=wiring.metrics_urls(),
            ports=dict(self._ports),
            database_was_cached=was_cached,
            extras=self,
        )
        self._run_folder.write_json(
            "stack.json",
            {
                "name": self._definition.name,
                "base_url": running.base_url,
                "toxiproxy_url": running.toxiproxy_url,
                "database_was_cached": was_cached,
                "edges": {name: str(address) for name, address in running.edges.items()},
                "ports": dict(running.ports),
                "processes": [{"name": name, "pid": pid} for name, pid in running.processes],
                "metrics_urls": dict(running.metrics_urls),
            },
        )
        return running

    def _site(self, server: ServerSpec, programs: Programs, user: User | None) -> Site:
        return Site(
            folder=self._folder(server.name),
            ports=self._ports,
            environment=self._inherited,
            programs=programs.paths,
            user=user if server.kind == "postgres" else None,
        )

    def _folder(self, name: str) -> Path:
        if self._scratch is None:
            raise EnvironmentNotReadyError(f"{name} cannot be started: the stack is not up")
        return self._scratch.folder(name)

    def _servers(self, *, fronting: bool) -> list[ServerSpec]:
        return [
            server
            for server in self._definition.servers
            if SERVER_KINDS[server.kind].fronts_processes == fronting
        ]

    def _has(self, kind: str) -> bool:
        return self._definition.server_of_kind(kind) is not None
