"""What a process is told by its environment, read once at start and checked whole."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from target_app.edge.policy import EdgePolicy, load_policies
from target_app.flags.defects import defects_of

__all__ = ["Settings", "SettingsError"]

Address = tuple[str, int]

_HERE = Path(__file__).parent


class SettingsError(ValueError):
    """The environment lacks something or has a bad value; the message lists all of them."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one process.

    ``edges`` are the addresses of the proxies by edge name, ``policies`` the rows of the edge
    table, ``fallback_off`` the edges whose fallback is switched off (for rehearsing what happens
    without it). ``scrypt_log2_n`` is the cost of a password check (2 to this power): low by
    default, because a rehearsal measures the service and not the hash. ``flags`` is the flag file,
    ``defects`` the words of what is broken on purpose.
    """

    role: str
    port: int
    edges: Mapping[str, Address]
    policies: Mapping[str, EdgePolicy]
    fallback_off: frozenset[str]
    seed: int
    database: str
    database_user: str
    log_dir: Path | None
    scrypt_log2_n: int
    flags: Path | None
    defects: frozenset[str]
    allows_defects: bool
    region: str

    def fallback_allowed(self, edge: str) -> bool:
        """Return whether the loss of ``edge`` may be covered by a degraded answer."""
        return edge not in self.fallback_off

    @classmethod
    def from_environment(cls, role: str, environ: Mapping[str, str]) -> Settings:
        """Read all ``APP_`` variables; raise :class:`SettingsError` with every mistake."""
        mistakes: list[str] = []
        region = environ.get("APP_REGION", "a")
        policies = load_policies(_HERE / "edges.toml")
        if region != "a":
            rows = load_policies(_HERE / "edges.two-region.toml").values()
            policies = _in_region(policies, rows, role, region)
        needed = {name: policy.name for name, policy in policies.items() if policy.origin == role}
        table = _read_edges(environ.get("APP_EDGES", ""), needed.values(), mistakes)
        edges = table | {name: table[proxy] for name, proxy in needed.items() if proxy in table}
        off = frozenset(
            name.strip() for name in environ.get("APP_FALLBACK_OFF", "").split(",") if name.strip()
        )
        mistakes.extend(
            f"APP_FALLBACK_OFF: no edge {name!r} (accepted: {', '.join(sorted(policies))})"
            for name in sorted(off - policies.keys())
        )
        settings = cls(
            role=role,
            port=_read_number(environ, "APP_PORT", None, (1, 65535), mistakes),
            edges=edges,
            policies=policies,
            fallback_off=off,
            seed=_read_number(environ, "APP_SEED", 1, (0, 2**63 - 1), mistakes),
            database=environ.get("APP_DATABASE", "threads"),
            database_user=environ.get("APP_DATABASE_USER", "app"),
            log_dir=Path(environ["APP_LOG_DIR"]) if environ.get("APP_LOG_DIR") else None,
            scrypt_log2_n=_read_number(environ, "APP_SCRYPT_LOG2_N", 10, (4, 17), mistakes),
            flags=Path(environ.get("APP_FLAGS") or _HERE / "flags.json"),
            defects=defects_of(environ, mistakes),
            allows_defects=environ.get("APP_ALLOW_DEFECTS") == "1",
            region=region,
        )
        if mistakes:
            raise SettingsError("\n".join(mistakes))
        return settings


def _in_region(
    policies: Mapping[str, EdgePolicy], rows: Iterable[EdgePolicy], role: str, region: str
) -> dict[str, EdgePolicy]:
    """Return the edges as ``role`` has them in another region.

    A row of that region stands in for the one that leads from the same role to the same target.
    """
    suffix = f"-{region}"
    own = {
        row.target.removesuffix(suffix): replace(row, origin=role)
        for row in rows
        if row.origin == role + suffix
    }
    return {
        name: own.get(policy.target, policy) if policy.origin == role else policy
        for name, policy in policies.items()
    }


def _read_number(
    environ: Mapping[str, str],
    name: str,
    default: int | None,
    bounds: tuple[int, int],
    mistakes: list[str],
) -> int:
    text = environ.get(name, "" if default is None else str(default))
    low, high = bounds
    if text.isdigit() and low <= int(text) <= high:
        return int(text)
    mistakes.append(f"{name} is {text!r} (accepted: a whole number, {low} to {high})")
    return low


def _read_edges(path: str, needed: Iterable[str], mistakes: list[str]) -> dict[str, Address]:
    try:
        with Path(path).open("rb") as file:
            table = json.load(file)
        edges = {str(name): (str(row["host"]), int(row["port"])) for name, row in table.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        mistakes.append(
            f"APP_EDGES is {path!r}: {type(error).__name__}: {error} "
            '(accepted: the path of a JSON file {"EDGE": {"host": "...", "port": 1}})'
        )
        return {}
    missing = sorted(set(needed) - edges.keys())
    if missing:
        mistakes.append(f"{path}: no address for {', '.join(missing)}")
    return edges
