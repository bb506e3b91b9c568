"""What Toxiproxy 2.12.0 really does where the adapter depends on it: pinned, so that an upgrade
that changes it is noticed. These tests speak to the server raw, past all of our checks.
"""

from __future__ import annotations

import http.client
import json
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

from surgeproof.faults.toxiproxy import EdgeProxy

if TYPE_CHECKING:
    from tests.integration.faults.conftest import Dial, RealToxiproxy, Toxiproxies

pytestmark = pytest.mark.integration

SILENCE_S = 0.4


def raw(
    real: RealToxiproxy, method: str, path: str, body: Any = None, agent: str = "contract"
) -> tuple[int, Any, str]:
    """Return status, body (JSON if it is) and content type."""
    connection = http.client.HTTPConnection("127.0.0.1", real.port, timeout=10)
    try:
        payload = None if body is None else json.dumps(body)
        connection.request(method, path, payload, {"User-Agent": agent})
        response = connection.getresponse()
        text = response.read().decode()
        try:
            data = json.loads(text)
        except ValueError:
            data = text
        return response.status, data, response.getheader("Content-Type") or ""
    finally:
        connection.close()


def add(real: RealToxiproxy, kind: str, **more: Any) -> tuple[int, Any, str]:
    return raw(real, "POST", "/proxies/edge/toxics", {"name": "t", "type": kind, **more})


def closes(connection: socket.socket, within_s: float) -> bool:
    connection.settimeout(within_s)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True


def echoes(connection: socket.socket, data: bytes = b"ping") -> None:
    connection.sendall(data)
    assert connection.recv(len(data), socket.MSG_WAITALL) == data


def test_unknown_attributes_are_dropped_with_success(real: RealToxiproxy, proxy: EdgeProxy) -> None:
    status, toxic, _ = add(real, "latency", attributes={"latencyy": 500})
    assert (status, toxic["attributes"]) == (200, {"latency": 0, "jitter": 0})


@pytest.mark.parametrize("toxicity", [1.5, -1])
def test_toxicity_is_not_checked(real: RealToxiproxy, proxy: EdgeProxy, toxicity: float) -> None:
    status, toxic, _ = add(real, "latency", toxicity=toxicity)
    assert (status, toxic["toxicity"]) == (200, toxicity)


def test_errors_are_json_that_says_it_is_text(real: RealToxiproxy) -> None:
    status, data, content_type = raw(real, "GET", "/proxies/none")
    assert (status, data) == (404, {"error": "proxy not found", "status": 404})
    assert content_type.startswith("text/plain")


def test_a_browsers_agent_is_turned_away(real: RealToxiproxy) -> None:
    assert raw(real, "GET", "/version", agent="Mozilla/5.0")[0] == 403


def test_a_slicer_without_an_average_size_ends_the_server(
    real: RealToxiproxy, proxy: EdgeProxy, dial: Dial
) -> None:
    assert add(real, "slicer")[0] == 200
    dial(proxy).sendall(b"x")
    assert real.wait_dead() != 0
    assert "stack overflow" in real.log.read_text(errors="replace")


def test_a_negative_bandwidth_ends_the_server(
    real: RealToxiproxy, proxy: EdgeProxy, dial: Dial
) -> None:
    assert add(real, "bandwidth", attributes={"rate": -1})[0] == 200
    dial(proxy).sendall(bytes(1000))
    assert real.wait_dead() != 0


def test_a_bandwidth_of_zero_lets_nothing_pass(
    real: RealToxiproxy, proxy: EdgeProxy, dial: Dial
) -> None:
    assert add(real, "bandwidth", attributes={"rate": 0})[0] == 200
    connection = dial(proxy)
    connection.sendall(b"x")
    connection.settimeout(SILENCE_S)
    with pytest.raises(TimeoutError):
        connection.recv(1)


def test_a_second_server_on_a_taken_port_goes_on_without_serving(
    real: RealToxiproxy, proxy: EdgeProxy, toxiproxies: Toxiproxies
) -> None:
    second = toxiproxies.start(port=real.port, ready=False)
    until = time.monotonic() + 10
    while "address already in use" not in second.log.read_text() and time.monotonic() < until:
        time.sleep(0.02)
    assert "address already in use" in second.log.read_text()
    assert second.process.poll() is None, "that the process runs proves nothing"
    assert list(second.server.proxies()) == ["edge"], "the first one answers in its stead"


def test_populate_leaves_toxics_and_enabled_of_an_equal_proxy_as_they_are(
    real: RealToxiproxy, proxy: EdgeProxy
) -> None:
    add(real, "latency", attributes={"latency": 5})
    same = {"name": "edge", "listen": proxy.listen, "upstream": proxy.upstream, "enabled": False}
    assert raw(real, "POST", "/populate", [same])[0] == 201
    _, shown, _ = raw(real, "GET", "/proxies/edge")
    assert (shown["enabled"], len(shown["toxics"])) == (True, 1)


def test_toxics_in_a_proxys_own_body_are_ignored(real: RealToxiproxy, proxy: EdgeProxy) -> None:
    body = {
        "name": "other",
        "listen": "127.0.0.1:0",
        "upstream": proxy.upstream,
        "toxics": [{"type": "latency", "attributes": {"latency": 5}}],
    }
    status, made, _ = raw(real, "POST", "/proxies", body)
    assert (status, made["toxics"]) == (201, [])


def test_removing_a_timeout_closes_the_connections_that_live(
    real: RealToxiproxy, proxy: EdgeProxy, dial: Dial
) -> None:
    add(real, "timeout", attributes={"timeout": 0})
    connection = dial(proxy)
    connection.sendall(b"x")
    assert not closes(connection, SILENCE_S)
    assert raw(real, "DELETE", "/proxies/edge/toxics/t")[0] == 204
    assert closes(connection, 5)


def test_a_toxic_cannot_be_given_another_type_stream_or_name(
    real: RealToxiproxy, proxy: EdgeProxy
) -> None:
    add(real, "latency", attributes={"latency": 5, "jitter": 2})
    body = {"name": "u", "type": "timeout", "stream": "upstream", "attributes": {"latency": 6}}
    status, toxic, _ = raw(real, "PATCH", "/proxies/edge/toxics/t", body)
    assert (status, toxic["name"], toxic["type"], toxic["stream"]) == (
        200,
        "t",
        "latency",
        "downstream",
    )
    assert toxic["attributes"] == {"latency": 6, "jitter": 2}, "attributes are merged"


def test_a_refused_patch_may_be_done_in_part(real: RealToxiproxy, proxy: EdgeProxy) -> None:
    add(real, "latency", attributes={"latency": 5, "jitter": 2})
    body = {"attributes": {"latency": 9, "jitter": "x"}}
    assert raw(real, "PATCH", "/proxies/edge/toxics/t", body)[0] == 400
    _, toxic, _ = raw(real, "GET", "/proxies/edge/toxics/t")
    assert toxic["attributes"] == {"latency": 9, "jitter": 2}


def test_a_half_close_is_not_passed_on(real: RealToxiproxy, proxy: EdgeProxy, dial: Dial) -> None:
    add(real, "latency", attributes={"latency": 300})
    connection = dial(proxy)
    connection.sendall(b"x")
    connection.shutdown(socket.SHUT_WR)
    assert closes(connection, 5), "the answer that was under way is lost"


def test_a_connection_refused_by_the_upstream_is_first_accepted(
    real: RealToxiproxy, proxy: EdgeProxy, dial: Dial
) -> None:
    real.server.set_upstream("edge", "127.0.0.1:9")
    assert closes(dial(proxy), 5)


def test_disabling_and_enabling_keeps_port_and_toxics(
    real: RealToxiproxy, proxy: EdgeProxy, dial: Dial
) -> None:
    add(real, "latency", attributes={"latency": 5})
    proxy.disable()
    with pytest.raises(ConnectionRefusedError):
        dial(proxy)
    proxy.enable()
    echoes(dial(proxy))
    shown = real.server.proxies()["edge"]
    assert (shown.listen, list(shown.toxics())) == (proxy.listen, ["t"])


def test_a_sleeping_reset_holds_up_its_own_removal(
    real: RealToxiproxy, proxy: EdgeProxy, dial: Dial
) -> None:
    add(real, "reset_peer", attributes={"timeout": 700})
    dial(proxy).sendall(b"x")
    # Until the first byte has reached the toxic.
    time.sleep(0.1)
    began = time.monotonic()
    assert raw(real, "DELETE", "/proxies/edge/toxics/t")[0] == 204
    assert time.monotonic() - began > 0.3
