"""What can go wrong on an edge to a dependency.

::

    EdgeError
    ├── EdgeTimeoutError    no answer in time: the effect of a write is unknown
    ├── EdgeFailedError     broken connection, or an error answer of the dependency
    ├── EdgeOpenError       not sent: the breaker is open (definite, nothing happened)
    ├── EdgeBusyError       not sent: too many calls in flight (definite)
    └── EdgeShedError       the dependency refused under load, with Retry-After (definite)
"""

from __future__ import annotations

__all__ = [
    "EdgeBusyError",
    "EdgeError",
    "EdgeFailedError",
    "EdgeOpenError",
    "EdgeShedError",
    "EdgeTimeoutError",
]


class EdgeError(Exception):
    """A call over the edge ``edge`` gave no usable answer."""

    def __init__(self, edge: str, detail: str) -> None:
        self.edge = edge
        self.detail = detail
        super().__init__(f"{edge}: {detail}")


class EdgeTimeoutError(EdgeError):
    """No answer came within the edge's timeout or the request's remaining deadline."""


class EdgeFailedError(EdgeError):
    """The connection broke, or the dependency answered with an error.

    ``status`` is the HTTP status of a live upstream (5xx), or ``None`` when no answer came. A
    status of 502 or 504 says that the upstream itself lost a dependency whose fallback is off.
    """

    def __init__(self, edge: str, detail: str, *, status: int | None = None) -> None:
        self.status = status
        super().__init__(edge, detail)

    @property
    def is_of_dependency(self) -> bool:
        """Whether a live upstream reports the loss of one of its own dependencies."""
        return self.status in (502, 504)


class EdgeOpenError(EdgeError):
    """The breaker is open: the call was not sent."""


class EdgeBusyError(EdgeError):
    """As many calls as the edge allows are in flight: the call was not sent."""


class EdgeShedError(EdgeError):
    """The upstream refused the call under load or for a lost dependency of its own.

    ``retry_after_s`` is what its Retry-After header asked for.
    """

    def __init__(self, edge: str, detail: str, *, retry_after_s: int) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(edge, detail)
