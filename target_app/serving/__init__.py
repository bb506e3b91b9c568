"""What every service of the app does with a request, whatever the request is about."""

from target_app.serving.admission import Admission, AdmissionPolicy
from target_app.serving.answers import (
    ServiceError,
    edge_error,
    json_answer,
    read_json,
    read_number,
)
from target_app.serving.degradation import Degradation
from target_app.serving.endpoint import ServiceRoute
from target_app.serving.exchange import (
    Exchange,
    exchange_of,
    mark_degraded,
    relay_degraded,
)
from target_app.serving.runner import run_app
from target_app.serving.service import Service

__all__ = [
    "Admission",
    "AdmissionPolicy",
    "Degradation",
    "Exchange",
    "Service",
    "ServiceError",
    "ServiceRoute",
    "edge_error",
    "exchange_of",
    "json_answer",
    "mark_degraded",
    "read_json",
    "read_number",
    "relay_degraded",
    "run_app",
]
