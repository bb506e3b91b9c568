from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgeproof.errors import FormatError, UsageError
from surgeproof.load.handover import (
    HEADERS_VARIABLE,
    ORDER_VARIABLE,
    LoadOrder,
    headers_from,
    start_file,
    write_start,
)
from surgeproof.load.locust_process import generator_environment, locust_command
from surgeproof.load.plain import DRIVER_FILE
from surgeproof.model.plan import ArrivalPart, Endpoint, Load, Phase, Timeouts
from surgeproof.model.words import Tier

MakeLoad = Callable[..., Load]

orders = st.builds(
    LoadOrder,
    seed=st.integers(0, 2**63),
    base_url=st.just("http://127.0.0.1:8080"),
    load=st.builds(
        lambda rate, mixes, timeouts: Load(
            Path("scenarios/x.py"),
            "locust",
            "request",
            (
                Phase(
                    "surge",
                    0.0,
                    10.0,
                    (ArrivalPart("constant", MappingProxyType({"rate": rate})),),
                    "steady",
                ),
            ),
            MappingProxyType({"steady": MappingProxyType(mixes)}),
            connections=50,
            max_in_flight=300,
            workers=2,
            timeouts=timeouts,
        ),
        st.floats(0, 1e4),
        st.dictionaries(st.text(min_size=1), st.floats(0.1, 10)),
        st.builds(Timeouts, st.floats(0.1, 9), st.floats(0.1, 9), st.floats(0.1, 9)),
    ),
    endpoints=st.just((Endpoint("GET /a", Tier.T0, 1.0),)),
    t0=st.none() | st.floats(0, 1e9),
    samples=st.none() | st.just(Path("/run/samples")),
    ca_bundle=st.none() | st.just(Path("ca.pem")),
    ledger_kinds=st.just(("post",)),
)


@given(orders)
def test_an_order_reads_back_as_it_was_written(order: LoadOrder) -> None:
    assert LoadOrder.from_json(order.to_json()) == order


def test_the_bounds_of_a_generator_are_those_of_its_load(make_load: MakeLoad) -> None:
    load = replace(
        make_load(("one", 1, [])), connections=5, max_in_flight=9, timeouts=Timeouts(1, 2, 3)
    )
    order = LoadOrder(seed=1, base_url="http://h:1", load=load)
    assert (order.connections, order.max_in_flight) == (5, 9)
    assert order.request_timeout_s == order.timeouts.total_s == 3


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"load": {}}', '{"load": 1}'])
def test_what_is_no_order_is_refused(text: str) -> None:
    with pytest.raises(FormatError, match="no load order"):
        LoadOrder.from_json(text)


def test_an_order_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"missing\.json"):
        LoadOrder.read(tmp_path / "missing.json")


def test_headers_come_from_the_environment() -> None:
    assert headers_from({HEADERS_VARIABLE: '{"Authorization": "Bearer x"}'}) == {
        "Authorization": "Bearer x"
    }
    assert headers_from({}) == {}


@pytest.mark.parametrize("text", ["secret", "[1]", '{"a": 1}'])
def test_headers_that_cannot_be_read_are_refused_without_being_shown(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        headers_from({HEADERS_VARIABLE: text})
    assert "secret" not in str(caught.value)


def test_the_start_appears_whole(tmp_path: Path) -> None:
    write_start(tmp_path, 12.5)
    assert json.loads(start_file(tmp_path).read_text()) == {"t0": 12.5}
    assert [path.name for path in tmp_path.iterdir()] == ["start.json"]


def test_secrets_and_order_go_by_environment_and_locusts_own_settings_are_left_out() -> None:
    before = {"PATH": "/bin", "LOCUST_USERS": "50"}
    made = generator_environment(before, Path("/run/load.json"), {"Authorization": "s"})
    assert made == {
        "PATH": "/bin",
        ORDER_VARIABLE: "/run/load.json",
        HEADERS_VARIABLE: '{"Authorization": "s"}',
    }


def test_the_locust_command_is_headless_and_names_no_secret(make_load: MakeLoad) -> None:
    load = make_load(("one", 1, []), file=Path("s.py"))
    order = LoadOrder(seed=1, base_url="http://h:1", load=load)
    command = locust_command(order, python="py", csv=Path("/tmp/x"))
    assert command[:5] == ["py", "-m", "locust", "-f", f"s.py,{DRIVER_FILE}"]
    assert {"--headless", "--host", "http://h:1", "--csv", "/tmp/x"} <= set(command)
