"""The adapter over a Toxiproxy in memory: what is sent, what is refused, what is unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import toxiproxy
from toxiproxy.api import APIConsumer

from surgeproof.errors import FaultIndefiniteError, FaultRejectedError, UsageError
from surgeproof.faults.toxiproxy import ToxiproxyServer
from surgeproof.faults.transport import Answer, HttpTransport

if TYPE_CHECKING:
    from tests.unit.faults.conftest import FakeToxiproxy


@pytest.fixture
def _library_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("the library's own transport was used")

    for method in ("get", "post", "delete"):
        monkeypatch.setattr(APIConsumer, method, refuse)


@pytest.mark.usefixtures("_library_is_cut_off")
def test_the_librarys_methods_all_go_through_our_transport(server: ToxiproxyServer) -> None:
    proxy = server.create("127.0.0.1:1", "new")
    assert isinstance(server, toxiproxy.Toxiproxy)
    assert isinstance(proxy, toxiproxy.Proxy)
    toxic = proxy.add_toxic(type="latency", attributes={"latency": 5})
    assert toxic.name == "latency_downstream"
    assert proxy.get_toxic("latency_downstream").attributes == {"latency": 5, "jitter": 0}
    with proxy.down():
        assert server.proxies()["new"].enabled is False
    assert server.proxies()["new"].enabled is True
    assert proxy.destroy_toxic("latency_downstream") is True
    assert proxy.destroy_toxic("latency_downstream") is False
    wanted = [{"name": "graph-pg", "upstream": "127.0.0.1:5432"}]
    assert [each.name for each in server.populate(wanted)] == ["graph-pg"]
    assert server.destroy(proxy) is True
    assert server.get_proxy("new") is None


def test_what_would_touch_the_faults_of_others_is_refused(server: ToxiproxyServer) -> None:
    with pytest.raises(FaultRejectedError):
        server.reset()
    with pytest.raises(FaultRejectedError):
        server.destroy_all()
    with pytest.raises(FaultRejectedError):
        server.update_api_consumer("127.0.0.1", 1)


def test_an_invalid_toxic_is_never_sent(server: ToxiproxyServer, order: list[str]) -> None:
    for kind, attributes in (("slicer", {}), ("bandwidth", {"rate": 0}), ("down", {})):
        with pytest.raises(FaultRejectedError):
            server.add_toxic("graph-pg", kind, attributes, name="x")
    for name, toxicity, stream in (("a/b", 1.0, "upstream"), ("a", 1.5, "upstream"), ("a", 1, "x")):
        with pytest.raises(FaultRejectedError):
            server.add_toxic("graph-pg", "timeout", {}, name=name, toxicity=toxicity, stream=stream)
    assert order == []


def test_a_listening_address_without_a_host_is_never_sent(server: ToxiproxyServer) -> None:
    for listen in ("", ":5432", "5432", "127.0.0.1:x", "127.0.0.1:70000"):
        with pytest.raises(FaultRejectedError, match="HOST:PORT"):
            server.create_proxy("new", "127.0.0.1:1", listen)


def test_a_change_keeps_the_other_attributes(server: ToxiproxyServer) -> None:
    server.add_toxic("graph-pg", "latency", {"latency": 5, "jitter": 2}, name="a")
    changed = server.update_toxic("graph-pg", "a", attributes={"latency": 9}, toxicity=0.5)
    assert changed.attributes == {"latency": 9, "jitter": 2}
    assert changed.toxicity == 0.5


def test_an_invalid_change_is_never_sent(server: ToxiproxyServer, order: list[str]) -> None:
    server.add_toxic("graph-pg", "bandwidth", {"rate": 5}, name="a")
    order.clear()
    with pytest.raises(FaultRejectedError):
        server.update_toxic("graph-pg", "a", attributes={"rate": 0})
    with pytest.raises(FaultRejectedError):
        server.update_toxic("graph-pg", "missing", attributes={"rate": 5})
    assert order == []


def test_a_refusal_says_what_and_why(server: ToxiproxyServer) -> None:
    server.add_toxic("graph-pg", "timeout", {}, name="a")
    with pytest.raises(FaultRejectedError, match=r"add toxic 'a'.*409 toxic already exists"):
        server.add_toxic("graph-pg", "timeout", {}, name="a")


def test_a_refused_change_that_was_done_in_part_is_indefinite(
    server: ToxiproxyServer, api: FakeToxiproxy
) -> None:
    server.add_toxic("graph-pg", "latency", {"latency": 5, "jitter": 2}, name="a")

    def half_done(method: str, path: str) -> Answer | None:
        if method != "PATCH":
            return None
        api.proxies["graph-pg"]["toxics"][0]["attributes"]["latency"] = 9
        return Answer(400, {"error": "bad request body"}, "")

    api.before = half_done
    with pytest.raises(FaultIndefiniteError, match="not as it was"):
        server.update_toxic("graph-pg", "a", attributes={"latency": 9, "jitter": 1})


def test_a_toxic_that_reads_back_otherwise_is_indefinite(
    server: ToxiproxyServer, api: FakeToxiproxy
) -> None:
    def swallow(method: str, path: str) -> Answer | None:
        return Answer(200, {}, "") if method == "POST" else None

    api.before = swallow
    with pytest.raises(FaultIndefiniteError, match="cannot be read back"):
        server.add_toxic("graph-pg", "timeout", {}, name="a")


def test_a_removal_without_an_answer_that_took_effect_is_success(
    server: ToxiproxyServer, api: FakeToxiproxy
) -> None:
    server.add_toxic("graph-pg", "timeout", {}, name="a")
    api.time_out("DELETE", obey=True)
    assert server.remove_toxic("graph-pg", "a") is True


def test_a_removal_without_an_answer_that_took_no_effect_is_indefinite(
    server: ToxiproxyServer, api: FakeToxiproxy, order: list[str]
) -> None:
    server.add_toxic("graph-pg", "timeout", {}, name="a")
    order.clear()
    api.time_out("DELETE", obey=False)
    with pytest.raises(FaultIndefiniteError, match="no answer"):
        server.remove_toxic("graph-pg", "a")
    assert len(order) == 1, "a call whose outcome is unknown must not be sent twice blindly"


def test_names_are_escaped_in_reads(server: ToxiproxyServer) -> None:
    assert server.url_of("a b/c", "d?") == "http://127.0.0.1:8474/proxies/a%20b%2Fc/toxics/d%3F"


def test_an_old_servers_plain_text_version_is_read(
    server: ToxiproxyServer, api: FakeToxiproxy
) -> None:
    api.before = lambda method, path: Answer(200, None, "2.1.4\n")
    assert server.version() == "2.1.4"


@pytest.mark.parametrize("url", ["https://h:1", "127.0.0.1:8474", "http://h:1/x", "http://"])
def test_an_address_that_is_none_is_a_usage_error(url: str) -> None:
    with pytest.raises(UsageError, match="http://HOST:PORT"):
        HttpTransport(url)
