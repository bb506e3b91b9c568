"""Steady state: a fault that hits a target which is not healthy proves nothing."""

from __future__ import annotations

import numpy as np

from surgeproof.model.plan import Plan
from surgeproof.model.samples import Drops, Samples
from surgeproof.slo.select import error_mask

__all__ = ["can_be_proved", "steady_state_problem", "when_to_break", "when_to_prove"]

# A healthy target fails hardly ever; one request in twenty is no state to break further.
MOST_ERRORS_RATIO = 0.05
# Fewer requests than these say nothing about a ratio of one in twenty.
FEWEST_SAMPLES = 20
_BEFORE_FAULT_S = 0.3


def when_to_prove(plan: Plan) -> float | None:
    """Return when, in seconds since t0, the steady state is to be proved; None without faults.

    That is the end of the first phase, or right before the first fault if that comes earlier.
    """
    if not plan.faults:
        return None
    first = plan.load.phases[0]
    return min(first.start_s + first.duration_s, when_to_break(plan))


def when_to_break(plan: Plan) -> float:
    """Return the last moment, in seconds since t0, to look before the first fault of a plan."""
    first_fault_s = min((fault.start_s for fault in plan.faults), default=plan.duration_s)
    return max(0.0, first_fault_s - _BEFORE_FAULT_S)


def can_be_proved(samples: Samples, drops: Drops) -> bool:
    """Return whether there are enough requests to say anything; the journal lags by a second."""
    return len(samples) + len(drops) >= FEWEST_SAMPLES


def steady_state_problem(samples: Samples, drops: Drops) -> str | None:
    """Return why the target is not in steady state, None if it is.

    Too few requests are no problem here: the gates judge what can be said of them.
    """
    if not can_be_proved(samples, drops):
        return None
    total = len(samples) + len(drops)
    bad = int(np.count_nonzero(error_mask(samples) | samples.outcome.equal("wrong"))) + len(drops)
    if bad / total <= MOST_ERRORS_RATIO:
        return None
    return (
        f"{bad} of {total} requests failed before the first fault, at most "
        f"{MOST_ERRORS_RATIO:.0%} may"
    )
