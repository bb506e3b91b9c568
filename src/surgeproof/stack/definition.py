"""The stack file (``stack.toml``) and the edges file beside it, read whole or refused whole."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from surgeproof.errors import Mistake, PlanError
from surgeproof.model.plan import Edge
from surgeproof.stack.edges import read_edges
from surgeproof.stack.servers import SERVER_KINDS
from surgeproof.stack.specs import ProcessSpec, SeedStep, ServerSpec, StackDefinition
from surgeproof.stack.toml_file import TomlFile, TomlTable

__all__ = ["read_definition"]

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][^{}]*)\}")
_COMMON_SERVER_KEYS = frozenset({"kind", "arguments", "port", "ready_timeout"})
_PROCESS_KEYS = frozenset({"command", "ready", "metrics", "port", "ready_timeout", "env"})


def read_definition(stack_file: Path, edges_file: Path | None = None) -> StackDefinition:
    """Return the stack that ``stack_file`` describes; ``edges_file`` replaces the one it names.

    A file that ``extends`` another of its folder says only what it adds to that one, or changes.

    Raises:
        PlanError: a file is missing or has mistakes; those of both files are listed.
    """
    file = TomlFile(stack_file, extends=True)
    top = file.top
    top.allow({"extends", "name", "entry", "edges", "seed", "servers", "processes"})
    folder = stack_file.absolute().parent
    servers = tuple(_read_server(table, folder) for table in top.table("servers").tables())
    processes = tuple(_read_process(table) for table in top.table("processes").tables())
    definition = StackDefinition(
        name=top.text("name"),
        file=stack_file.absolute(),
        root=folder.parent,
        entry=top.text("entry"),
        servers=servers,
        processes=processes,
        edges=(),
        seed=_read_seed(top.table("seed"), folder) if top.has("seed") else None,
    )
    mistakes: list[Mistake] = []
    edges: tuple[Edge, ...] = ()
    if edges_file is not None or top.has("edges"):
        named = _edges_files(top, folder) if edges_file is None else (edges_file,)
        edges, mistakes = _edges_or_mistakes(named, _names(definition))
    _check_references(top, definition, has_edges=bool(edges))
    try:
        file.raise_mistakes()
    except PlanError as error:
        mistakes = [*error.mistakes, *mistakes]
    if mistakes:
        raise PlanError(mistakes)
    return replace(definition, edges=edges)


def _read_server(table: TomlTable, folder: Path) -> ServerSpec:
    _check_name(table)
    kind = table.text("kind")
    if kind in SERVER_KINDS:
        table.allow(_COMMON_SERVER_KEYS | SERVER_KINDS[kind].options)
    elif kind:
        table.complain("kind", f"unknown kind {kind!r}; accepted: {', '.join(SERVER_KINDS)}")
    config = folder / table.text("config") if table.has("config") else None
    if config is not None and not config.is_file():
        table.complain("config", f"there is no file {config}")
    return ServerSpec(
        name=_last(table.key),
        kind=kind,
        arguments=table.texts("arguments", ()),
        port=table.port("port"),
        ready_timeout_s=table.duration_s("ready_timeout", 20.0),
        database=table.text("database", "postgres"),
        config=config,
        clusters=_read_clusters(table.table("clusters")),
    )


def _read_clusters(table: TomlTable) -> Mapping[str, tuple[str, ...]]:
    return {name: table.texts(name, ()) for name in table.names()}


def _read_process(table: TomlTable) -> ProcessSpec:
    _check_name(table)
    table.allow(_PROCESS_KEYS)
    ready = table.text("ready")
    metrics = table.text("metrics", "/metrics")
    for key, path in (("ready", ready), ("metrics", metrics)):
        if path and not path.startswith("/") and not (key == "metrics" and path == "none"):
            extra = " or 'none'" if key == "metrics" else ""
            table.complain(key, f"{path!r} is no path; accepted: one that begins with /{extra}")
    variables = table.table("env")
    return ProcessSpec(
        name=_last(table.key),
        command=table.texts("command"),
        ready=ready,
        metrics=None if metrics == "none" else metrics,
        port=table.port("port"),
        ready_timeout_s=table.duration_s("ready_timeout", 30.0),
        env={name: variables.text(name) for name in variables.names()},
    )


def _read_seed(table: TomlTable, folder: Path) -> SeedStep:
    table.allow({"command", "digest", "timeout"})
    digest = tuple(folder / name for name in table.texts("digest"))
    for path in digest:
        if not path.is_file():
            table.complain("digest", f"there is no file {path}")
    return SeedStep(table.texts("command"), digest, table.duration_s("timeout", 60.0))


def _edges_files(top: TomlTable, folder: Path) -> tuple[Path, ...]:
    """Return the files that ``edges`` names: one, or a list whose rows are taken together."""
    names = top.texts("edges") if top.is_list("edges") else (top.text("edges"),)
    return tuple(folder / name for name in names if name)


def _edges_or_mistakes(
    paths: tuple[Path, ...], upstreams: tuple[str, ...]
) -> tuple[tuple[Edge, ...], list[Mistake]]:
    edges: dict[str, Edge] = {}
    mistakes: list[Mistake] = []
    for path in paths:
        try:
            found = read_edges(path, upstreams)
        except PlanError as error:
            mistakes += error.mistakes
            continue
        for edge in found:
            if edge.name in edges:
                message = f"{edge.name!r} is in another edges file too; accepted: in one of them"
                mistakes.append(Mistake(str(path), 1, 0, "edge", message))
            edges[edge.name] = edge
    return ((), mistakes) if mistakes else (tuple(edges.values()), [])


def _check_references(top: TomlTable, definition: StackDefinition, *, has_edges: bool) -> None:
    names = _names(definition)
    if definition.entry and definition.entry not in names:
        top.complain("entry", f"{definition.entry!r} is not in the stack; accepted: {_list(names)}")
    for name in sorted({name for name in names if names.count(name) > 1}):
        top.complain(f"processes.{name}", "is the name of a server too; accepted: one of the two")
    for kind in ("postgres", "toxiproxy"):
        found = [server.name for server in definition.servers if server.kind == kind]
        if len(found) > 1:
            top.complain(f"servers.{found[1]}", f"is a second {kind}; accepted: one in a stack")
    if has_edges and definition.server_of_kind("toxiproxy") is None:
        top.complain("servers", "has no kind 'toxiproxy', which the proxies of the edges need")
    if definition.seed is not None and definition.server_of_kind("postgres") is None:
        top.complain("seed", "needs a server of kind 'postgres' to fill")
    _check_clusters(top, definition)
    _check_placeholders(top, definition)


def _check_clusters(top: TomlTable, definition: StackDefinition) -> None:
    processes = [process.name for process in definition.processes]
    for server in definition.servers:
        if server.kind == "envoy" and server.config is None:
            top.complain(f"servers.{server.name}.config", "is missing; accepted: a template file")
        for cluster, members in server.clusters.items():
            for member in members:
                if member not in processes:
                    top.complain(
                        f"servers.{server.name}.clusters.{cluster}",
                        f"{member!r} is no process; accepted: {_list(processes)}",
                    )


def _check_placeholders(top: TomlTable, definition: StackDefinition) -> None:
    suffixed = (
        server.name + suffix
        for server in definition.servers
        if server.kind in SERVER_KINDS
        for suffix in SERVER_KINDS[server.kind].port_suffixes
    )
    ports = {f"port:{name}" for name in (*_names(definition), *suffixed)}
    commands = {
        f"processes.{process.name}.command": (process.command, {"python", "seed", "port", *ports})
        for process in definition.processes
    }
    if definition.seed is not None:
        commands["seed.command"] = (definition.seed.command, {"python", "seed"})
    for key, (command, known) in commands.items():
        for word in _PLACEHOLDER.findall(" ".join(command)):
            if word not in known:
                accepted = _list([f"{{{name}}}" for name in sorted(known)])
                top.complain(key, f"unknown placeholder {{{word}}}; accepted: {accepted}")


def _check_name(table: TomlTable) -> None:
    name = _last(table.key)
    if not _NAME.fullmatch(name):
        table.complain("", f"{name!r} is no name; accepted: small letters, digits and -")


def _names(definition: StackDefinition) -> tuple[str, ...]:
    servers = tuple(server.name for server in definition.servers)
    return servers + tuple(process.name for process in definition.processes)


def _last(key: str) -> str:
    return key.rpartition(".")[2]


def _list(names: list[str] | tuple[str, ...]) -> str:
    return ", ".join(names) or "nothing, there is none"
