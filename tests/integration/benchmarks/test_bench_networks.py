"""A run's own network: a loopback device, and nothing left of it afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from benchmarks.networks import SHARED, fresh_network

pytestmark = pytest.mark.integration


def _namespaces() -> str:
    return subprocess.run(
        ["ip", "netns", "list"], capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a network namespace")
def test_a_run_has_a_network_of_its_own_that_is_gone_afterwards() -> None:
    before = _namespaces()
    with fresh_network(print) as network:
        assert network is not SHARED
        shown = subprocess.run(
            network.placed(["ip", "-brief", "address"]), capture_output=True, text=True, check=True
        ).stdout
    assert [line.split()[0] for line in shown.splitlines()] == ["lo"]
    assert "127.0.0.1/8" in shown
    assert _namespaces() == before


def test_without_the_means_a_run_shares_the_machine_s_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with fresh_network(print) as network:
        assert network is SHARED
        assert network.placed(["true"]) == ["true"]
