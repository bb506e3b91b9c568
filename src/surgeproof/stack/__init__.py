"""Bring a target up and down: its servers, its proxies and its processes.

What starts things is loaded on first use: to check a plan takes only the definitions.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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


def __getattr__(name: str) -> object:
    homes = {
        "ExternalTarget": "external",
        "ProcessGuardian": "guarding",
        "ProcessStack": "processes",
        "ProxyAddress": "running",
        "RunningStack": "running",
        "StackDefinition": "specs",
        "read_definition": "definition",
        "read_edges": "edges",
    }
    if name not in homes:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{homes[name]}"), name)
