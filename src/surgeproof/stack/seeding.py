"""Fill an empty database: cluster, database, the target's own seed command, clean shutdown."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from surgeproof.stack.children import Children, Launch
from surgeproof.stack.database_cache import database_key
from surgeproof.stack.ports import LOOPBACK
from surgeproof.stack.postgres_wire import execute
from surgeproof.stack.servers.kind import SERVER_RANK, Site
from surgeproof.stack.servers.postgres import ROLE, SETTINGS, initdb_launch, seeding_launch
from surgeproof.stack.specs import SeedStep, ServerSpec

__all__ = ["Seeding"]

_FORMAT = "1"


@dataclass(frozen=True, slots=True)
class Seeding:
    """What fills a database, and with which ``command`` (its placeholders filled)."""

    server: ServerSpec
    step: SeedStep | None
    command: tuple[str, ...]
    seed: int
    root: Path
    environment: Mapping[str, str]

    def key(self, postgres_version: str, user_name: str) -> str:
        """Return the name under which the result may be kept."""
        words = (_FORMAT, postgres_version, user_name, str(self.seed), self.server.database)
        step = (*self.step.command,) if self.step else ()
        files = self.step.digest if self.step else ()
        return database_key((*words, *SETTINGS, *self.server.arguments, *step), files)

    def fill(self, data: Path, site: Site, children: Children) -> None:
        """Make a whole data directory at ``data``; its server is down again on return.

        Raises:
            EnvironmentNotReadyError: a step failed; the message has its last log lines.
        """
        # The database's user may not write in the cache: it gets a folder of its own there.
        data.mkdir()
        if site.user is not None:
            os.chown(data, site.user.uid, site.user.gid)
        data.chmod(0o700)
        children.run(initdb_launch(self.server, site, data))
        server = children.spawn(seeding_launch(self.server, site, data))
        children.wait_until_ready([server])
        port = site.ports[self.server.name]
        if self.server.database != "postgres":
            quoted = self.server.database.replace('"', '""')
            execute(port, ROLE, "postgres", f'CREATE DATABASE "{quoted}"')
        if self.step is not None:
            children.run(self._seed_launch(self.step, port))
        children.stop([server])

    def _seed_launch(self, step: SeedStep, port: int) -> Launch:
        url = f"postgresql://{ROLE}@{LOOPBACK}:{port}/{self.server.database}"
        environment = {**self.environment, "APP_DATABASE_URL": url, "APP_SEED": str(self.seed)}
        return Launch(
            name="seed",
            command=self.command,
            directory=self.root,
            environment=environment,
            ready=_never,
            waits_for="its end",
            ready_timeout_s=step.timeout_s,
            rank=SERVER_RANK + 1,
        )


def _never(_pid: int) -> bool:
    return False
