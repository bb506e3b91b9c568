from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgeproof.load.http.cookies import CookieJar

NOW = 1_700_000_000.0


def jar_with(*set_cookies: str, path: str = "/v1/login", tls: bool = False) -> CookieJar:
    jar = CookieJar("shop.example.test", is_tls=tls)
    for each in set_cookies:
        jar.store(each, path, NOW)
    return jar


@pytest.mark.parametrize(
    ("set_cookie", "path", "header"),
    [
        pytest.param("a=1", "/v1/x", "a=1", id="plain, beside the login"),
        pytest.param("a=1", "/v1/login?x=1", "a=1", id="a query does not matter"),
        pytest.param("a=1", "/v2", "", id="the default path is the directory"),
        pytest.param("a=1; Path=/", "/v2", "a=1", id="for the whole site"),
        pytest.param("a=1; path=/v", "/v1", "", id="a path ends at a slash"),
        pytest.param("a=1; path=/v2", "/v2/x", "a=1", id="below a path"),
        pytest.param("a=1; path=nonsense", "/v1/x", "a=1", id="no path"),
        pytest.param('a="b c"; Path=/', "/", 'a="b c"', id="quotes belong to the value"),
        pytest.param("a=b=c; Path=/", "/", "a=b=c", id="equals in the value"),
        pytest.param("alone; Path=/", "/", "alone", id="a value without a name"),
        pytest.param("; Path=/", "/", "", id="nothing"),
        pytest.param("a=1; Secure; Path=/", "/", "", id="secure over plain http"),
        pytest.param("a=1; Domain=.example.test; Path=/", "/", "a=1", id="for the domain above"),
        pytest.param("a=1; Domain=example.org; Path=/", "/", "", id="for another domain"),
        pytest.param("a=1; Domain=hop.example.test; Path=/", "/", "", id="for a like-named host"),
        pytest.param("a=1; Max-Age=0; Path=/", "/", "", id="over at once"),
        pytest.param("a=1; Max-Age=x; Path=/", "/", "a=1", id="a lifetime that is none"),
        pytest.param("a=1\x00; Path=/", "/", "", id="a control sign"),
        pytest.param(f"a={'x' * 5000}; Path=/", "/", "", id="too large"),
    ],
)
def test_a_cookie_goes_where_it_belongs(set_cookie: str, path: str, header: str) -> None:
    assert jar_with(set_cookie).header(path, NOW) == header


def test_a_secure_cookie_is_kept_over_tls() -> None:
    assert jar_with("a=1; Secure; Path=/", tls=True).header("/", NOW) == "a=1"


@pytest.mark.parametrize(
    "set_cookie",
    [
        "a=1; Max-Age=60; Path=/",
        "a=1; Expires=Tue, 14 Nov 2023 22:14:20 GMT; Path=/",
        "a=1; expires=Tue, 14-Nov-2023 22:14:20 GMT; Path=/",
        "a=1; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/",
    ],
    ids=["max-age", "expires", "expires with dashes", "max-age goes before expires"],
)
def test_a_cookie_lives_as_long_as_it_says(set_cookie: str) -> None:
    jar = jar_with(set_cookie)
    assert jar.header("/", NOW + 59) == "a=1"
    assert jar.header("/", NOW + 60) == ""
    assert len(jar) == 0


def test_a_cookie_is_replaced_and_dropped_by_name_and_path() -> None:
    jar = jar_with("a=1; Path=/", "a=2; Path=/", "a=3; Path=/v1")
    assert jar.header("/v1/x", NOW) == "a=3; a=2"
    jar.store("a=; Path=/; Max-Age=-1", "/", NOW)
    assert jar.header("/v1/x", NOW) == "a=3"


def test_longer_paths_go_first_then_those_set_first() -> None:
    jar = jar_with("a=1; Path=/", "b=2; Path=/v1", "c=3; Path=/")
    assert jar.header("/v1", NOW) == "b=2; a=1; c=3"


def test_a_server_that_sets_cookies_without_end_fills_no_memory() -> None:
    jar = jar_with(*(f"a{number}=1; Path=/" for number in range(500)))
    assert len(jar) == 50
    assert "a499=1" in jar.header("/", NOW)
    assert "a0=1;" not in jar.header("/", NOW)


def test_an_address_has_no_domain_above_it() -> None:
    jar = CookieJar("127.0.0.1", is_tls=False)
    jar.store("a=1; Domain=0.0.1; Path=/", "/", NOW)
    assert len(jar) == 0


@given(st.text(max_size=60))
def test_no_header_whatever_raises_or_adds_a_line(text: str) -> None:
    jar = jar_with(text)
    header = jar.header("/v1/x", NOW)
    assert "\r" not in header
    assert "\n" not in header


@given(st.from_regex(r"a=1; expires=[A-Za-z0-9 ,:+-]{0,40}", fullmatch=True))
def test_no_date_whatever_raises(text: str) -> None:
    jar_with(text)
