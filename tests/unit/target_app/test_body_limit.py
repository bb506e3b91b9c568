"""A body from outside is read up to its limit, whatever it says about itself."""

from __future__ import annotations

import asyncio

import pytest
from starlette.requests import Request
from starlette.types import Message

from target_app.serving import ServiceError
from target_app.serving.body_limit import limited, said_bytes


def request(chunks: list[bytes], most_bytes: int, **headers: str) -> Request:
    left = iter(
        {"type": "http.request", "body": chunk, "more_body": place + 1 < len(chunks)}
        for place, chunk in enumerate(chunks)
    )

    async def receive() -> Message:
        return next(left)

    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": raw}
    return Request(scope, limited(receive, most_bytes))


def test_a_body_of_the_limit_is_read() -> None:
    assert asyncio.run(request([b"ab", b"cd"], 4).body()) == b"abcd"


def test_a_longer_body_is_cut_off_while_it_comes() -> None:
    with pytest.raises(ServiceError) as caught:
        asyncio.run(request([b"ab", b"cd", b"e"], 4).body())
    assert (caught.value.status, caught.value.error) == (413, "too_large")


@pytest.mark.parametrize(
    ("said", "expected"), [("5", 5), ("", 0), ("-1", 0), ("5,5", 0), ("\u0665", 0)]
)
def test_only_a_plain_number_is_a_length(said: str, expected: int) -> None:
    raw = [(b"content-length", said.encode("utf-8"))]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": raw}
    assert said_bytes(Request(scope)) == expected
