"""A rehearsal of a service that is not ours, by files alone: what it says when all is well."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.stranger.conftest import Stranger

pytestmark = pytest.mark.e2e


def test_a_healthy_service_passes_over_tls_with_a_fault_on_its_own_toxiproxy(
    tls_stranger: Stranger,
) -> None:
    stranger = tls_stranger
    stranger.plan["target"]["ca_bundle"] = "ca.pem"
    ended = stranger.run()
    assert ended.code == 0, ended.told
    result = ended.result
    assert result["verdict"] == {"status": "pass", "words": "GO", "reasons": []}

    (fault,) = result["faults"]
    assert fault["verified"]
    assert fault["observed"]
    # Two seconds by the plan; the rest is what a busy machine may take for it.
    assert 1.9 < fault["cleared_at_s"] - fault["applied_at_s"] < 4
    assert stranger.toxiproxy.toxics() == {"shop-store": [], "shop-mail": []}

    arrivals = result["arrivals"]
    # 1 s at 30/s, and 5 s from 30/s to 40/s.
    assert arrivals["scheduled"] == arrivals["sent"] == 30 + 175
    counts = result["ledger"]["order"]
    assert counts["acked"] == counts["present"] > 20
    assert counts["lost"] == counts["duplicated"] == counts["unread"] == 0
    assert [gate["id"] for gate in result["gates"]][-2:] == [
        "ledger.lost:order",
        "ledger.duplicated:order",
    ]
    # The service let nobody in without the secret, of which the journal has only the name.
    assert {name for row in result["endpoints"] for name, n in row["outcomes"].items() if n} == {
        "full"
    }
    assert ended.folder is not None
    assert "Bearer ${SHOP_TOKEN}" in (ended.folder / "effective.yaml").read_text()
