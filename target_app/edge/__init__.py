"""How one part of the app calls another: every call over a named edge, under its policy."""

from target_app.edge.breaker import Breaker, BreakerState
from target_app.edge.budget import RetryBudget
from target_app.edge.client import EdgeClient, EdgeHealth
from target_app.edge.deadline import DEADLINE_HEADER, Deadline
from target_app.edge.errors import (
    EdgeBusyError,
    EdgeError,
    EdgeFailedError,
    EdgeOpenError,
    EdgeShedError,
    EdgeTimeoutError,
)
from target_app.edge.http import HttpAnswer, HttpEdge
from target_app.edge.metrics import EdgeMetrics
from target_app.edge.policy import EdgePolicy, load_policies
from target_app.edge.postgres import PostgresEdge, PostgresSession, PostgresTarget, Row
from target_app.edge.redis import RedisEdge

__all__ = [
    "DEADLINE_HEADER",
    "Breaker",
    "BreakerState",
    "Deadline",
    "EdgeBusyError",
    "EdgeClient",
    "EdgeError",
    "EdgeFailedError",
    "EdgeHealth",
    "EdgeMetrics",
    "EdgeOpenError",
    "EdgePolicy",
    "EdgeShedError",
    "EdgeTimeoutError",
    "HttpAnswer",
    "HttpEdge",
    "PostgresEdge",
    "PostgresSession",
    "PostgresTarget",
    "RedisEdge",
    "RetryBudget",
    "Row",
    "load_policies",
]
