from __future__ import annotations

import gzip
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgeproof.load.http import RawResponse, TransportError
from surgeproof.load.http.decoding import decode_body, decoded

TEXT = b"to be or not to be, " * 50


def bare_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(data) + stream.flush()


def answer(body: bytes, *codings: bytes) -> RawResponse:
    headers = [(b"content-encoding", coding) for coding in codings]
    return RawResponse(200, headers, body, can_keep_alive=True)


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        pytest.param(gzip.compress(TEXT), "gzip", id="gzip"),
        pytest.param(gzip.compress(TEXT), "x-gzip", id="gzip by its old name"),
        pytest.param(gzip.compress(TEXT[:99]) + gzip.compress(TEXT[99:]), "gzip", id="two members"),
        pytest.param(gzip.compress(TEXT) + b"\0" * 9, "gzip", id="padding"),
        pytest.param(zlib.compress(TEXT), "deflate", id="deflate"),
        pytest.param(bare_deflate(TEXT), "deflate", id="deflate without its header"),
    ],
)
def test_a_coding_is_undone(body: bytes, coding: str) -> None:
    assert decode_body(body, coding) == TEXT


@given(st.binary(max_size=300))
def test_deflate_with_and_without_a_header_are_told_apart(data: bytes) -> None:
    assert decode_body(zlib.compress(data), "deflate") == data
    assert decode_body(bare_deflate(data), "deflate") == data


def test_codings_are_undone_in_reverse_order_whatever_their_case() -> None:
    body = gzip.compress(zlib.compress(TEXT))
    assert decoded(answer(body, b"Deflate, GZIP")).body == TEXT
    assert decoded(answer(body, b"deflate", b"gzip")).body == TEXT


@pytest.mark.parametrize(
    "response",
    [answer(TEXT), answer(TEXT, b"identity"), answer(b"", b"gzip")],
    ids=["no coding", "identity", "an answer to HEAD"],
)
def test_an_answer_without_a_coding_is_left_alone(response: RawResponse) -> None:
    assert decoded(response) is response


@pytest.mark.parametrize(
    ("body", "coding", "kind"),
    [
        pytest.param(gzip.compress(TEXT)[:-1], "gzip", "protocol", id="cut off in its checksum"),
        pytest.param(gzip.compress(TEXT)[:-12], "gzip", "protocol", id="cut off"),
        pytest.param(b"{}", "gzip", "protocol", id="no gzip at all"),
        pytest.param(gzip.compress(TEXT)[:-8] + b"\0" * 8, "gzip", "protocol", id="wrong checksum"),
        pytest.param(gzip.compress(TEXT) + b"junk", "gzip", "protocol", id="junk behind it"),
        pytest.param(zlib.compress(TEXT)[:-3], "deflate", "protocol", id="deflate cut off"),
        pytest.param(b"", "deflate", "protocol", id="nothing"),
        pytest.param(b"x", "br", "protocol", id="a coding that was not asked for"),
        pytest.param(gzip.compress(b"") * 17, "gzip", "protocol", id="members without end"),
        pytest.param(gzip.compress(b"\0" * 5000), "gzip", "too_large", id="a bomb"),
        pytest.param(
            gzip.compress(b"\0" * 900) * 2, "gzip", "too_large", id="a bomb in two members"
        ),
    ],
)
def test_a_body_that_cannot_be_decoded_fails_the_attempt(
    body: bytes, coding: str, kind: str
) -> None:
    with pytest.raises(TransportError) as caught:
        decode_body(body, coding, limit=1000)
    assert caught.value.kind == kind


def test_a_body_of_exactly_the_limit_is_fine() -> None:
    assert len(decode_body(gzip.compress(b"\0" * 1000), "gzip", limit=1000)) == 1000
    with pytest.raises(TransportError):
        decode_body(gzip.compress(b"\0" * 1001), "gzip", limit=1000)


def test_a_body_coded_over_and_over_is_refused() -> None:
    with pytest.raises(TransportError) as caught:
        decoded(answer(TEXT, b"gzip, gzip, gzip, gzip, gzip"))
    assert caught.value.kind == "protocol"


@given(st.binary(max_size=100), st.sampled_from(["gzip", "deflate"]))
def test_no_bytes_whatever_raise_another_error(data: bytes, coding: str) -> None:
    with suppress(TransportError):
        decode_body(data, coding, limit=1000)
