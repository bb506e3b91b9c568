"""What can be told of a fault's effect without touching the network."""

from __future__ import annotations

import pytest

from surgeproof.faults.effect import ConnectionObserver
from surgeproof.model.plan import Fault


@pytest.mark.parametrize("listen", ["10.1.2.3:5432", "toxiproxy:5432", "[2001:db8::1]:5432"])
def test_a_proxy_on_another_machine_is_not_judged(listen: str) -> None:
    slow = Fault("slow", "edge", "latency", 0.0, 1.0, {"latency": 5})
    assert ConnectionObserver().observe(slow, listen) is None
