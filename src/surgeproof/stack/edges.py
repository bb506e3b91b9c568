"""The edges file of a target: its only list of proxies, one for each edge to a dependency."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from surgeproof.model.plan import Edge
from surgeproof.stack.toml_file import TomlFile, TomlTable

__all__ = ["read_edges"]

# What Toxiproxy can address afterwards: it makes a proxy named "a/b" and then never finds it.
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
# From `fallback` on they are the target's own policy, which it reads by itself.
_KEYS = frozenset(
    {"name", "dependency", "from", "to", "upstream", "timeout"}
    | {"fallback", "max_in_flight", "retry", "breaker", "distance"}
)


def read_edges(path: Path, upstreams: Collection[str] | None = None) -> tuple[Edge, ...]:
    """Return the edges in file order; with ``upstreams`` each must lead to one of those names.

    Raises:
        PlanError: the file is missing or has mistakes; all of them are listed.
    """
    file = TomlFile(path)
    file.top.allow({"edge"})
    seen: set[str] = set()
    edges = [_read_edge(row, seen, upstreams) for row in file.top.array_of_tables("edge")]
    file.raise_mistakes()
    return tuple(edges)


def _read_edge(row: TomlTable, seen: set[str], upstreams: Collection[str] | None) -> Edge:
    row.allow(_KEYS)
    name = row.text("name")
    if name and not _NAME.fullmatch(name):
        row.complain("name", f"{name!r} is no name; accepted: 1 to 64 of letters, digits, . _ -")
    if name in seen:
        row.complain("name", f"{name!r} is there twice; accepted: one edge for each name")
    seen.add(name)
    destination = row.text("to")
    upstream = row.text("upstream", destination or None)
    if upstreams is not None and upstream and upstream not in upstreams:
        accepted = ", ".join(upstreams)
        row.complain("upstream", f"{upstream!r} is not in the stack; accepted: {accepted}")
    distance = row.table("distance")
    distance.allow({"latency", "jitter"})
    return Edge(
        name=name,
        dependency=row.text("dependency", destination or None),
        source=row.text("from"),
        destination=destination,
        upstream=upstream,
        timeout_s=row.duration_s("timeout"),
        fallback=row.text("fallback", "none"),
        latency_s=distance.duration_s("latency", 0.0),
        jitter_s=distance.duration_s("jitter", 0.0),
    )
