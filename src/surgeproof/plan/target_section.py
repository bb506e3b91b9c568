"""The ``target`` and ``endpoints`` of a plan: what is rehearsed, and what its users ask of it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from surgeproof.errors import PlanError, UsageError
from surgeproof.load.http.origin import Origin
from surgeproof.model.plan import Edge, Endpoint, Target
from surgeproof.model.words import Tier
from surgeproof.plan.references import references_in
from surgeproof.plan.section import Section
from surgeproof.stack.definition import read_definition
from surgeproof.stack.edges import read_edges

__all__ = ["DRIVERS", "read_endpoints", "read_target"]

DRIVERS = ("processes", "external")
_STACK_FILE = "stack.toml"
_ENDPOINT = re.compile(r"[A-Z]+ /\S*")


def read_target(
    section: Section | None, plan_file: Path, environ: Mapping[str, str] | None
) -> tuple[Target | None, tuple[Edge, ...] | None]:
    """Return the target and its edges, None for what could not be read.

    ``environ`` is what ``${NAME}`` is looked up in; None leaves that to the run itself.
    """
    if section is None:
        return None, None
    driver = section.choice("driver", "driver", DRIVERS, required=True)
    is_external = driver == "external"
    edges_file = section.file("edges", plan_file, required=driver == "processes")
    target = Target(
        driver=driver or DRIVERS[0],
        base_url=_base_url(section, driver),
        stack_file=None if is_external else _stack_file(section, edges_file),
        edges_file=edges_file,
        contract_file=section.file("contract", plan_file),
        env=_referring(section, "env", environ),
        headers=_referring(section, "headers", environ),
        ca_bundle=section.file("ca_bundle", plan_file),
        toxiproxy_url=_toxiproxy_url(section, driver),
    )
    if is_external and target.env:
        section.wrong("env", "an external target is not started here and takes no environment")
    section.finish()
    return target, _edges(section, target)


def _base_url(section: Section, driver: str | None) -> str | None:
    if driver == "processes" and section.get("base_url") is not None:
        section.wrong("base_url", "is for driver external; processes get a free port by themselves")
        return None
    url = section.parsed("base_url", _target_address, required=driver == "external")
    return None if url is None else url.rstrip("/")


def _toxiproxy_url(section: Section, driver: str | None) -> str | None:
    if driver == "processes" and section.get("toxiproxy") is not None:
        section.wrong("toxiproxy", "is for driver external; processes get a Toxiproxy of their own")
        return None
    return section.parsed("toxiproxy", _toxiproxy_address)


def _toxiproxy_address(text: str) -> str:
    """Return the address without its last slash; only this machine's is taken.

    Whoever reaches a Toxiproxy can break what is behind it, so nothing but loopback is opened.

    Raises:
        UsageError: it is no such address.
    """
    parts = urlsplit(_http_address(text))
    accepted = "accepted: http://127.0.0.1:PORT, http://[::1]:PORT or http://localhost:PORT"
    if not _is_loopback(parts.hostname or ""):
        raise UsageError(
            f"{text!r} is not on this machine, and faults are sent nowhere else; {accepted}"
        )
    if parts.scheme != "http" or parts.path.strip("/") or parts.query or parts.username:
        raise UsageError(f"{text!r} is no address of a Toxiproxy; {accepted}")
    return text.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _target_address(text: str) -> str:
    """Return the address that the load goes to, which may be a Unix socket.

    Raises:
        UsageError: it is no such address.
    """
    Origin.parse(text)
    return text


def _http_address(text: str) -> str:
    try:
        parts = urlsplit(text)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname)
        # Reading the port checks it.
        is_usable = is_usable and (parts.port is None or parts.port > 0)
    except ValueError:
        is_usable = False
    if not is_usable:
        raise UsageError(f"{text!r} is no address; accepted: http(s)://HOST[:PORT][/PATH]")
    return text


def _stack_file(section: Section, edges_file: Path | None) -> Path | None:
    if edges_file is None:
        return None
    stack_file = edges_file.parent / _STACK_FILE
    if stack_file.is_file():
        return stack_file
    section.wrong("edges", f"there is no {_STACK_FILE} beside {edges_file}, which the stack needs")
    return None


def _referring(section: Section, name: str, environ: Mapping[str, str] | None) -> Mapping[str, str]:
    words = section.words(name)
    inner = section.section(name)
    for key, text in words.items():
        try:
            missing = [ref for ref in references_in(text) if ref not in (environ or {})]
        except UsageError as error:
            missing = []
            if inner is not None:
                inner.wrong(key, str(error))
        if missing and environ is not None and inner is not None:
            inner.wrong(key, f"the environment variable {', '.join(missing)} is not set")
    return MappingProxyType(dict(words))


def _edges(section: Section, target: Target) -> tuple[Edge, ...] | None:
    """Return the edges, and note every mistake of the target's own files among the plan's."""
    if target.edges_file is None:
        return () if target.driver == "external" and "edges" not in section.node.entries else None
    try:
        if target.stack_file is not None:
            return read_definition(target.stack_file, target.edges_file).edges
        return read_edges(target.edges_file)
    except PlanError as error:
        section.mistakes.found.extend(error.mistakes)
    try:
        return read_edges(target.edges_file)
    except PlanError:
        return None


def read_endpoints(root: Section) -> tuple[Endpoint, ...]:
    """Return the endpoints that could be read, in file order."""
    endpoints: dict[str, Endpoint] = {}
    for section in root.sections("endpoints"):
        name = section.parsed("name", _endpoint_name, required=True)
        tier = section.choice("tier", "tier", list(Tier), required=True)
        deadline_s = section.duration("deadline", required=True, positive=True)
        section.finish()
        if name is not None and name in endpoints:
            section.wrong("name", f"{name!r} is there twice; accepted: each endpoint once")
        elif name is not None:
            # What is wrong with the rest is noted; the name stays known to gates and objectives.
            endpoints[name] = Endpoint(name, Tier(tier or Tier.T3), deadline_s or 1.0)
    return tuple(endpoints.values())


def _endpoint_name(text: str) -> str:
    if not _ENDPOINT.fullmatch(text):
        raise UsageError(f"{text!r} is no request's key; accepted: METHOD /template")
    return text
