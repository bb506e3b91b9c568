"""k6's JSON output, read while it grows: requests and dropped iterations of the surge.

A request is a run of points from ``http_reqs`` to ``http_req_failed``, with one time, its end.
The script adds a point ``surgeproof_outcome``, and ``arrival`` (which started iteration it was)
to the metadata of both.
"""

from __future__ import annotations

import json
from bisect import bisect_left, insort
from dataclasses import dataclass
from datetime import datetime

__all__ = ["K6Request", "K6Stream", "error_kind_of"]

# Error codes of k6 (documented under "Error codes") as our error kinds; else by their hundred.
_ERROR_KINDS = {
    1050: "timeout",
    1201: "reset",
    1211: "connect_timeout",
    1212: "refused",
    1220: "reset",
}
_ERROR_HUNDREDS = {11: "dns", 12: "unreachable", 13: "tls"}


@dataclass(slots=True)
class K6Request:
    """One request; times are seconds since the epoch. ``started`` counts iterations from 0.

    ``outcome`` is None until the script has judged the answer, and stays so if it never does.
    """

    started: int
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


class K6Stream:
    """Turns output lines into requests and drops."""

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
        self._unjudged: dict[int, K6Request] = {}
        self._judged: list[K6Request] = []
        self.drop_times: list[float] = []

    def feed(self, line: str) -> None:
        """Read one line; what is no point of the surge, or cut, changes nothing."""
        try:
            point = json.loads(line)
        except ValueError:
            return
        if point.get("type") != "Point":
            return
        metric, data = str(point["metric"]), point["data"]
        if metric == "dropped_iterations":
            for _ in range(int(data["value"])):
                insort(self.drop_times, _epoch(data["time"]))
            return
        arrival = (data.get("metadata") or {}).get("arrival")
        if arrival is None:
            return  # of the preparation
        if metric.startswith("http_req"):
            self._feed_request(metric, int(arrival), data)
        elif metric == "surgeproof_outcome":
            self._judge(int(arrival), data["tags"])
        elif metric == "iterations":
            self._give_up(int(arrival))

    def take(self) -> list[K6Request]:
        """Return the requests that are complete and judged since the last call."""
        taken, self._judged = self._judged, []
        return taken

    def end(self) -> None:
        """Declare the stream over: what nobody judged is complete all the same."""
        for started in list(self._unjudged):
            self._give_up(started)

    def place_of(self, request: K6Request) -> int:
        """Return which arrival of the schedule a request is: drops before it count too."""
        return request.started + bisect_left(self.drop_times, request.start)

    def _feed_request(self, metric: str, arrival: int, data: dict[str, object]) -> None:
        if metric == "http_reqs":
            tags = data["tags"]
            if not isinstance(tags, dict):
                return
            self._open = K6Request(
                started=arrival,
                name=str(tags.get("name", "")),
                method=str(tags.get("method", "")),
                status=int(tags.get("status", 0)),
                error_code=int(tags.get("error_code", 0)),
                end=_epoch(str(data["time"])),
            )
            return
        request = self._open
        if request is None or request.started != arrival:
            return
        seconds = float(str(data["value"])) / 1e3
        if metric in self._SERVICE:
            request.service_s += seconds
        elif metric == "http_req_waiting":
            request.waiting_s = seconds
        elif metric == "http_req_receiving":
            request.receiving_s = seconds
        elif metric == "http_req_failed":
            self._open = None
            self._give_up(arrival)  # a second step: the first is judged or never will be
            self._unjudged[arrival] = request

    def _judge(self, arrival: int, tags: dict[str, str]) -> None:
        request = self._unjudged.get(arrival)
        if request is not None:
            request.outcome = tags["outcome"]
            request.error_kind = tags.get("error_kind", "")
            request.degraded = tags.get("degraded", "")
            self._give_up(arrival)

    def _give_up(self, arrival: int) -> None:
        request = self._unjudged.pop(arrival, None)
        if request is not None:
            self._judged.append(request)


def error_kind_of(request: K6Request) -> str:
    """Return the error kind of a request without an answer, or with an error status."""
    if request.status:
        return f"status_{request.status}" if request.status >= 400 else ""
    hundred = _ERROR_HUNDREDS.get(request.error_code // 100, "closed")
    return _ERROR_KINDS.get(request.error_code, hundred)


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
