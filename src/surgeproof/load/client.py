"""The client that journeys use: every attempt becomes a sample, and no answer is an exception."""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from math import isnan
from typing import Any, Protocol

from surgeproof.load.http import Attempt, RawResponse, TransportError
from surgeproof.load.journeys import CURRENT_ARRIVAL, Arrival
from surgeproof.load.outcomes import Judgement, find_header, judge
from surgeproof.load.recorder import Recorder, SampleRow
from surgeproof.model.words import Outcome

__all__ = ["Check", "Client", "ClientSettings", "Response", "Sender"]

_IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
_NO_RESPONSE = RawResponse(0, [], b"", can_keep_alive=False)


class Sender(Protocol):
    """What makes one attempt; `surgeproof.load.http.Transport` is it."""

    async def attempt(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        timeout_s: float,
        attempt: Attempt,
    ) -> RawResponse:
        """Make one attempt, or raise TransportError; measures land in ``attempt``."""
        ...


class Response:
    """The answer to a request, or the lack of one: then ``status`` is 0 and ``body`` empty."""

    __slots__ = ("_raw", "degraded", "error_kind", "outcome")

    def __init__(self, raw: RawResponse, judgement: Judgement) -> None:
        self._raw = raw
        self.outcome = judgement.outcome
        self.error_kind = judgement.error_kind
        self.degraded = judgement.degraded

    @property
    def status(self) -> int:
        return self._raw.status

    @property
    def body(self) -> bytes:
        return self._raw.body

    @property
    def text(self) -> str:
        return self._raw.body.decode("utf-8", "replace")

    @property
    def is_served(self) -> bool:
        """The answer is full or degraded: what a user would call served."""
        return self.outcome in {Outcome.FULL, Outcome.DEGRADED}

    @property
    def is_indefinite(self) -> bool:
        """Whether the request took effect is unknown (see `Client.request`)."""
        return self.outcome is Outcome.ERROR and (self.status == 0 or self.status >= 500)

    def header(self, name: str) -> str | None:
        """Return a header's first value, None if it is not there; the name's case is free."""
        return find_header(self._raw, name.lower().encode("latin-1"))

    def json(self) -> Any:
        """Return the body read as JSON.

        Raises:
            ValueError: it is no JSON.
        """
        return json.loads(self._raw.body)


# Returns None or True if the answer is right, else False or what is wrong with it.
Check = Callable[[Response], bool | str | None]


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """What is the same for all requests of a generator; times of samples count from ``t0``."""

    generator: int
    headers: Mapping[str, str]
    tiers: Mapping[str, str]
    request_timeout_s: float
    late_after_s: float
    names_by_journey: bool


class Client:
    """Sends requests. Within a journey each attempt is journalled, in ``prepare`` none is."""

    def __init__(self, sender: Sender, settings: ClientSettings, recorder: Recorder) -> None:
        self._sender = sender
        self._settings = settings
        self._recorder = recorder
        self.t0 = 0.0

    async def get(self, path: str, **options: Any) -> Response:
        """Send a GET; the options are those of `request`."""
        return await self.request("GET", path, **options)

    async def post(self, path: str, **options: Any) -> Response:
        """Send a POST; the options are those of `request`."""
        return await self.request("POST", path, **options)

    async def put(self, path: str, **options: Any) -> Response:
        """Send a PUT; the options are those of `request`."""
        return await self.request("PUT", path, **options)

    async def delete(self, path: str, **options: Any) -> Response:
        """Send a DELETE; the options are those of `request`."""
        return await self.request("DELETE", path, **options)

    async def request(
        self,
        method: str,
        path: str,
        *,
        name: str | None = None,
        json: object | None = None,
        data: bytes = b"",
        headers: Mapping[str, str] | None = None,
        expect: Container[int] = (),
        check: Check | None = None,
        timeout_s: float | None = None,
    ) -> Response:
        """Send a request and return its answer; a failure is an answer with status 0.

        ``path`` is percent-encoded; ``name`` is the sample's name, the journey's if not given
        (first step of an arrival that is one request), else ``METHOD path`` without the query.
        ``expect`` holds statuses that are fine besides 2xx and 3xx. ``check`` decides whether a
        good-looking answer is ``wrong``; one that raises has failed.

        A keep-alive connection that broke before the first byte of an answer is dialled again
        once, for requests that may safely be sent twice (idempotent methods, or an
        ``Idempotency-Key``): a second sample, attempt 2. After an error with status 0 or 5xx it
        is unknown whether the request took effect.

        Raises:
            ValueError: the request cannot be put into HTTP/1.1.
        """
        body = data if json is None else _encode(json)
        fields = _merge(self._settings.headers, headers, has_json=json is not None)
        arrival = CURRENT_ARRIVAL.get()
        step = _Step(self, arrival, method, name or self._name(arrival, method, path))
        can_repeat = method in _IDEMPOTENT or any(
            key.lower() == "idempotency-key" for key in fields
        )
        for number in (1, 2):
            attempt = Attempt()
            raw, judgement = _NO_RESPONSE, Judgement(Outcome.ERROR, "unfinished", "")
            try:
                raw = await self._sender.attempt(
                    method,
                    path,
                    fields,
                    body,
                    timeout_s=timeout_s or self._settings.request_timeout_s,
                    attempt=attempt,
                )
                judgement = _judge(raw, expect, check)
            except TransportError as error:
                judgement = Judgement(Outcome.ERROR, error.kind, "", str(error))
            finally:
                # Also when the run ends and this task is cancelled: the attempt was made.
                step.record(number, attempt, raw, judgement)
            broke_while_idle = (
                judgement.error_kind in {"closed", "reset"}
                and attempt.was_reused
                and not attempt.received_bytes
            )
            if not (broke_while_idle and can_repeat):
                break
        return Response(raw, judgement)

    def _name(self, arrival: Arrival | None, method: str, path: str) -> str:
        if self._settings.names_by_journey and arrival is not None and arrival.step == 0:
            return arrival.journey
        return f"{method} {path.partition('?')[0]}"


class _Step:
    """One request of an arrival, from its intended start to its samples."""

    def __init__(self, client: Client, arrival: Arrival | None, method: str, name: str) -> None:
        self._client, self._arrival, self._method, self._name = client, arrival, method, name
        if arrival is not None:
            arrival.step += 1
            self._number = arrival.step
            self._intended = arrival.next_intended

    def record(self, number: int, attempt: Attempt, raw: RawResponse, judgement: Judgement) -> None:
        arrival, client = self._arrival, self._client
        if arrival is None:
            return
        recorder, settings = client._recorder, client._settings  # noqa: SLF001 - one concept
        if isnan(attempt.start) and self._number == 1:
            return  # the arrival never got a place: the engine counts it as dropped
        if not arrival.was_sent:
            arrival.late_s = attempt.start - self._intended
            recorder.sent += 1
            recorder.late += arrival.late_s > settings.late_after_s
            recorder.lags.append(arrival.late_s)
        t0 = client.t0
        recorder.samples.append(
            SampleRow(
                intended_s=self._intended - t0,
                start_s=_since(attempt.start, t0),
                first_byte_s=_since(attempt.first_byte, t0),
                end_s=_since(attempt.end, t0),
                generator=settings.generator,
                session=arrival.index,
                step=self._number,
                attempt=number,
                name=self._name,
                method=self._method,
                tier=settings.tiers.get(self._name, ""),
                phase=arrival.phase,
                outcome=judgement.outcome.value,
                error_kind=judgement.error_kind,
                degraded=judgement.degraded,
                status=raw.status,
                sent_bytes=attempt.sent_bytes,
                received_bytes=attempt.received_bytes,
            )
        )
        if not isnan(attempt.end):
            arrival.next_intended = attempt.end


def _since(moment: float, t0: float) -> float | None:
    return None if isnan(moment) else moment - t0


def _encode(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _merge(
    common: Mapping[str, str], own: Mapping[str, str] | None, *, has_json: bool
) -> dict[str, str]:
    """Lay a request's own headers over the common ones; names are compared without case."""
    fields = {"User-Agent": "surgeproof", "Accept": "*/*"}
    if has_json:
        fields["Content-Type"] = "application/json"
    for source in (common, own or {}):
        for name, value in source.items():
            for known in [known for known in fields if known.lower() == name.lower()]:
                del fields[known]
            fields[name] = value
    return fields


def _judge(raw: RawResponse, expect: Container[int], check: Check | None) -> Judgement:
    if check is None:
        return judge(raw, expected=expect)
    return judge(raw, expected=expect, check=lambda: _complaint(raw, expect, check))


def _complaint(raw: RawResponse, expect: Container[int], check: Check) -> str | None:
    try:
        said = check(Response(raw, judge(raw, expected=expect)))
    except Exception as error:  # noqa: BLE001 - the border to the scenario's code
        return f"the check raised {error!r}"
    if said is None or said is True:
        return None
    return said or "the check says no"
