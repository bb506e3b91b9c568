"""Toxiproxy as objects: the library's Toxiproxy, Proxy and Toxic over a transport of our own.

toxiproxy-python keeps the server's address in class attributes, has no deadlines, no PATCH and no
check of what the server made of a call (docs/decisions/0002-toxiproxy-adapter.md). So its classes
carry the model here, and nothing of them ever reaches its own transport.

Every change is validated before it is sent and read back afterwards. After a timeout the server
is read again: a change that turns out to have happened is success, anything else is indefinite.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Never

from toxiproxy import Proxy, Toxiproxy
from toxiproxy.toxic import Toxic

from surgeproof.errors import (
    EnvironmentNotReadyError,
    FaultIndefiniteError,
    FaultRejectedError,
)
from surgeproof.faults.kinds import (
    DOWN,
    STREAMS,
    complete_attributes,
    validate_attributes,
    validate_name,
)
from surgeproof.faults.proven import ProvenCalls, ServerHealth, path_of
from surgeproof.faults.transport import HttpTransport, Transport

__all__ = ["EdgeProxy", "EdgeToxic", "ServerHealth", "ToxiproxyServer"]

# The server keeps toxicity in 32 bits.
_TOXICITY_TOLERANCE = 1e-6
_ANY_PORT = "127.0.0.1:0"


class EdgeToxic(Toxic):  # type: ignore[misc]  # the library is untyped
    """A toxic as the server shows it."""

    name: str
    type: str
    stream: str
    toxicity: float
    attributes: dict[str, int]


class EdgeProxy(Proxy):  # type: ignore[misc]  # the library is untyped
    """A proxy as the server showed it; its methods act on the server that it came from."""

    name: str
    upstream: str
    listen: str
    enabled: bool

    def __init__(self, server: ToxiproxyServer, data: Mapping[str, object]) -> None:
        super().__init__(**data)
        self._server = server

    def toxics(self) -> dict[str, EdgeToxic]:
        """Return the proxy's toxics by name, as they are now."""
        return self._server.toxics(self.name)

    def add_toxic(
        self,
        *,
        type: str,  # noqa: A002  # the library's parameter
        name: str | None = None,
        stream: str = "downstream",
        toxicity: float = 1.0,
        attributes: Mapping[str, int] | None = None,
    ) -> EdgeToxic:
        """Add a toxic; unlike the library's method, return it."""
        return self._server.add_toxic(
            self.name,
            type,
            attributes or {},
            name=name or f"{type}_{stream}",
            stream=stream,
            toxicity=toxicity,
        )

    def destroy_toxic(self, toxic_name: str) -> bool:
        """Remove a toxic and return whether it was there."""
        return self._server.remove_toxic(self.name, toxic_name)

    def destroy(self) -> bool:
        """Delete the proxy and return whether it was there."""
        return self._server.remove_proxy(self.name)

    def disable(self) -> None:
        """Stop listening and close every connection."""
        self._server.set_enabled(self.name, enabled=False)
        self.enabled = False

    def enable(self) -> None:
        """Listen again."""
        self._server.set_enabled(self.name, enabled=True)
        self.enabled = True


class ToxiproxyServer(Toxiproxy):  # type: ignore[misc]  # the library is untyped
    """One Toxiproxy server; any number of them live side by side, and threads may share one.

    All methods raise `EnvironmentNotReadyError` when the server takes no connection (nothing was
    sent), `FaultRejectedError` when a change was refused here or there (nothing was changed), and
    `FaultIndefiniteError` when it is unknown whether a change took effect.
    """

    def __init__(
        self,
        api_url: str,
        *,
        connect_s: float = 2.0,
        read_s: float = 5.0,
        transport: Transport | None = None,
    ) -> None:
        self._calls = ProvenCalls(
            transport or HttpTransport(api_url, connect_s=connect_s, read_s=read_s)
        )

    @property
    def api_url(self) -> str:
        return self._calls.transport.api_url

    def url_of(self, proxy: str, toxic: str | None = None) -> str:
        """Return the address of a proxy or of one of its toxics."""
        return self.api_url + path_of(proxy, toxic)

    def version(self) -> str:
        """Return the server's version, such as ``2.12.0`` (``git`` if built without one)."""
        answer = self._calls.read("/version")
        # Plain text before 2.7.
        told = answer.data.get("version") if isinstance(answer.data, Mapping) else answer.text
        return str(told).strip()

    def running(self) -> bool:
        """Tell whether a Toxiproxy answers at the address."""
        try:
            return bool(self.version())
        except (EnvironmentNotReadyError, FaultIndefiniteError, FaultRejectedError):
            return False

    def health(self, proxy: str) -> ServerHealth:
        """Look, with short deadlines, whether the server still serves calls on a proxy."""
        return self._calls.health(proxy)

    def proxies(self) -> dict[str, EdgeProxy]:
        """Return every proxy of the server by name."""
        data = self._calls.read("/proxies").data
        if not isinstance(data, Mapping):
            raise _strange("/proxies", data)
        return {str(name): self._proxy(value) for name, value in data.items()}

    def get_proxy(self, proxy_name: str) -> EdgeProxy | None:
        """Return a proxy as it is now, None if there is no such proxy."""
        answer = self._calls.find(path_of(proxy_name))
        return None if answer is None else self._proxy(answer.data)

    def create_proxy(
        self, name: str, upstream: str, listen: str = _ANY_PORT, *, enabled: bool = True
    ) -> EdgeProxy:
        """Make a proxy and return it, ``listen`` with the port that was bound.

        The listening host is always sent: without it the server binds all interfaces.
        """
        problems = validate_name("proxy", name)
        problems += _address_problems("upstream", upstream) + _address_problems("listen", listen)
        _refuse(problems)

        def proof() -> EdgeProxy | None:
            proxy = self.get_proxy(name)
            same = proxy is not None and (proxy.upstream, proxy.enabled) == (upstream, enabled)
            return proxy if same else None

        return self._calls.change(
            "POST",
            "/proxies",
            {"name": name, "upstream": upstream, "listen": listen, "enabled": enabled},
            action=f"make proxy {name!r} on {listen}",
            proof=proof,
        )

    def remove_proxy(self, name: str) -> bool:
        """Delete a proxy and return whether it was there."""
        _refuse(validate_name("proxy", name))
        return self._calls.delete(path_of(name), action=f"remove proxy {name!r}")

    def set_enabled(self, proxy: str, *, enabled: bool) -> EdgeProxy:
        """Let a proxy listen, or refuse connections and close those it has."""
        return self._set(proxy, "enabled", enabled)

    def set_upstream(self, proxy: str, upstream: str) -> EdgeProxy:
        """Point a proxy elsewhere: live connections are closed, toxics and port stay."""
        _refuse(_address_problems("upstream", upstream))
        return self._set(proxy, "upstream", upstream)

    def toxics(self, proxy: str) -> dict[str, EdgeToxic]:
        """Return a proxy's toxics by name, the upstream ones first."""
        path = f"{path_of(proxy)}/toxics"
        data = self._calls.read(path).data
        if not isinstance(data, list):
            raise _strange(path, data)
        return {toxic.name: toxic for toxic in map(_toxic, data)}

    def get_toxic(self, proxy: str, name: str) -> EdgeToxic | None:
        """Return a toxic as it is now, None if the proxy or the toxic does not exist."""
        answer = self._calls.find(path_of(proxy, name))
        return None if answer is None else _toxic(answer.data)

    def add_toxic(
        self,
        proxy: str,
        kind: str,
        attributes: Mapping[str, int],
        *,
        name: str,
        stream: str = "downstream",
        toxicity: float = 1.0,
    ) -> EdgeToxic:
        """Add a toxic and return it as read back. Attributes left out are sent at their default."""
        problems = validate_name("proxy", proxy) + validate_name("toxic", name)
        problems += validate_attributes(kind, attributes) + _toxicity_problems(toxicity)
        if kind == DOWN:
            problems.append("down is no toxic; accepted: set_enabled")
        if stream not in STREAMS:
            problems.append(f"stream is {stream!r}; accepted: {' or '.join(STREAMS)}")
        _refuse(problems)
        whole = complete_attributes(kind, attributes)

        def proof() -> EdgeToxic | None:
            toxic = self.get_toxic(proxy, name)
            if toxic is None or (toxic.type, toxic.stream) != (kind, stream):
                return None
            return toxic if _is_as_asked(toxic, whole, toxicity) else None

        return self._calls.change(
            "POST",
            f"{path_of(proxy)}/toxics",
            {
                "name": name,
                "type": kind,
                "stream": stream,
                "toxicity": toxicity,
                "attributes": whole,
            },
            action=f"add toxic {name!r} to proxy {proxy!r}",
            proof=proof,
        )

    def update_toxic(
        self,
        proxy: str,
        name: str,
        *,
        attributes: Mapping[str, int] | None = None,
        toxicity: float | None = None,
    ) -> EdgeToxic:
        """Change attributes or toxicity of a toxic, keeping the rest, and return it as read back.

        A toxic that is changed draws its toxicity anew for every live connection.
        """
        _refuse(validate_name("proxy", proxy) + validate_name("toxic", name))
        before = self.get_toxic(proxy, name)
        if before is None:
            raise FaultRejectedError(f"no toxic {name!r} on proxy {proxy!r} of {self.api_url}")
        whole = {**before.attributes, **(attributes or {})}
        share = before.toxicity if toxicity is None else toxicity
        _refuse(validate_attributes(before.type, whole) + _toxicity_problems(share))

        def proof() -> EdgeToxic | None:
            toxic = self.get_toxic(proxy, name)
            return toxic if toxic is not None and _is_as_asked(toxic, whole, share) else None

        try:
            return self._calls.change(
                "PATCH",
                path_of(proxy, name),
                {"toxicity": share, "attributes": whole},
                action=f"change toxic {name!r} of proxy {proxy!r}",
                proof=proof,
            )
        except FaultRejectedError as error:
            # A PATCH is decoded into the live toxic: one that is refused may be done in part.
            now = self.get_toxic(proxy, name)
            if now is None or not _is_as_asked(now, before.attributes, before.toxicity):
                raise FaultIndefiniteError(f"{error}, and the toxic is not as it was") from error
            raise

    def remove_toxic(self, proxy: str, name: str) -> bool:
        """Remove a toxic and return whether it was there; safe to call twice."""
        _refuse(validate_name("proxy", proxy) + validate_name("toxic", name))
        action = f"remove toxic {name!r} of proxy {proxy!r}"
        return self._calls.delete(path_of(proxy, name), action=action)

    # The library's other names, so that those who know it find what they look for.

    def create(
        self, upstream: str, name: str, listen: str | None = None, enabled: bool | None = None
    ) -> EdgeProxy:
        """Make a proxy (the library's name for `create_proxy`)."""
        return self.create_proxy(name, upstream, listen or _ANY_PORT, enabled=enabled is not False)

    def destroy(self, proxy: Proxy) -> bool:
        """Delete a proxy and return whether it was there."""
        return self.remove_proxy(str(proxy.name))

    def populate(self, proxies: Iterable[Mapping[str, str]]) -> list[EdgeProxy]:
        """Make each proxy that is not there yet; return all of them, the old ones untouched.

        Each is ``{"name", "upstream"}`` and perhaps ``listen``; one that exists with another
        upstream is refused.
        """
        made = []
        for wanted in proxies:
            found = self.get_proxy(wanted["name"])
            if found is None or found.upstream != wanted["upstream"]:
                found = self.create(wanted["upstream"], wanted["name"], wanted.get("listen"))
            made.append(found)
        return made

    def reset(self) -> Never:
        """Refuse: it would remove the toxics of others, and stops half-way at the first error."""
        raise FaultRejectedError("reset would undo the faults of others too; remove toxics by name")

    def destroy_all(self) -> Never:
        """Refuse: proxies of others may live on the same server."""
        raise FaultRejectedError("the server may hold the proxies of others; remove them by name")

    def update_api_consumer(self, host: str, port: int) -> Never:
        """Refuse: the address belongs to this object, not to every server of the process."""
        raise FaultRejectedError(f"make another ToxiproxyServer for http://{host}:{port}")

    def _set(self, proxy: str, key: str, value: object) -> EdgeProxy:
        _refuse(validate_name("proxy", proxy))

        def proof() -> EdgeProxy | None:
            found = self.get_proxy(proxy)
            return found if found is not None and getattr(found, key) == value else None

        action = f"set {key} of proxy {proxy!r} to {value}"
        return self._calls.change("PATCH", path_of(proxy), {key: value}, action=action, proof=proof)

    def _proxy(self, data: object) -> EdgeProxy:
        return EdgeProxy(self, _members("a proxy", data, ("name", "upstream", "listen", "enabled")))


def _toxic(data: object) -> EdgeToxic:
    keys = ("name", "type", "stream", "toxicity", "attributes")
    return EdgeToxic(**_members("a toxic", data, keys))


def _members(what: str, data: object, keys: tuple[str, ...]) -> dict[str, object]:
    if not isinstance(data, Mapping) or any(key not in data for key in keys):
        raise _strange(what, data)
    return {key: data[key] for key in keys}


def _strange(what: str, data: object) -> FaultIndefiniteError:
    return FaultIndefiniteError(f"toxiproxy showed something else than {what}: {data!r}")


def _is_as_asked(toxic: EdgeToxic, attributes: Mapping[str, int], toxicity: float) -> bool:
    same = math.isclose(toxic.toxicity, toxicity, abs_tol=_TOXICITY_TOLERANCE)
    return same and toxic.attributes == attributes


def _toxicity_problems(toxicity: float) -> list[str]:
    # The server does not check it: 1.5 and -1 are taken.
    if 0 <= toxicity <= 1:
        return []
    return [f"toxicity is {toxicity}; accepted: 0 to 1"]


def _address_problems(what: str, address: str) -> list[str]:
    host, separator, port = address.rpartition(":")
    if separator and host and port.isdigit() and int(port) < 65536:
        return []
    return [f"{what} is {address!r}; accepted: HOST:PORT"]


def _refuse(problems: list[str]) -> None:
    if problems:
        raise FaultRejectedError("; ".join(problems))
