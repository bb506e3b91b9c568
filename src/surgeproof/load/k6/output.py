"""k6's stream of points, line by line: requests, dropped iterations and writes of the surge.

A request is a run of points from ``http_reqs`` to ``http_req_failed``, with one time, its end. The
entry script adds to the metadata of everything that an iteration does which started iteration it
was (``arrival``) and when it began (``begun``, milliseconds since the epoch). What is said about
an answer comes after it: by the library (``surgeproof_outcome``) or by k6's checks, of which one
that fails makes the answer wrong. So a request is complete with the iteration's next, or its end.
"""

from __future__ import annotations

import json
from array import array
from bisect import bisect_left, insort
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from surgeproof.model.words import Outcome

__all__ = ["K6Request", "K6Stream", "K6Write", "error_kind_of"]

# Error codes of k6 (documented under "Error codes") as our error kinds; else by their hundred.
_ERROR_KINDS = {
    1050: "timeout",
    1201: "reset",
    1211: "connect_timeout",
    1212: "refused",
    1220: "reset",
}
_ERROR_HUNDREDS = {11: "dns", 12: "unreachable", 13: "tls"}
_GOOD = frozenset({Outcome.FULL.value, Outcome.DEGRADED.value})
# An iteration's beginning is known to the millisecond, rounded down.
_GRAIN_S = 0.001


@dataclass(slots=True)
class K6Request:
    """One request; times are seconds since the epoch. ``started`` counts iterations from 0.

    ``outcome`` is None until the script has judged the answer, and stays so if it never does.
    """

    started: int
    begun: float
    name: str
    method: str
    status: int
    error_code: int
    end: float
    service_s: float = 0.0
    waiting_s: float = 0.0
    receiving_s: float = 0.0
    outcome: str | None = None
    error_kind: str = ""
    degraded: str = ""

    @property
    def start(self) -> float:
        """When the request turned to the network: dialling is part of its service."""
        return self.end - self.service_s

    @property
    def first_byte(self) -> float | None:
        """When the answer began; None if nothing came."""
        return self.end - self.receiving_s if self.waiting_s > 0 and self.status else None


class K6Write(NamedTuple):
    """A line for the ledger; ``at`` is seconds since the epoch."""

    at: float
    kind: str
    key: str
    outcome: str


class K6Stream:
    """Turns output lines into requests, drops and writes; holds what is under way only.

    ``drop_times`` are seconds since the epoch, sorted; ``is_judged`` says whether the script has
    judged an answer by the library.
    """

    # What a request waits for before the first byte goes out, and what the exchange takes.
    _SERVICE = frozenset(
        {
            "http_req_blocked",
            "http_req_connecting",
            "http_req_tls_handshaking",
            "http_req_duration",
        }
    )

    def __init__(self) -> None:
        self._open: K6Request | None = None
        self._last: dict[int, K6Request] = {}
        self._durations: dict[int, float] = {}
        self._complete: list[K6Request] = []
        self._writes: list[K6Write] = []
        self.drop_times: array[float] = array("d")
        self.is_judged = False

    def feed(self, line: str | bytes) -> None:
        """Read one line; what is no point of the surge, or cut, changes nothing."""
        try:
            point = json.loads(line)
        except ValueError:
            return
        if not isinstance(point, dict) or point.get("type") != "Point":
            return
        metric, data = str(point["metric"]), point["data"]
        if metric == "dropped_iterations":
            at = _epoch(data["time"])
            for _ in range(int(data["value"])):
                insort(self.drop_times, at)
            return
        metadata = data.get("metadata") or {}
        if "arrival" not in metadata:
            return  # of the preparation
        arrival = int(metadata["arrival"])
        if metric.startswith("http_req"):
            self._feed_request(metric, arrival, data)
        else:
            self._feed_other(metric, arrival, data)

    def take(self) -> list[K6Request]:
        """Return the requests that are complete since the last call."""
        taken, self._complete = self._complete, []
        return taken

    def take_writes(self) -> list[K6Write]:
        """Return the writes noted since the last call."""
        taken, self._writes = self._writes, []
        return taken

    def end(self) -> None:
        """Declare the stream over: nobody will say more about what was answered last."""
        for arrival in list(self._last):
            self._finish(arrival)

    @property
    def pending(self) -> int:
        """How many requests are answered, and may still be judged."""
        return len(self._last)

    def place_of(self, request: K6Request) -> int:
        """Return which arrival of the schedule a request is: drops before it count too."""
        return request.started + bisect_left(self.drop_times, request.begun)

    def _feed_request(self, metric: str, arrival: int, data: dict[str, Any]) -> None:
        if metric == "http_reqs":
            tags = data["tags"]
            self._open = K6Request(
                started=arrival,
                begun=_begun(data),
                name=str(tags.get("name", "")),
                method=str(tags.get("method", "")),
                status=int(tags.get("status", 0)),
                error_code=int(tags.get("error_code", 0)),
                end=_epoch(data["time"]),
            )
            return
        request = self._open
        if request is None or request.started != arrival:
            return
        seconds = float(data["value"]) / 1e3
        if metric in self._SERVICE:
            request.service_s += seconds
        elif metric == "http_req_waiting":
            request.waiting_s = seconds
        elif metric == "http_req_receiving":
            request.receiving_s = seconds
        elif metric == "http_req_failed":
            self._open = None
            self._finish(arrival)
            self._last[arrival] = request

    def _feed_other(self, metric: str, arrival: int, data: dict[str, Any]) -> None:
        if metric == "surgeproof_outcome":
            self.is_judged = True
            self._judge(arrival, data)
        elif metric == "checks":
            if not data["value"]:
                self._fail_check(arrival)
        elif metric == "surgeproof_ledger":
            kind, key, outcome = json.loads(data["metadata"]["ledger"])
            self._writes.append(K6Write(_epoch(data["time"]), kind, key, outcome))
        elif metric == "iteration_duration":
            self._durations[arrival] = float(data["value"]) / 1e3
        elif metric == "iterations":
            took_s = self._durations.pop(arrival, 0.0)
            if arrival in self._last:
                self._finish(arrival)
            else:
                self._complete.append(_without_request(arrival, data, took_s))

    def _judge(self, arrival: int, data: dict[str, Any]) -> None:
        request = self._last.get(arrival)
        if request is not None:
            request.outcome = str(data["tags"]["outcome"])
            request.error_kind = str(data["metadata"].get("error_kind", ""))
            request.degraded = str(data["metadata"].get("degraded", ""))

    def _fail_check(self, arrival: int) -> None:
        request = self._last.get(arrival)
        if request is None:
            return
        is_good = 200 <= request.status < 400 if request.outcome is None else False
        if is_good or request.outcome in _GOOD:
            request.outcome, request.error_kind = Outcome.WRONG.value, "check"

    def _finish(self, arrival: int) -> None:
        request = self._last.pop(arrival, None)
        if request is not None:
            self._complete.append(request)


def _without_request(arrival: int, data: dict[str, Any], took_s: float) -> K6Request:
    """Return what stands for an iteration that ended without having asked anything."""
    return K6Request(
        started=arrival,
        begun=_begun(data),
        name="",
        method="",
        status=0,
        error_code=0,
        end=_epoch(data["time"]),
        service_s=took_s,
        outcome=Outcome.ERROR.value,
        error_kind="no_request",
    )


def error_kind_of(request: K6Request) -> str:
    """Return the error kind of a request without an answer, or with an error status."""
    if request.status:
        return f"status_{request.status}" if request.status >= 400 else ""
    hundred = _ERROR_HUNDREDS.get(request.error_code // 100, "closed")
    return _ERROR_KINDS.get(request.error_code, hundred)


def _begun(data: dict[str, Any]) -> float:
    # What was dropped within the same millisecond came before it, for the next had an engine.
    return float(data["metadata"]["begun"]) / 1e3 + _GRAIN_S


def _epoch(text: str) -> float:
    """Read k6's timestamps, which carry nanoseconds; Python knows microseconds."""
    head, _, tail = text.partition(".")
    digits = tail.rstrip("Z")
    zone = "+00:00" if tail.endswith("Z") or not tail else ""
    for sign in "+-":
        if sign in digits:
            digits, _, offset = digits.partition(sign)
            zone = sign + offset
            break
    whole = datetime.fromisoformat(head.removesuffix("Z") + zone).timestamp()
    return whole + (float(f"0.{digits}") if digits else 0.0)
