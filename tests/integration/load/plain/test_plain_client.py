"""Our client for plain code against a real server: what it sends and returns, how it fails."""

from __future__ import annotations

import gzip
import http.server
import json
import os
import threading
import time
from collections.abc import Iterator
from typing import Any
from unittest import mock

import gevent
import pytest
import requests

# Importing Locust patches the whole process for gevent, and this one has threads with servers.
with mock.patch.dict(os.environ, {"LOCUST_SKIP_MONKEY_PATCH": "1"}):
    from locust.event import EventHook
    from locust.exception import LocustError

    from surgeproof.load.http.origin import tls_context
    from surgeproof.load.plain.client import Channels, Session
from surgeproof.model.plan import Timeouts

pytestmark = pytest.mark.integration


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers with what it was asked, in JSON, but for some paths."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kind = self.path.split("?")[0].split("/")[1]
        if kind == "hang":
            time.sleep(0.6)
        # `once` does so without a word of it in the answer.
        self.close_connection = kind in {"drop", "once"}
        if kind == "drop":
            return
        told = {
            "method": self.command,
            "path": self.path,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "body": body.decode("latin-1"),
            "port": self.client_address[1],
        }
        status, headers, data = self.shape(kind, json.dumps(told).encode())
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def shape(self, kind: str, data: bytes) -> tuple[int, dict[str, str], bytes]:
        shapes: dict[str, tuple[int, dict[str, str], bytes]] = {
            "circle": (302, {"Location": "/circle"}, b""),
            "login": (200, {"Set-Cookie": "session=s3; Path=/"}, data),
            "gzip": (200, {"Content-Encoding": "gzip"}, gzip.compress(data)),
            "corrupt": (200, {"Content-Encoding": "gzip"}, b"no gzip"),
            "latin": (200, {"Content-Type": "text/plain; charset=latin-1"}, b"caf\xe9"),
        }
        if kind in {"status", "to"}:
            place = {"Location": "/landed"} if kind == "to" else {}
            return int(self.path.split("/")[2]), place, data
        return shapes.get(kind, (200, {}, data))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = answer  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - of the base class
        return


class Quiet(http.server.ThreadingHTTPServer):
    """Says nothing of clients that left before their answer."""

    def handle_error(self, request: object, client_address: object) -> None:
        return


@pytest.fixture
def url() -> Iterator[str]:
    server = Quiet(("127.0.0.1", 0), Echo)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


class Scene:
    def __init__(self, url: str, *, limit: int = 10, timeouts: Timeouts | None = None) -> None:
        self.events: list[dict[str, Any]] = []
        hook: Any = EventHook()  # type: ignore[no-untyped-call] # Locust's
        hook.add_listener(lambda **told: self.events.append(told))
        self.channels = Channels(
            limit,
            timeouts or Timeouts(0.3, 0.3, 2.0),
            make_context=lambda: tls_context(None),
        )
        self.client = Session(url, hook, None, self.channels, headers={"X-Plan": "yes"})

    def ask(self, method: str, path: str, **options: Any) -> Any:
        return self.client.request(method, path, **options).json()


@pytest.fixture
def scene(url: str) -> Iterator[Scene]:
    made = Scene(url)
    yield made
    made.channels.close()


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_each_method_goes_out_as_itself_and_fires_one_event(scene: Scene, method: str) -> None:
    answer = getattr(scene.client, method.lower())("/a?x=1", name="/a")
    assert (answer.json()["method"], answer.json()["path"]) == (method, "/a?x=1")
    assert (answer.ok, answer.status_code, answer.reason) == (True, 200, "OK")
    (told,) = scene.events
    assert (told["request_type"], told["name"], told["exception"]) == (method, "/a", None)
    assert told["response_length"] == len(answer.content)
    assert answer.elapsed.total_seconds() > 0


def test_a_head_has_no_body_and_its_connection_goes_on(scene: Scene) -> None:
    assert scene.client.head("/a").content == b""
    first, second = scene.ask("GET", "/a"), scene.ask("GET", "/a")
    assert first["port"] == second["port"]


def test_bodies_are_those_that_requests_would_send(scene: Scene) -> None:
    as_json = scene.ask("POST", "/a", json={"x": [1, None]})
    assert json.loads(as_json["body"]) == {"x": [1, None]}
    assert as_json["headers"]["content-type"] == "application/json"
    as_form = scene.ask("POST", "/a", data={"x": [1, 2], "y": None, "z": "a b"})
    assert as_form["body"] == "x=1&x=2&z=a+b"
    assert as_form["headers"]["content-type"] == "application/x-www-form-urlencoded"
    assert scene.ask("PUT", "/a", data="plain")["body"] == "plain"
    upload = scene.ask("POST", "/a", data={"x": "1"}, files={"f": ("a.txt", b"hello")})
    assert 'name="x"' in upload["body"]
    assert 'filename="a.txt"\r\nContent-Type: text/plain\r\n\r\nhello' in upload["body"]


def test_parameters_headers_and_credentials_go_along(scene: Scene) -> None:
    scene.client.headers["X-Session"] = "one"
    told = scene.ask("GET", "/a", params={"q": "a b"}, headers={"X-Own": "two"}, auth=("u", "p"))
    assert told["path"] == "/a?q=a+b"
    headers = told["headers"]
    assert (headers["x-plan"], headers["x-session"], headers["x-own"]) == ("yes", "one", "two")
    assert headers["authorization"] == "Basic dTpw"
    assert scene.events[-1]["name"] == "/a?q=a+b"


def test_cookies_are_kept_and_sent_back(scene: Scene) -> None:
    scene.client.get("/login")
    assert scene.client.cookies["session"] == "s3"
    assert scene.ask("GET", "/a")["headers"]["cookie"] == "session=s3"
    scene.client.cookies.clear()
    assert "cookie" not in scene.ask("GET", "/a")["headers"]


@pytest.mark.parametrize(("status", "method"), [(302, "GET"), (303, "GET"), (307, "POST")])
def test_redirects_are_followed_as_one_request(scene: Scene, status: int, method: str) -> None:
    answer = scene.client.post(f"/to/{status}", json={"x": 1})
    assert (answer.json()["path"], answer.json()["method"]) == ("/landed", method)
    assert [each.status_code for each in answer.history] == [status]
    assert len(scene.events) == 1
    assert scene.client.get("/to/302", allow_redirects=False).status_code == 302


def test_a_circle_of_redirects_ends_as_an_error(scene: Scene) -> None:
    answer = scene.client.get("/circle")
    assert answer.status_code == 0
    assert "redirects" in str(answer.error)


def test_coded_and_foreign_bodies_are_read(scene: Scene) -> None:
    assert scene.client.get("/gzip").json()["path"] == "/gzip"
    assert scene.client.get("/latin").text == "caf\xe9"
    assert "protocol" in str(scene.client.get("/corrupt").error)


def test_bad_statuses_are_events_with_an_exception_and_raised_only_on_demand(
    scene: Scene,
) -> None:
    answer = scene.client.get("/status/404", name="/status/[n]")
    assert not answer.ok
    assert "404 Client Error: Not Found for url: /status/[n]" in str(scene.events[0]["exception"])
    with pytest.raises(requests.HTTPError):
        answer.raise_for_status()


def test_a_with_block_decides_what_is_a_success(scene: Scene) -> None:
    with scene.client.get("/status/404", catch_response=True) as answer:
        answer.success()
    with scene.client.get("/a", catch_response=True) as answer:
        answer.failure("not what was asked for")
    with scene.client.get("/status/500", catch_response=True):
        pass
    assert [str(each["exception"]) for each in scene.events] == [
        "None",
        "not what was asked for",
        "500 Server Error: Internal Server Error for url: /status/500",
    ]
    with pytest.raises(LocustError):
        scene.client.get("/a").failure("too late")


def test_what_is_not_supported_says_so_by_its_name(scene: Scene) -> None:
    with pytest.raises(TypeError, match="request option 'stream' is not supported"):
        scene.client.get("/a", stream=True)
    with pytest.raises(AttributeError, match=r"response\.iter_lines is not supported"):
        scene.client.get("/a").iter_lines()
    with pytest.raises(AttributeError, match=r"client\.mount is not supported"):
        scene.client.mount("http://", None)
    with pytest.raises(TypeError, match="accepted: a tuple of user and password"):
        scene.client.get("/a", auth=object())


def test_a_header_that_would_be_another_request_is_refused(scene: Scene) -> None:
    with pytest.raises(ValueError, match="cannot be sent"):
        scene.client.get("/a", headers={"X": "1\r\nX-Evil: 2"})
    assert scene.ask("GET", "/a b")["path"] == "/a%20b"


def test_silence_ends_as_a_read_timeout_and_the_next_request_is_served(scene: Scene) -> None:
    answer = scene.client.get("/hang")
    assert "read_timeout" in str(answer.error)
    assert isinstance(scene.events[0]["exception"], requests.ConnectionError)
    assert scene.client.get("/hang", timeout=1.5).ok
    assert scene.client.get("/a").ok


def test_an_idle_connection_that_the_server_closed_is_dialled_again(scene: Scene) -> None:
    assert scene.client.get("/once").ok
    gevent.sleep(0.05)
    assert scene.client.get("/a").ok


def test_a_connection_that_ends_before_the_answer_is_an_error_and_no_second_post(
    scene: Scene,
) -> None:
    answer = scene.client.post("/drop", json={})
    assert answer.status_code == 0
    assert "closed" in str(answer.error)


def test_nobody_listening_is_an_answer_with_status_0(scene: Scene) -> None:
    answer = scene.client.get("http://127.0.0.1:1/a")
    assert (answer.status_code, answer.ok, answer.content) == (0, False, b"")
    assert "refused" in str(answer.error)


def test_requests_beyond_the_bound_wait_and_are_counted_as_queued(url: str) -> None:
    scene = Scene(url, limit=1, timeouts=Timeouts(1.0, 1.0, 3.0))
    first = gevent.spawn(scene.client.get, "/hang")
    gevent.sleep(0.1)
    second = gevent.spawn(scene.client.get, "/a")
    gevent.sleep(0.05)
    assert scene.channels.queued == 1
    gevent.joinall([first, second])
    assert second.value.ok
    assert scene.channels.queued == 0
    assert scene.events[1]["response_time"] > 300  # waiting is latency
    scene.channels.close()


def test_a_killed_request_gives_its_place_back(url: str) -> None:
    scene = Scene(url, limit=1)
    first = gevent.spawn(scene.client.get, "/hang")
    gevent.sleep(0.05)
    first.kill()
    assert scene.client.get("/a").ok
    scene.channels.close()
