"""All programs of a stack, found before anything is started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from surgeproof.errors import MissingBinaryError
from surgeproof.stack.binaries import find_program
from surgeproof.stack.postgres_install import find_postgres
from surgeproof.stack.servers import SERVER_KINDS
from surgeproof.stack.specs import StackDefinition
from surgeproof.stack.users import User

__all__ = ["Programs", "find_programs"]


@dataclass(frozen=True, slots=True)
class Programs:
    """Paths by name; ``postgres_version`` is empty where no PostgreSQL is needed."""

    paths: Mapping[str, Path]
    postgres_version: str


def find_programs(
    definition: StackDefinition, environ: Mapping[str, str], cache: Path, user: User | None
) -> Programs:
    """Return every program that the stack's servers need.

    Raises:
        MissingBinaryError: some are missing; it says of each how to get it.
    """
    paths: dict[str, Path] = {}
    missing: list[str] = []
    version = ""
    kinds = dict.fromkeys(server.kind for server in definition.servers)
    for program in [program for kind in kinds for program in SERVER_KINDS[kind].programs]:
        try:
            paths[program.name] = find_program(program, environ)
        except MissingBinaryError as error:
            missing.append(str(error))
    if "postgres" in kinds:
        try:
            install = find_postgres(cache, user)
            paths |= {name: install.program(name) for name in ("initdb", "postgres")}
            version = install.version
        except MissingBinaryError as error:
            missing.append(str(error))
    if missing:
        raise MissingBinaryError("\n".join(missing))
    return Programs(paths, version)
