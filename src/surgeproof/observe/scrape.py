"""The harness' own scraper, for machines without Prometheus.

One thread per process GETs its ``/metrics`` each second. The readings are kept in memory for the
report and appended to ``<run>/scrapes.jsonl``, delta-coded::

    {"series": 7, "process": "graph", "name": "app_edge_requests_total", "labels": {…}}
    {"t_s": 12.004, "process": "graph", "values": {"7": 310.0}, "gone": []}    only what changed
    {"t_s": 13.004, "process": "graph", "error": "timed out after 0.8s"}

A value not repeated is unchanged; a failed scrape leaves a gap.
"""

from __future__ import annotations

import http.client
import json
import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit

from surgeproof.clock import Clock
from surgeproof.errors import EnvironmentNotReadyError, FormatError
from surgeproof.observe.exposition import Exposition, Reading, SeriesKey
from surgeproof.observe.history import History

__all__ = ["SCRAPES_FILE", "Scraper", "fetch_page", "read_scrapes"]

SCRAPES_FILE = "scrapes.jsonl"
# A page of the reference app is about 100 kB; one far beyond that is not a metrics page.
_PAGE_LIMIT_BYTES = 16 * 2**20
_CHUNK_BYTES = 64 * 2**10

# Returns the body of a page, given its URL and the seconds it may take.
Fetch = Callable[[str, float], str]


@dataclass(slots=True)
class _ProcessState:
    """What one process' lines in the file stand for."""

    exposition: Exposition
    ids: dict[SeriesKey, int] = field(default_factory=dict)
    last: dict[int, float] = field(default_factory=dict)


class Scraper:
    """Scrapes ``targets`` (process name → URL) every ``interval_s`` from `start` to `stop`.

    ``t0`` is the run's zero on the clock's monotonic axis, so start it once t0 is known. A page
    that takes longer than ``deadline_s`` is a failed scrape.
    """

    def __init__(
        self,
        targets: Mapping[str, str],
        folder: Path,
        *,
        clock: Clock,
        t0: float,
        interval_s: float = 1.0,
        deadline_s: float = 0.8,
        prefixes: tuple[str, ...] = ("app_",),
        fetch: Fetch | None = None,
    ) -> None:
        self.history = History()
        self.failures: dict[str, int] = dict.fromkeys(targets, 0)
        self.pages: dict[str, int] = dict.fromkeys(targets, 0)
        self._targets = dict(targets)
        self._path = folder / SCRAPES_FILE
        self._clock, self._t0 = clock, t0
        self._fetch = fetch or partial(fetch_page, clock=clock)
        self._interval_s, self._deadline_s = interval_s, deadline_s
        self._states = {name: _ProcessState(Exposition(prefixes)) for name in targets}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._file: TextIO | None = None
        self._is_closed = False
        self._series_count = 0

    def start(self) -> None:
        for name in self._targets:
            thread = threading.Thread(
                target=self._run, args=(name,), name=f"scrape-{name}", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """End the threads and close the file; a scrape under way is waited for."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout=self._deadline_s + 1.0)
        with self._lock:
            self._is_closed = True
            if self._file is not None:
                self._file.close()
                self._file = None

    def scrape_once(self, process: str) -> None:
        """Scrape one process now; a failure is counted and journalled, never raised."""
        t_s = self._clock.monotonic() - self._t0
        try:
            page = self._fetch(self._targets[process], self._deadline_s)
            readings = self._states[process].exposition.read(page)
        except (EnvironmentNotReadyError, FormatError) as error:
            with self._lock:
                self.failures[process] += 1
                self._write({"t_s": round(t_s, 3), "process": process, "error": str(error)})
            return
        with self._lock:
            self.pages[process] += 1
            self.history.add_page(process, t_s, readings)
            self._journal(process, t_s, readings)

    def _run(self, process: str) -> None:
        planned = self._clock.monotonic()
        while not self._stopping.is_set():
            self.scrape_once(process)
            # Missed beats are left out, not caught up: a burst of scrapes would load the target.
            late_s = self._clock.monotonic() - planned
            planned += self._interval_s * max(1, math.ceil(late_s / self._interval_s))
            self._stopping.wait(max(0.0, planned - self._clock.monotonic()))

    def _journal(self, process: str, t_s: float, readings: list[Reading]) -> None:
        state = self._states[process]
        values: dict[int, float] = {}
        for reading in readings:
            number = state.ids.get(reading.key)
            if number is None:
                number = state.ids[reading.key] = self._series_count
                self._series_count += 1
                labels = dict(reading.key.labels)
                line = {"series": number, "process": process, "name": reading.key.name}
                self._write({**line, "labels": labels})
            # JSON has no NaN and no infinity, and neither is a measurement.
            if math.isfinite(reading.value):
                values[number] = reading.value
        changed = {
            str(number): value
            for number, value in values.items()
            if state.last.get(number) != value
        }
        gone = [number for number in state.last if number not in values]
        state.last = values
        head = {"t_s": round(t_s, 3), "process": process, "values": changed}
        self._write({**head, "gone": gone} if gone else head)

    def _write(self, line: Mapping[str, object]) -> None:
        if self._is_closed:  # by `stop`, while a slow scrape was still under way
            return
        if self._file is None:
            self._file = self._path.open("a", encoding="utf-8")
        self._file.write(json.dumps(line, separators=(",", ":")) + "\n")
        self._file.flush()


def fetch_page(url: str, deadline_s: float, *, clock: Clock) -> str:
    """Return the body of a metrics page.

    The deadline is for the whole page: a server that dribbles does not get around it.

    Raises:
        EnvironmentNotReadyError: refused, cut short, not 200, too slow, or beyond any sane size.
    """
    parts = urlsplit(url)
    ends = clock.monotonic() + deadline_s
    connection = http.client.HTTPConnection(
        parts.hostname or "", parts.port or 80, timeout=deadline_s
    )
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", path, headers={"Accept": "text/plain; version=0.0.4"})
        response = connection.getresponse()
        if response.status != http.client.OK:
            raise EnvironmentNotReadyError(f"{url} answered {response.status}; accepted: 200")
        return _read_body(response, url, ends, clock).decode("utf-8")
    except TimeoutError as error:
        raise EnvironmentNotReadyError(f"{url} timed out after {deadline_s:g}s") from error
    except (OSError, http.client.HTTPException, UnicodeDecodeError) as error:
        raise EnvironmentNotReadyError(f"{url} cannot be scraped: {error!r}") from error
    finally:
        connection.close()


def _read_body(response: http.client.HTTPResponse, url: str, ends: float, clock: Clock) -> bytes:
    body = bytearray()
    while chunk := response.read1(_CHUNK_BYTES):
        body += chunk
        if clock.monotonic() > ends:
            raise TimeoutError
        if len(body) > _PAGE_LIMIT_BYTES:
            raise EnvironmentNotReadyError(f"{url} is longer than {_PAGE_LIMIT_BYTES} bytes")
    if response.length:
        raise EnvironmentNotReadyError(f"{url} was cut short by {response.length} bytes")
    return bytes(body)


def read_scrapes(path: Path) -> History:
    """Return the history that a ``scrapes.jsonl`` holds; a last line cut by a crash is left out."""
    history = History()
    keys: dict[int, SeriesKey] = {}
    current: dict[str, dict[int, float]] = {}
    with path.open(encoding="utf-8") as lines:
        for text in lines:
            try:
                line = json.loads(text)
            except ValueError:
                continue
            if "series" in line:
                labels = tuple(sorted(line["labels"].items()))
                keys[line["series"]] = SeriesKey(line["name"], labels)
            elif "values" in line:
                values = current.setdefault(line["process"], {})
                values.update({int(number): value for number, value in line["values"].items()})
                for number in line.get("gone", ()):
                    values.pop(number, None)
                readings = [Reading(keys[number], value) for number, value in values.items()]
                history.add_page(line["process"], line["t_s"], readings)
    return history
