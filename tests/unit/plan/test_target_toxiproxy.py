"""Faults go to a Toxiproxy of this machine, or nowhere."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from surgeproof.model.plan import Plan

KNOWN = "toxiproxy: http://127.0.0.1:8474"


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1:8474", "http://127.8.9.1:1", "http://localhost:8474/", "http://[::1]:8474"],
)
def test_a_toxiproxy_on_loopback_is_taken(load: Callable[..., Plan], address: str) -> None:
    plan = load((KNOWN, f"toxiproxy: '{address}'"))
    assert plan.target.toxiproxy_url == address.rstrip("/")


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("http://10.0.0.7:8474", id="another machine by address"),
        pytest.param("http://toxiproxy.example:8474", id="another machine by name"),
        pytest.param("http://0.0.0.0:8474", id="every address"),
        pytest.param("http://127.0.0.1.example:8474", id="a name that looks like loopback"),
        pytest.param("http://127.0.0.1@example:8474", id="loopback as the user of another machine"),
        pytest.param("http://[2001:db8::1]:8474", id="another machine by IPv6 address"),
    ],
)
def test_a_toxiproxy_elsewhere_is_refused(mistakes: Callable[..., list[str]], address: str) -> None:
    (found,) = mistakes((KNOWN, f"toxiproxy: '{address}'"))
    assert found.startswith("plan.yaml:9:14: target.toxiproxy: ")
    assert "is not on this machine, and faults are sent nowhere else" in found


@pytest.mark.parametrize("address", ["https://127.0.0.1:8474", "http://127.0.0.1:8474/proxies"])
def test_what_a_toxiproxy_cannot_answer_is_no_address_of_one(
    mistakes: Callable[..., list[str]], address: str
) -> None:
    (found,) = mistakes((KNOWN, f"toxiproxy: '{address}'"))
    assert "is no address of a Toxiproxy; accepted: http://127.0.0.1:PORT" in found
