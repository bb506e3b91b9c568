"""The one home of prometheus-api-client: queries with deadlines, and errors of our own tree.

What the library lacks and this adds: it retries three times with back-off unless told not to
(a run must not wait for that), rounds range bounds to whole seconds (the run's axis would shift
by up to half a second), and raises bare KeyErrors on answers that are not Prometheus'.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import requests
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from urllib3.util.retry import Retry

from surgeproof.errors import EnvironmentNotReadyError, SurgeproofError
from surgeproof.model.plan import Window
from surgeproof.observe.exposition import Reading, SeriesKey
from surgeproof.observe.expressions import Expression, Series
from surgeproof.observe.history import History
from surgeproof.observe.series import PANELS, RATE_WINDOW_S, run_seconds

__all__ = ["Prometheus", "RunAxis"]


# A series of an answer: its name and labels, and (Unix seconds, value) in order.
_Entry = tuple[SeriesKey, list[tuple[float, float]]]


@dataclass(frozen=True, slots=True)
class RunAxis:
    """Where the run's zero lies on Prometheus' axis: ``unix_t0`` is t0 in Unix seconds."""

    unix_t0: float

    @classmethod
    def starting_at(cls, started_at: datetime) -> RunAxis:
        return cls(started_at.timestamp())

    def unix(self, t_s: float) -> float:
        return self.unix_t0 + t_s

    def t_s(self, unix: float) -> float:
        return unix - self.unix_t0


class Prometheus:
    """A Prometheus server to ask. Not safe to share between threads."""

    def __init__(self, url: str, *, timeout_s: float = 10.0) -> None:
        self.url = url.rstrip("/")
        self._timeout_s = timeout_s
        self._session = requests.Session()
        # Proxies and .netrc of the environment have no say in where measurements come from.
        self._session.trust_env = False
        self._connection = PrometheusConnect(
            self.url, retry=Retry(total=0), session=self._session, timeout=timeout_s
        )

    def close(self) -> None:
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def instant(self, query: str, at_unix: float | None = None) -> dict[SeriesKey, float]:
        """Return the value of each series of an instant vector; NaN values are left out.

        Raises:
            EnvironmentNotReadyError: no answer within the timeout, or not Prometheus' answer.
            SurgeproofError: Prometheus refused the query.
        """
        params = {} if at_unix is None else {"time": f"{at_unix:.3f}"}
        answer = self._ask(query, params)
        return {key: points[0][1] for key, points in answer if not math.isnan(points[0][1])}

    def series(
        self, expression: Expression, axis: RunAxis, instants: range, window: str
    ) -> list[Series]:
        """Return an expression's series at whole seconds of the run; NaN is a gap.

        Raises:
            EnvironmentNotReadyError, SurgeproofError: as `instant`.
        """
        if not instants:
            return []
        bounds = {
            "start": f"{axis.unix(instants[0]):.3f}",
            "end": f"{axis.unix(instants[-1]):.3f}",
        }
        found = []
        step = f"{instants.step}s"
        for key, raw in self._ask_range(expression.promql(window), bounds, step):
            points = tuple(
                (float(round(axis.t_s(unix))), value) for unix, value in raw if math.isfinite(value)
            )
            if points:
                found.append(Series(tuple(key.label(name) for name in expression.by), points))
        return sorted(found, key=lambda series: series.labels)

    def query_range(
        self, query: str, start_unix: float, end_unix: float, step_s: float
    ) -> list[tuple[SeriesKey, list[tuple[float, float]]]]:
        """Return each series of a query, with its (Unix seconds, value) in order, NaN included.

        Raises:
            EnvironmentNotReadyError, SurgeproofError: as `instant`.
        """
        bounds = {"start": f"{start_unix:.3f}", "end": f"{end_unix:.3f}"}
        return self._ask_range(query, bounds, f"{step_s:g}")

    def panels(self, axis: RunAxis, end_s: float) -> dict[str, list[Series]]:
        """Return the series of each of `PANELS`, by title, up to ``end_s`` of the run.

        Raises:
            EnvironmentNotReadyError, SurgeproofError: as `instant`.
        """
        instants, window = run_seconds(end_s), f"{RATE_WINDOW_S}s"
        return {
            panel.title: self.series(panel.expression, axis, instants, window) for panel in PANELS
        }

    def history(self, metrics: tuple[str, ...], axis: RunAxis, window: Window) -> History:
        """Return the raw readings of some metrics over a window, as own scrapes would hold them.

        Series without the label ``process`` (a Prometheus of somebody else) go by ``instance``.

        Raises:
            EnvironmentNotReadyError, SurgeproofError: as `instant`.
        """
        pages: dict[tuple[float, str], list[Reading]] = {}
        length_s = math.ceil(window.duration_s)
        end = {"time": f"{axis.unix(window.end_s):.3f}"}
        for metric in metrics:
            for key, points in self._ask(f"{metric}[{length_s}s]", end):
                process = key.label("process") or key.label("instance")
                for unix, value in points:
                    page = pages.setdefault((axis.t_s(unix), process), [])
                    page.append(Reading(key, value))
        history = History()
        for (t_s, process), readings in sorted(pages.items(), key=lambda page: page[0]):
            history.add_page(process, t_s, readings)
        return history

    def _ask(self, query: str, params: Mapping[str, str]) -> list[_Entry]:
        return self._mapped(
            query, lambda: self._connection.custom_query(query, params=dict(params))
        )

    def _ask_range(self, query: str, bounds: Mapping[str, str], step: str) -> list[_Entry]:
        # The library insists on datetimes and rounds them; `params` is sent last and wins.
        ignored = datetime.fromtimestamp(0, UTC)
        return self._mapped(
            query,
            lambda: self._connection.custom_query_range(
                query, ignored, ignored, step, params=dict(bounds)
            ),
        )

    def _mapped(self, query: str, call: Callable[[], object]) -> list[_Entry]:
        try:
            return [_entry(raw) for raw in _as_list(call())]
        except PrometheusApiClientException as error:
            raise SurgeproofError(f"{self.url} refused the query {query!r}: {error}") from error
        except (
            requests.RequestException,
            LookupError,
            TypeError,
            ValueError,
            AttributeError,
        ) as error:
            raise EnvironmentNotReadyError(self._complaint(error)) from error

    def _complaint(self, error: Exception) -> str:
        return (
            f"no Prometheus answers at {self.url} within {self._timeout_s:g}s: {error!r}; "
            "accepted: the URL of a running Prometheus, or none"
        )


def _as_list(data: object) -> list[object]:
    if not isinstance(data, list):
        raise TypeError(f"the result is no list: {data!r:.80}")
    return data


def _entry(raw: object) -> _Entry:
    """Return one element of a vector or matrix answer; raises LookupError or TypeError if not."""
    if not isinstance(raw, dict):
        raise TypeError(f"a result's element is no object: {raw!r:.80}")
    labels = {str(name): str(value) for name, value in raw["metric"].items()}
    name = labels.pop("__name__", "")
    points = raw["values"] if "values" in raw else [raw["value"]]
    return (
        SeriesKey(name, tuple(sorted(labels.items()))),
        [(float(unix), float(value)) for unix, value in points],
    )
