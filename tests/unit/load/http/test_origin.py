from __future__ import annotations

import pytest

from surgeproof.errors import UsageError
from surgeproof.load.http import Origin


@pytest.mark.parametrize(
    ("url", "socket_path", "prefix"),
    [
        ("http+unix://%2Frun%2Fshop.sock", "/run/shop.sock", ""),
        ("http+unix://%2Frun%2FShop%20One.sock/api/", "/run/Shop One.sock", "/api"),
    ],
)
def test_a_unix_socket_stands_encoded_in_the_hosts_place(
    url: str, socket_path: str, prefix: str
) -> None:
    origin = Origin.parse(url)
    assert (origin.socket_path, origin.prefix, origin.is_tls) == (socket_path, prefix, False)
    assert origin.authority == "localhost"


@pytest.mark.parametrize(
    ("url", "host", "authority"),
    [
        ("http://[::1]:8080", "::1", "[::1]:8080"),
        ("https://[2001:DB8::7]", "2001:db8::7", "[2001:db8::7]"),
        ("http://[fe80::1%25eth0]:80/", "fe80::1%eth0", "[fe80::1]"),
        ("http://bücher.test", "xn--bcher-kva.test", "xn--bcher-kva.test"),
        ("HTTP://Shop.TEST:81", "shop.test", "shop.test:81"),
    ],
    ids=["loopback", "large letters", "a zone stays here", "an international name", "capitals"],
)
def test_a_host_is_dialled_and_named_in_its_own_way(url: str, host: str, authority: str) -> None:
    origin = Origin.parse(url)
    assert (origin.host, origin.authority) == (host, authority)


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("http+unix://", id="no socket"),
        pytest.param("http+unix://run%2Fshop.sock", id="a relative socket"),
        pytest.param(f"http+unix://%2F{'x' * 108}", id="a socket path that is too long"),
        pytest.param("http+unix://%2Fa%00b", id="a socket path with a zero"),
        pytest.param("http://[::g]", id="no IPv6 address"),
        pytest.param("http://x:0", id="port zero"),
        pytest.param("http://x:65536", id="port too large"),
        pytest.param(f"http://{'x' * 64}.test", id="a label that is too long"),
        pytest.param("http://a..b", id="an empty label"),
        pytest.param("http://a b", id="a host with a space"),
        pytest.param("http://x/a b", id="a path with a space"),
        pytest.param("http://x/ü", id="a path that is not encoded"),
        pytest.param("http://@x", id="an empty user"),
    ],
)
def test_an_address_that_no_request_could_reach_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="base url"):
        Origin.parse(url)
