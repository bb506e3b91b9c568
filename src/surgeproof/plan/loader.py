"""From a plan file to a `Plan`: read, merged, checked as a whole, or refused as a whole."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from surgeproof.errors import PlanError, UsageError
from surgeproof.load.schedule import Schedule, build_schedule
from surgeproof.model.plan import Load, Plan
from surgeproof.plan.arrival_section import KeptFile
from surgeproof.plan.fault_section import read_faults
from surgeproof.plan.gate_section import KnownNames, read_gates
from surgeproof.plan.load_section import read_load
from surgeproof.plan.nodes import MappingNode, Mistakes, Node, kind_of, plain, read_yaml
from surgeproof.plan.objective_files import read_objectives
from surgeproof.plan.overrides import apply_overrides, apply_profile
from surgeproof.plan.section import Section
from surgeproof.plan.target_section import read_endpoints, read_target
from surgeproof.units import format_duration

__all__ = ["VERSION", "load_plan"]

VERSION = 1
# Long enough for any plan of some minutes, with the stack's start and the read-back.
_DEFAULT_TIMEOUT_S = 600.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_KIND = re.compile(r"[a-z][a-z0-9_-]{0,31}")


def load_plan(
    path: Path,
    overrides: Sequence[str] = (),
    profile: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Plan:
    """Return the plan of a file, with a profile and ``path.to.key=value`` overrides laid over it.

    ``environ`` is what ``${NAME}`` in headers and env must be found in; None leaves them to be
    resolved later. Values are never put into the plan, and so never into its ``effective`` text.

    Raises:
        PlanError: the file, a file that it names, or an override has mistakes: all of them.
    """
    path = Path(path)
    mistakes = Mistakes()
    root = read_yaml(path, mistakes)
    if root is not None and not isinstance(root, MappingNode):
        mistakes.add(root.place, "", f"found {kind_of(root)}, accepted: a plan")
    if not isinstance(root, MappingNode):
        raise PlanError(mistakes.in_order())
    merged = apply_overrides(apply_profile(root, profile, mistakes), overrides, mistakes)
    reader = _PlanReader(path, merged, mistakes, environ)
    plan = reader.read(profile_keys=_profile_keys(root))
    if mistakes.found or plan is None:
        raise PlanError(mistakes.in_order())
    return plan


def _profile_keys(root: MappingNode) -> list[tuple[str, MappingNode]]:
    entry = root.entries.get("profiles")
    if entry is None or not isinstance(entry[1], MappingNode):
        return []
    return [
        (name, overlay)
        for name, (_, overlay) in entry[1].entries.items()
        if isinstance(overlay, MappingNode)
    ]


@dataclass(frozen=True, slots=True)
class _PlanReader:
    path: Path
    root: MappingNode
    mistakes: Mistakes
    environ: Mapping[str, str] | None

    def read(self, profile_keys: Sequence[tuple[str, MappingNode]]) -> Plan | None:
        top = Section(self.root, "", self.mistakes)
        # Merged and gone by now, but a key that may be there.
        top.get("profiles")
        version = top.whole("version", required=True)
        if version not in (None, VERSION):
            top.wrong("version", f"{version} is not known here; accepted: {VERSION}")
        name = top.parsed("name", _plan_name, required=True)
        seed = top.whole("seed", required=True)
        target_section = top.section("target", required=True)
        target, edges = read_target(target_section, self.path, self.environ)
        endpoints = read_endpoints(top)
        kept: list[KeptFile] = []
        load = read_load(top.section("load", required=True), self.path, kept)
        timeout_s = self._timeout(top, load)
        noted = len(self.mistakes.found)
        faults = read_faults(top, edges, load)
        if faults and target is not None and target.driver == "external":
            self._check_toxiproxy(top, target_section)
        all_faults_read = len(self.mistakes.found) == noted and load is not None
        kinds = _ledger_kinds(top)
        known = KnownNames(
            endpoints=endpoints,
            load=load,
            faults=faults if all_faults_read else None,
            ledger_kinds=kinds,
            schedule=self._schedule(top, load, seed),
        )
        guards = read_gates(top, "guards", known)
        gates = read_gates(top, "gates", known)
        read_objectives(top, self.path, known)
        top.finish()
        self._check_profiles(profile_keys, top)
        if self.mistakes.found or target is None or load is None:
            return None
        return Plan(
            name=name or "",
            seed=seed or 0,
            file=self.path,
            target=target,
            load=load,
            endpoints=endpoints,
            edges=edges or (),
            faults=faults,
            gates=gates,
            guards=guards,
            ledger_kinds=kinds,
            timeout_s=timeout_s,
            effective=_print_effective(self.root, kept),
            arrival_files=MappingProxyType({each.name: each.text for each in kept}),
        )

    def _check_toxiproxy(self, top: Section, target: Section | None) -> None:
        # One that is there and wrong has been told of already.
        if target is not None and target.get("toxiproxy") is None:
            top.wrong(
                "faults",
                "an external target's faults need target.toxiproxy, the address of the Toxiproxy "
                "that its edges pass",
            )

    def _timeout(self, top: Section, load: Load | None) -> float:
        timeout_s = top.duration("timeout", positive=True)
        if timeout_s is None:
            # A plan that is longer than the default has said so by its phases.
            return max(_DEFAULT_TIMEOUT_S, 2 * load.duration_s if load is not None else 0.0)
        if load is not None and timeout_s <= load.duration_s:
            top.wrong(
                "timeout",
                f"{format_duration(timeout_s)} would end the run before its phases do "
                f"({format_duration(load.duration_s)})",
            )
        return timeout_s

    def _schedule(self, top: Section, load: Load | None, seed: int | None) -> Schedule | None:
        if load is None or seed is None:
            return None
        try:
            return build_schedule(load, seed)
        except UsageError as error:
            top.wrong("load", str(error))
            return None

    def _check_profiles(self, profiles: Sequence[tuple[str, MappingNode]], top: Section) -> None:
        for name, overlay in profiles:
            top.check_keys(overlay, f"profiles.{name}")


def _plan_name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise UsageError(f"{text!r} is no usable name; accepted: 1 to 64 of A-Z a-z 0-9 . _ -")
    return text


def _ledger_kinds(top: Section) -> tuple[str, ...]:
    kinds: list[str] = []
    for path, place, text in top.texts("ledger"):
        if not _KIND.fullmatch(text):
            top.mistakes.add(place, path, f"{text!r} is no kind; accepted: a word like post")
        elif text in kinds:
            top.mistakes.add(place, path, f"{text!r} is there twice; accepted: each kind once")
        else:
            kinds.append(text)
    return tuple(kinds)


def _print_effective(root: Node, kept: Sequence[KeptFile]) -> str:
    data = plain(root)
    for file in kept:
        body: Any = data
        for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", file.key):
            body = body[int(index) if index else name]
        file.put_into(body)
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)
