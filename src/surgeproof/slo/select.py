"""Which samples a selector or a window means, as boolean masks."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from surgeproof.model.plan import Window
from surgeproof.model.samples import Drops, Labels, Samples
from surgeproof.model.words import Outcome

__all__ = [
    "answered_mask",
    "arrival_mask",
    "error_mask",
    "label_mask",
    "label_values",
    "method_of",
    "route_of",
    "timed_mask",
    "window_mask",
]

Mask = NDArray[np.bool_]


def method_of(name: str) -> str:
    """Return the method of a request's key ``METHOD /template`` (the whole name if it has none)."""
    return name.partition(" ")[0]


def route_of(name: str) -> str:
    """Return the template of a request's key ``METHOD /template``."""
    return name.partition(" ")[2]


# Methods and routes are read off the name, which drops have too.
_FROM_NAME: Mapping[str, Callable[[str], str]] = {"method": method_of, "route": route_of}


def _column(rows: Samples | Drops, label: str) -> Labels:
    column = getattr(rows, "name" if label in _FROM_NAME else label)
    if not isinstance(column, Labels):
        raise TypeError(f"{label} is no label of {type(rows).__name__}")
    return column


def label_mask(rows: Samples | Drops, labels: Mapping[str, str]) -> Mask:
    """Return the mask of rows that carry every label."""
    mask = np.ones(len(rows), dtype=np.bool_)
    for label, value in labels.items():
        column = _column(rows, label)
        if label in _FROM_NAME:
            read = _FROM_NAME[label]
            codes = [code for code, word in enumerate(column.words) if read(word) == value]
            mask &= np.isin(column.codes, codes)
        else:
            mask &= column.equal(value)
    return mask


def label_values(rows: Samples | Drops, label: str) -> set[str]:
    """Return the values of a label that occur in the rows."""
    column = _column(rows, label)
    read = _FROM_NAME.get(label, str)
    return {read(column.words[code]) for code in np.unique(column.codes).tolist()}


def window_mask(rows: Samples | Drops, window: Window) -> Mask:
    """Return the mask of rows whose *intended* start lies in ``[start, end)``."""
    times = rows.intended_s
    return np.asarray((times >= window.start_s) & (times < window.end_s))


def arrival_mask(samples: Samples) -> Mask:
    """Return the mask of samples that are an arrival: first attempt of a first step."""
    return np.asarray((samples.step <= 1) & (samples.attempt <= 1))


def answered_mask(samples: Samples) -> Mask:
    """Return the mask of attempts that got what was asked, wholly or admittedly in part."""
    return samples.outcome.equal(Outcome.FULL) | samples.outcome.equal(Outcome.DEGRADED)


def error_mask(samples: Samples) -> Mask:
    """Return the mask of errors; an attempt whose outcome was never known is one."""
    return samples.outcome.equal(Outcome.ERROR) | samples.outcome.equal("")


def timed_mask(samples: Samples) -> Mask:
    """Return the mask of attempts that count as response or service times: all but shed ones.

    A quick refusal is no quick answer; its latency is the shed cost, which a selector with
    ``outcome="shed"`` measures.
    """
    return ~samples.outcome.equal(Outcome.SHED)
