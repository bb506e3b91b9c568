"""When the clients of a restarted gateway come back: spread, or with the defect all at once."""

from __future__ import annotations

from collections import Counter
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from target_app.gateway.live import LiveUpdates
from target_app.live.hub import Hub, Listener

SOCKETS = 2_000


def peak_per_s(live: Any) -> float:
    """Return the most clients that come back within a tenth of a second, as a rate."""
    slots = Counter(live._wait_ms() // 100 for _ in range(SOCKETS))
    return 10.0 * max(slots.values())


@pytest.fixture
def with_defect() -> set[str]:
    return set()


@pytest.fixture
def live(with_defect: set[str]) -> LiveUpdates:
    hub = Hub(lambda: None)
    for user_id in range(SOCKETS):
        hub.join(Listener(user_id))
    service = SimpleNamespace(registry=CollectorRegistry(), has_defect=with_defect.__contains__)
    context: Any = SimpleNamespace(service=service, sessions=None, graph=None)
    return LiveUpdates(context, hub=hub, source=Silent(), random=Random(7))


class Silent:
    is_connected = True
    is_current = True

    async def listen(self) -> None: ...


def test_two_thousand_sockets_come_back_at_about_a_hundred_a_second(live: LiveUpdates) -> None:
    assert peak_per_s(live) < 250


def test_with_the_defect_thundering_reconnect_they_all_come_at_once(
    live: LiveUpdates, with_defect: set[str]
) -> None:
    with_defect.add("thundering_reconnect")
    assert peak_per_s(live) == 10 * SOCKETS
