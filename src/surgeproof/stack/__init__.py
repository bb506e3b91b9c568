"""Bring a target up and down: its servers, its proxies and its processes."""

from __future__ import annotations

from surgeproof.stack.definition import read_definition
from surgeproof.stack.edges import read_edges
from surgeproof.stack.external import ExternalTarget
from surgeproof.stack.guarding import ProcessGuardian
from surgeproof.stack.processes import ProcessStack
from surgeproof.stack.running import ProxyAddress, RunningStack
from surgeproof.stack.specs import StackDefinition

__all__ = [
    "ExternalTarget",
    "ProcessGuardian",
    "ProcessStack",
    "ProxyAddress",
    "RunningStack",
    "StackDefinition",
    "read_definition",
    "read_edges",
]
