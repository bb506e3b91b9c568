"""``python -m target_app ROLE``: run one process of the service, or seed its database."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Protocol, cast

from target_app.edge.policy import PolicyError
from target_app.settings import Settings, SettingsError

ROLES = ("gateway", "identity", "graph", "feed", "worker", "side", "photos")


TOOLS = ("autoscaler", "drain")


class _ToolModule(Protocol):
    """What the module of each operator's tool offers."""

    def main(self, arguments: list[str]) -> int:
        """Do it and return the exit code."""
        ...


class _RoleModule(Protocol):
    """What the module ``app`` of each role offers."""

    def main(self, settings: Settings) -> int:
        """Serve until SIGTERM and return the exit code."""
        ...


def main(arguments: list[str]) -> int:
    """Run the role or command that the first argument names; return the exit code."""
    name = arguments[0] if arguments else ""
    if name == "seed":
        # Imported late: a service does not need what only seeding uses.
        from target_app.seed import main as seed  # noqa: PLC0415

        return seed(arguments[1:], os.environ)
    if name in TOOLS:
        tool = importlib.import_module(f"target_app.{name}")
        return cast("_ToolModule", tool).main(arguments[1:])
    if name == "slice":
        from target_app.slice import main as cut  # noqa: PLC0415

        return cut(arguments[1:])
    if name not in ROLES:
        accepted = ", ".join((*ROLES, *TOOLS, "seed"))
        print(f"unknown role {name!r} (accepted: {accepted})", file=sys.stderr)
        return 2
    try:
        settings = Settings.from_environment(name, os.environ)
    except (SettingsError, PolicyError) as error:
        print(error, file=sys.stderr)
        return 2
    # Imported late, by name: no role pays for the modules of another.
    module = cast("_RoleModule", importlib.import_module(f"target_app.{name}.app"))
    return module.main(settings)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
