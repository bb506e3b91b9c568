"""What became of the arrivals, the requests and each endpoint's attempts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from surgeproof.model.plan import Endpoint
from surgeproof.model.result import ArrivalCounts, EndpointResult, RequestCounts
from surgeproof.model.samples import Drops, Samples
from surgeproof.model.words import Outcome
from surgeproof.slo.quantiles import finite_or_none, quantile, summarise
from surgeproof.slo.select import arrival_mask, error_mask, timed_mask

__all__ = ["count_arrivals", "count_endpoints", "count_requests"]


def count_arrivals(
    samples: Samples,
    drops: Drops,
    *,
    unit: str,
    scheduled: int,
    schedule_sha256: str,
    late_after_s: float,
) -> ArrivalCounts:
    """Return the accounting of arrivals.

    ``scheduled`` is the timetable's count, up to where the run was meant to go on. An arrival
    that was neither sent nor journalled as dropped (its generator died) is dropped. More sent
    than scheduled does not add up, and `slo.health` says so: nothing is bent to fit here.
    """
    rows = samples.take(arrival_mask(samples))
    lag_s = np.where(np.isnan(rows.start_s), np.inf, rows.start_s - rows.intended_s)
    sent = len(rows)
    return ArrivalCounts(
        unit=unit,
        scheduled=scheduled,
        sent=sent,
        late=int(np.count_nonzero(lag_s > late_after_s)),
        dropped=max(len(drops), scheduled - sent),
        lag_p99_s=finite_or_none(quantile(lag_s, 0.99)) if sent else None,
        schedule_sha256=schedule_sha256,
    )


def count_requests(samples: Samples) -> RequestCounts:
    """Return the counts of requests: first attempts sent, and those whose end was never seen."""
    sent = int(np.count_nonzero(samples.attempt <= 1))
    # An attempt without an end is its request's last: nothing is retried before it ends.
    unfinished = int(np.count_nonzero(np.isnan(samples.end_s)))
    return RequestCounts(sent, sent - unfinished, unfinished)


def count_endpoints(samples: Samples, endpoints: Sequence[Endpoint]) -> tuple[EndpointResult, ...]:
    """Return one row per endpoint of the plan, in its order, then the others seen, by name.

    Times leave out shed answers, as `http.response_time` does; ``count`` and ``outcomes`` leave
    out nothing. A quantile is None where there is no sample, or where it is a request that
    never ended.
    """
    tiers = {endpoint.name: str(endpoint.tier) for endpoint in endpoints}
    seen = {samples.name.words[code] for code in np.unique(samples.name.codes).tolist()}
    names = [*tiers, *sorted(seen - tiers.keys())]
    return tuple(_count_endpoint(samples, name, tiers.get(name)) for name in names)


def _count_endpoint(samples: Samples, name: str, tier: str | None) -> EndpointResult:
    rows = samples.take(samples.name.equal(name))
    outcomes = {str(word): int(rows.outcome.equal(word).sum()) for word in Outcome}
    outcomes[Outcome.ERROR] = int(error_mask(rows).sum())
    timed = rows.take(timed_mask(rows))
    if tier is None:
        tier = rows.tier.words[rows.tier.codes[0]] if len(rows) else ""
    return EndpointResult(
        name=name,
        tier=tier,
        count=len(rows),
        outcomes=outcomes,
        response_time=summarise(_endless(timed.response_time_s)),
        service_time=summarise(_endless(timed.service_time_s)),
    )


def _endless(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isnan(values), np.inf, values)
