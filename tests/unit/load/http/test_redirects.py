from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgeproof.load.http import Origin, RawResponse, TransportError
from surgeproof.load.http.redirects import Hop, Redirects, is_redirect, next_hop

HERE = Origin.parse("http://shop.test:8080/base")


@pytest.mark.parametrize(
    ("status", "method", "next_method", "keeps_body"),
    [
        (301, "GET", "GET", True),
        (301, "POST", "GET", False),
        (302, "POST", "GET", False),
        (302, "PUT", "PUT", True),
        (303, "POST", "GET", False),
        (303, "PUT", "GET", False),
        (303, "HEAD", "HEAD", True),
        (307, "POST", "POST", True),
        (308, "DELETE", "DELETE", True),
    ],
)
def test_the_status_decides_on_method_and_body(
    status: int, method: str, next_method: str, keeps_body: bool
) -> None:
    assert is_redirect(status)
    hop = next_hop(HERE, method, "/a", status, "/base/b")
    assert hop == Hop(next_method, "/b", keeps_body)


@pytest.mark.parametrize("status", [200, 300, 304, 305, 404])
def test_other_statuses_lead_nowhere(status: int) -> None:
    assert not is_redirect(status)


@pytest.mark.parametrize(
    ("location", "path"),
    [
        pytest.param("/base/b?x=1#part", "/b?x=1", id="absolute path, the fragment goes"),
        pytest.param("b", "/v1/b", id="beside"),
        pytest.param("../b", "/b", id="above"),
        pytest.param("?page=2", "/v1/a?page=2", id="the query only"),
        pytest.param("http://shop.test:8080/base/b", "/b", id="with the origin"),
        pytest.param("HTTP://SHOP.test:8080/base/b", "/b", id="the origin in capitals"),
        pytest.param("//shop.test:8080/base/b", "/b", id="without a scheme"),
        pytest.param("/base", "/", id="the prefix itself"),
        pytest.param("/base/ü", "/%C3%BC", id="not encoded"),
        pytest.param("/base/a%20b", "/a%20b", id="encoded already"),
    ],
)
def test_a_location_within_the_target_is_followed(location: str, path: str) -> None:
    assert next_hop(HERE, "GET", "/v1/a", 302, location).path == path


@pytest.mark.parametrize(
    "location",
    [
        None,
        "",
        "  ",
        "https://shop.test:8080/base/b",
        "http://shop.test/base/b",
        "http://other.test:8080/base/b",
        "//other.test/base/b",
        "http://me@shop.test:8080/base/b",
        "/other",
        "/basement",
        "../../b",
        "ftp://shop.test/base",
        "javascript:alert(1)",
        "http://[::1/",
        "/base/a\r\nX: y",
        "/base/a\x00b",
    ],
)
def test_a_location_away_from_the_target_is_refused(location: str | None) -> None:
    with pytest.raises(TransportError) as caught:
        next_hop(HERE, "GET", "/v1/a", 302, location)
    assert caught.value.kind == "redirect_refused"


def test_behind_a_unix_socket_the_service_is_known_by_its_host_header() -> None:
    origin = Origin.parse("http+unix://%2Frun%2Fshop.sock")
    assert next_hop(origin, "GET", "/a", 302, "http://localhost/b").path == "/b"
    with pytest.raises(TransportError):
        next_hop(origin, "GET", "/a", 302, "http://shop.test/b")


@given(st.text(max_size=40))
def test_whatever_a_location_holds_the_next_request_goes_to_the_target(location: str) -> None:
    with suppress(TransportError):
        hop = next_hop(HERE, "GET", "/v1/a", 302, location)
        assert hop.path.startswith("/")
        assert hop.path.isascii()
        assert not set(hop.path) & set(" \r\n\x00")


def test_bytes_of_a_location_that_are_no_ascii_are_sent_back_as_they_came() -> None:
    chain = Redirects(HERE)
    raw = RawResponse(302, [(b"location", "/base/ü".encode())], b"", can_keep_alive=True)
    assert chain.take("GET", "/", raw)
    assert chain.next == Hop("GET", "/%C3%BC", keeps_body=True)


def test_a_chain_ends_after_ten_redirects() -> None:
    chain = Redirects(HERE)
    raw = RawResponse(302, [(b"location", b"/base/a")], b"", can_keep_alive=True)
    for _ in range(10):
        assert chain.take("GET", "/a", raw)
    with pytest.raises(TransportError) as caught:
        chain.take("GET", "/a", raw)
    assert caught.value.kind == "redirects"
    assert chain.next is None


def test_a_stream_is_not_sent_a_second_time() -> None:
    raw = RawResponse(307, [(b"location", b"/base/b")], b"", can_keep_alive=True)
    with pytest.raises(TransportError) as caught:
        Redirects(HERE, is_repeatable=False).take("POST", "/a", raw)
    assert caught.value.kind == "redirect_refused"
