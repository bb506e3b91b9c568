"""Changes to a Toxiproxy server that are proved: sent once, then read back until known."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TypeVar
from urllib.parse import quote

from surgeproof.errors import (
    EnvironmentNotReadyError,
    FaultIndefiniteError,
    FaultRejectedError,
)
from surgeproof.faults.transport import Answer, Transport

__all__ = ["ProvenCalls", "ServerHealth", "path_of"]

Found = TypeVar("Found")

# Enough to tell a wedged server from a busy one: both calls answer within a millisecond in health.
_DIAGNOSIS_S = 1.0


class ServerHealth(StrEnum):
    """What a server that let a call time out looks like from outside."""

    ANSWERING = "answering"
    WEDGED = "wedged"  # /version, which takes no lock, answers; the proxy does not
    GONE = "gone"


class ProvenCalls:
    """Reads and proved changes over a transport."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    def read(self, path: str) -> Answer:
        """Return the answer of a read that must succeed."""
        answer = self.transport.call("GET", path)
        if answer.status != 200:
            raise answer.refusal(f"show {path}")
        return answer

    def find(self, path: str) -> Answer | None:
        """Return the answer of a read, None if the server has no such thing."""
        answer = self.transport.call("GET", path)
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise answer.refusal(f"show {path}")
        return answer

    def change(
        self,
        method: str,
        path: str,
        body: object,
        *,
        action: str,
        proof: Callable[[], Found | None],
    ) -> Found:
        """Send a change once and return what ``proof`` then reads: the thing as asked, else None.

        Raises:
            EnvironmentNotReadyError: nothing was sent.
            FaultRejectedError: the server refused it.
            FaultIndefiniteError: no answer came and it does not hold (yet), or the server agreed
                and shows something else.
        """
        try:
            answer = self.transport.call(method, path, body)
        except FaultIndefiniteError:
            # Not sent again: it may still be under way, and reading tells all that can be told.
            found = self._look(proof)
            if found is None:
                raise
            return found
        if answer.status not in {200, 201, 204}:
            raise answer.refusal(action)
        found = self._look(proof)
        if found is None:
            raise self._unproven(answer, action)
        return found

    def delete(self, path: str, *, action: str) -> bool:
        """Delete what is at ``path``, prove that it is gone, and return whether it was there.

        Raises: as `change` does; that it was not there is no error.
        """

        def is_gone() -> bool | None:
            return True if self.find(path) is None else None

        try:
            answer = self.transport.call("DELETE", path)
        except FaultIndefiniteError:
            if self._look(is_gone) is None:
                raise
            return True
        if answer.status not in {200, 204, 404}:
            raise answer.refusal(action)
        if self._look(is_gone) is None:
            raise self._unproven(answer, action)
        return answer.status != 404

    def health(self, proxy: str) -> ServerHealth:
        """Look, with short deadlines, whether the server still serves calls on a proxy."""
        try:
            self.transport.call("GET", "/version", read_s=_DIAGNOSIS_S)
        except (EnvironmentNotReadyError, FaultIndefiniteError):
            return ServerHealth.GONE
        try:
            self.transport.call("GET", path_of(proxy), read_s=_DIAGNOSIS_S)
        except (EnvironmentNotReadyError, FaultIndefiniteError):
            return ServerHealth.WEDGED
        return ServerHealth.ANSWERING

    def _look(self, proof: Callable[[], Found | None]) -> Found | None:
        """Return what ``proof`` finds, None also where the server cannot be read."""
        try:
            return proof()
        except (EnvironmentNotReadyError, FaultIndefiniteError, FaultRejectedError):
            return None

    def _unproven(self, answer: Answer, action: str) -> FaultIndefiniteError:
        return FaultIndefiniteError(
            f"toxiproxy at {self.transport.api_url} agreed ({answer.status}) to {action}, "
            "and cannot be read back to show it"
        )


def path_of(proxy: str, toxic: str | None = None) -> str:
    """Return the path of a proxy or of one of its toxics."""
    path = f"/proxies/{quote(proxy, safe='')}"
    return path if toxic is None else f"{path}/toxics/{quote(toxic, safe='')}"
