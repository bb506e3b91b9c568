"""What a rehearsal needs of this machine, checked: each finding with its fix."""

from __future__ import annotations

import json
import os
import platform
import resource
import socket
import sys
import sysconfig
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from surgeproof.errors import EnvironmentNotReadyError, MissingBinaryError
from surgeproof.load.k6 import find_k6
from surgeproof.model.plan import Plan
from surgeproof.observe.prometheus_server import INSTALL_HINT, find_prometheus
from surgeproof.rehearsal.space import LEAST_FREE_BYTES, free_bytes
from surgeproof.stack.binaries import find_program
from surgeproof.stack.postgres_install import find_postgres
from surgeproof.stack.scratch import cache_root
from surgeproof.stack.servers import SERVER_KINDS
from surgeproof.stack.users import unprivileged_user

__all__ = ["Finding", "examine", "print_findings"]

# The generator keeps up to 1,000 connections open, the proxies two for each of theirs.
_WANTED_FILES = 4096
_WANTED_CORES = 2
_LOOPBACK = "127.0.0.1"
_FOR_STACKS = "only plans with driver: processes need it"
_FOR_K6 = "only plans with engine: k6 need it"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check.

    ``level`` is ok, warn (works, with less) or fail (a rehearsal cannot run).
    """

    name: str
    level: str
    detail: str
    fix: str = ""


def examine(
    runs: Path, environ: Mapping[str, str] | None = None, *, plan: Plan | None = None
) -> list[Finding]:
    """Run every check and return the findings; nothing is changed but the cache folder made.

    What only some plans need (the servers of a stack, k6) fails where ``plan`` is one of them.
    """
    environment = dict(os.environ if environ is None else environ)
    has_stack = plan is not None and plan.target.driver == "processes"
    findings = [_python(), _cores(), _files(), _clock(), _loopback()]
    findings += [
        _space("run folders", runs),
        _space("cache", cache_root(environment, os.geteuid())),
    ]
    servers = [
        _program(program.name, lambda program=program: find_program(program, environment))  # type: ignore[misc]  # mypy sees no default
        for kind in SERVER_KINDS.values()
        for program in kind.programs
    ]
    servers.append(_program("postgres", lambda: _postgres(environment)))
    findings += servers if has_stack else [_optional(each, _FOR_STACKS) for each in servers]
    k6 = _program("k6", find_k6)
    has_k6 = plan is not None and plan.load.engine == "k6"
    findings.append(k6 if has_k6 else _optional(k6, _FOR_K6))
    findings.append(_prometheus(environment))
    return findings


def print_findings(findings: list[Finding], *, as_json: bool) -> None:
    """Print the findings to stdout, as lines for people or as JSON."""
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
        return
    for finding in findings:
        print(f"{finding.level:<5} {finding.name}: {finding.detail}")
        if finding.fix:
            print(f"      to fix: {finding.fix}")


def _python() -> Finding:
    version = f"{platform.python_implementation()} {platform.python_version()}"
    if "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or ""):
        return Finding("python", "ok", f"{version} at {sys.executable}")
    return Finding(
        "python",
        "warn",
        f"{version} at {sys.executable} was built without profile-guided optimisation",
        "use a Python of your distribution to generate more load with each core",
    )


def _cores() -> Finding:
    cores = len(os.sched_getaffinity(0))
    if cores >= _WANTED_CORES:
        return Finding("cores", "ok", f"{cores}")
    return Finding(
        "cores", "warn", f"{cores}: the generator competes with the target", "use 2 or more cores"
    )


def _files() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= _WANTED_FILES or soft == resource.RLIM_INFINITY:
        return Finding("open files", "ok", f"{soft}")
    return Finding(
        "open files",
        "warn",
        f"{soft} (hard limit {hard}), {_WANTED_FILES} are wanted",
        f"ulimit -n {_WANTED_FILES}",
    )


def _clock() -> Finding:
    resolution_s = time.clock_getres(time.CLOCK_MONOTONIC)
    level = "ok" if resolution_s <= 1e-6 else "warn"
    return Finding(
        "clock", level, f"CLOCK_MONOTONIC with a resolution of {resolution_s * 1e9:g} ns"
    )


def _loopback() -> Finding:
    try:
        with socket.socket() as probe:
            probe.bind((_LOOPBACK, 0))
    except OSError as error:
        return Finding(
            "loopback", "fail", f"cannot listen on {_LOOPBACK}: {error}", "ip link set lo up"
        )
    return Finding("loopback", "ok", f"{_LOOPBACK} has free ports")


def _space(what: str, folder: Path) -> Finding:
    free = free_bytes(folder)
    detail = f"{free / 2**30:.1f} GiB free for {what} under {folder}"
    if free >= LEAST_FREE_BYTES:
        return Finding("disk", "ok", detail)
    return Finding("disk", "fail", detail, f"free {LEAST_FREE_BYTES / 2**20:.0f} MiB there")


def _postgres(environ: Mapping[str, str]) -> Path:
    uid = os.geteuid()
    return find_postgres(cache_root(environ, uid), unprivileged_user(uid)).program("postgres")


def _program(name: str, find: Callable[[], Path]) -> Finding:
    try:
        return Finding(name, "ok", str(find()))
    except MissingBinaryError as error:
        detail, _, fix = str(error).partition("; to get it: ")
        return Finding(name, "fail", detail, fix)
    except EnvironmentNotReadyError as error:
        return Finding(name, "fail", str(error))


def _optional(finding: Finding, needed_by: str) -> Finding:
    if finding.level != "fail":
        return finding
    fix = f"{needed_by}: {finding.fix}" if finding.fix else needed_by
    return replace(finding, level="warn", fix=fix)


def _prometheus(environ: Mapping[str, str]) -> Finding:
    found = find_prometheus(environ.get("PATH"))
    if found is not None:
        return Finding("prometheus", "ok", str(found))
    return Finding(
        "prometheus",
        "warn",
        "not on PATH: server-side charts come from the harness' own scrape",
        INSTALL_HINT,
    )
