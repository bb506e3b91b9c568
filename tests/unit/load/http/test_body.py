"""Request bodies against what the standard library reads out of them."""

from __future__ import annotations

import random
from email import message_from_bytes
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgeproof.load.http.body import Data, Files, encode_body, framed_chunks


def test_without_anything_there_is_no_body_and_no_content_type() -> None:
    body = encode_body()
    assert (body.content, body.content_type, body.chunks) == (b"", "", None)


@pytest.mark.parametrize(
    ("data", "content", "content_type"),
    [
        pytest.param(b"\x00raw", b"\x00raw", "", id="bytes as they are"),
        pytest.param("tschüß", "tschüß".encode(), "text/plain; charset=utf-8", id="text"),
        pytest.param(
            {"a": "x y&z", "n": 1, "many": ["1", "ü"]},
            b"a=x+y%26z&n=1&many=1&many=%C3%BC",
            "application/x-www-form-urlencoded",
            id="form",
        ),
        pytest.param({}, b"", "application/x-www-form-urlencoded", id="empty form"),
    ],
)
def test_data_is_sent_by_its_kind(data: Data, content: bytes, content_type: str) -> None:
    body = encode_body(data=data)
    assert (body.content, body.content_type) == (content, content_type)


@pytest.mark.parametrize("value", [{}, [], 0, False, {"a": "ü"}])
def test_json_of_any_value_is_a_body(value: object) -> None:
    body = encode_body(json=value)
    assert body.content_type == "application/json"
    assert body.content


@given(st.dictionaries(st.text(min_size=1), st.text(), max_size=5))
def test_a_form_reads_back_as_it_was(form: dict[str, str]) -> None:
    body = encode_body(data=form)
    assert dict(parse_qsl(body.content.decode(), keep_blank_values=True)) == form


def parts_of(content: bytes, content_type: str) -> list[tuple[str, str | None, str, bytes]]:
    message = message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + content)
    found = []
    for part in message.get_payload():
        assert not isinstance(part, str)
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        assert isinstance(payload, bytes)
        found.append((str(name), part.get_filename(), part.get_content_type(), payload))
    return found


def test_files_and_fields_make_one_multipart_body() -> None:
    files: Files = {"photo": ("cat.png", b"\x89PNG\r\n\x1a\n", "image/png")}
    body = encode_body(data={"title": "cat"}, files=files, randomness=random.Random(1))
    assert parts_of(body.content, body.content_type) == [
        ("title", None, "text/plain", b"cat"),
        ("photo", "cat.png", "image/png", b"\x89PNG\r\n\x1a\n"),
    ]


def test_the_same_seed_gives_the_same_boundary() -> None:
    files: Files = {"f": ("f", b"x", "text/plain")}
    one, two = (encode_body(files=files, randomness=random.Random(7)) for _ in range(2))
    assert one == two
    assert encode_body(files=files, randomness=random.Random(8)) != one


def test_a_boundary_never_occurs_in_what_it_separates() -> None:
    first = encode_body(files={"f": ("f", b"", "text/plain")}, randomness=random.Random(7))
    boundary = first.content_type.partition("boundary=")[2]
    files: Files = {"f": ("f", boundary.encode(), "text/plain")}
    second = encode_body(files=files, randomness=random.Random(7))
    assert second.content_type.partition("boundary=")[2] != boundary


def test_a_file_name_cannot_add_a_header() -> None:
    files: Files = {"f": ('a"\r\nX: y', b"x", "text/plain")}
    body = encode_body(files=files, randomness=random.Random(1))
    assert b'filename="a%22%0D%0AX: y"\r\n' in body.content


def test_an_iterable_is_sent_as_it_comes_with_the_sizes_of_its_chunks() -> None:
    body = encode_body(data=iter([b"hello", b"", b"x" * 16]))
    assert body.chunks is not None
    framed = list(framed_chunks(body.chunks))
    assert framed == [b"5\r\nhello\r\n", b"10\r\n" + b"x" * 16 + b"\r\n", b"0\r\n\r\n"]


def test_a_stream_of_texts_is_refused() -> None:
    with pytest.raises(ValueError, match="yielded a str; accepted: bytes"):
        list(framed_chunks(["text"]))  # type: ignore[list-item]


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"json": {}, "data": b"x"}, id="json and data"),
        pytest.param({"json": {}, "files": {}}, id="json and files"),
        pytest.param({"data": 7}, id="a number"),
        pytest.param({"data": {"a": None}}, id="a field of nothing"),
        pytest.param({"data": {"a": True}}, id="a field of a truth value"),
        pytest.param({"data": b"x", "files": {}}, id="bytes beside files"),
        pytest.param({"files": {"f": ("f", b"", "text/plain\r\nX: y")}}, id="a smuggled header"),
    ],
)
def test_what_makes_no_body_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"accepted|cannot be sent"):
        encode_body(**options)  # type: ignore[arg-type]
