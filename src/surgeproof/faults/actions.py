"""What is done to a proxy for a fault, and how each is undone and proved gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from surgeproof.errors import FaultRejectedError
from surgeproof.faults.kinds import DOWN
from surgeproof.faults.toxiproxy import EdgeProxy, ToxiproxyServer
from surgeproof.model.plan import Fault

__all__ = ["DownAction", "FaultAction", "ToxicAction", "action_for"]


class FaultAction(Protocol):
    """One fault's effect on the world. All methods raise the errors of `ToxiproxyServer`."""

    @property
    def undo(self) -> Mapping[str, object]:
        """The undoing call, as data that the guardian can act on (`GuardianLink.intent`)."""
        ...

    def prepare(self) -> str:
        """Return the address that the fault lies behind; change nothing.

        Raises:
            FaultRejectedError: the fault cannot be applied now.
        """
        ...

    def apply(self) -> None:
        """Apply the fault; on return it was acknowledged and read back."""
        ...

    def revoke(self) -> bool:
        """Undo the fault and return whether it was still there; safe to call twice."""
        ...

    def is_gone(self) -> bool:
        """Read back whether the fault is gone."""
        ...


@dataclass(frozen=True, slots=True)
class ToxicAction:
    """A toxic of our own name on the edge's proxy."""

    server: ToxiproxyServer
    fault: Fault
    toxic: str

    @property
    def undo(self) -> Mapping[str, object]:
        url = self.server.url_of(self.fault.edge, self.toxic)
        return {
            "method": "DELETE",
            "url": url,
            "ok": [204, 404],
            "check": {"url": url, "status": [404]},
        }

    def prepare(self) -> str:
        return _proxy_of(self.server, self.fault).listen

    def apply(self) -> None:
        self.server.add_toxic(
            self.fault.edge,
            self.fault.kind,
            self.fault.attributes,
            name=self.toxic,
            stream=self.fault.stream,
            toxicity=self.fault.toxicity,
        )

    def revoke(self) -> bool:
        return self.server.remove_toxic(self.fault.edge, self.toxic)

    def is_gone(self) -> bool:
        return self.server.get_toxic(self.fault.edge, self.toxic) is None


@dataclass(frozen=True, slots=True)
class DownAction:
    """The edge's proxy disabled: connections are refused, as by a dependency that is down."""

    server: ToxiproxyServer
    fault: Fault

    @property
    def undo(self) -> Mapping[str, object]:
        url = self.server.url_of(self.fault.edge)
        return {
            "method": "PATCH",
            "url": url,
            "body": {"enabled": True},
            "ok": [200, 404],
            "check": {"url": url, "status": [200, 404], "body": {"enabled": True}},
        }

    def prepare(self) -> str:
        proxy = _proxy_of(self.server, self.fault)
        # Undoing enables the proxy, so one that somebody else disabled is not ours to take.
        if not proxy.enabled:
            raise FaultRejectedError(
                f"fault {self.fault.name!r}: proxy {self.fault.edge!r} is down already"
            )
        return proxy.listen

    def apply(self) -> None:
        self.server.set_enabled(self.fault.edge, enabled=False)

    def revoke(self) -> bool:
        found = self.server.get_proxy(self.fault.edge)
        if found is None:
            return False
        self.server.set_enabled(self.fault.edge, enabled=True)
        return not found.enabled

    def is_gone(self) -> bool:
        found = self.server.get_proxy(self.fault.edge)
        return found is None or found.enabled


def action_for(server: ToxiproxyServer, fault: Fault, toxic: str) -> FaultAction:
    """Return the action of a valid fault; ``toxic`` is the name that a toxic is to have."""
    if fault.kind == DOWN:
        return DownAction(server, fault)
    return ToxicAction(server, fault, toxic)


def _proxy_of(server: ToxiproxyServer, fault: Fault) -> EdgeProxy:
    found = server.get_proxy(fault.edge)
    if found is None:
        names = ", ".join(sorted(server.proxies())) or "none"
        raise FaultRejectedError(
            f"fault {fault.name!r}: no proxy for edge {fault.edge!r}; accepted: {names}"
        )
    return found
