"""The media store: images only, named by what they are, whole or not there at all."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.requests import Request

from target_app.serving import ServiceError
from target_app.side.media import read_image
from target_app.side.store import MAX_IMAGE, MediaStore, image_type, is_digest

PNG = b"\x89PNG\r\n\x1a\n" + b"dots"


def arriving(*parts: bytes, length: int | None = None) -> tuple[Request, list[bytes]]:
    """Return a request whose body comes in parts, and the parts that were not asked for yet."""
    left = list(parts)

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    headers = [] if length is None else [(b"content-length", str(length).encode())]
    return Request({"type": "http", "method": "POST", "headers": headers}, receive), left


def refusal(request: Request) -> tuple[int, str]:
    with pytest.raises(ServiceError) as caught:
        asyncio.run(read_image(request))
    return caught.value.status, caught.value.error


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(PNG, "image/png", id="png"),
        pytest.param(b"\xff\xd8\xff\xe0", "image/jpeg", id="jpeg"),
        pytest.param(b"GIF89a", "image/gif", id="gif"),
        pytest.param(b"GIF87a", "image/gif", id="old gif"),
        pytest.param(b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp", id="webp"),
        pytest.param(b"RIFF\x00\x00\x00\x00WAVE", None, id="sound in the same box"),
        pytest.param(b"<svg onload='alert(1)'>", None, id="svg, which can hold scripts"),
        pytest.param(b"<html>", None, id="page"),
        pytest.param(b"", None, id="nothing"),
    ],
)
def test_an_image_is_known_by_its_first_bytes(data: bytes, expected: str | None) -> None:
    assert image_type(data) == expected


def test_an_image_is_stored_once_under_its_digest_and_read_back(tmp_path: Path) -> None:
    store = MediaStore(tmp_path)
    digest = hashlib.sha256(PNG).hexdigest()
    assert store.get(digest) is None
    assert store.put(PNG) == (digest, True)
    assert store.put(PNG) == (digest, False)
    assert store.get(digest) == PNG
    assert [each.name for each in tmp_path.rglob("*") if each.is_file()] == [digest]


def test_a_write_that_fails_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        MediaStore(tmp_path).put(PNG)
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == []


@pytest.mark.parametrize("text", ["", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n"])
def test_no_other_text_names_an_image(text: str) -> None:
    assert not is_digest(text)


def test_a_body_in_parts_is_put_together() -> None:
    request, _ = arriving(PNG[:3], PNG[3:])
    assert asyncio.run(read_image(request)) == PNG


def test_a_body_that_says_it_is_too_long_is_refused_unread() -> None:
    request, left = arriving(PNG, length=MAX_IMAGE + 1)
    assert refusal(request) == (413, "too_large")
    assert left == [PNG]


def test_a_body_of_unknown_length_is_refused_once_too_much_has_come() -> None:
    half = PNG + bytes(MAX_IMAGE // 2)
    request, left = arriving(half, half, half, half)
    assert refusal(request) == (413, "too_large")
    assert left == [half, half]


def test_what_is_no_image_is_refused() -> None:
    assert refusal(arriving(b"%PDF-1.7")[0]) == (415, "unsupported_media_type")


@pytest.fixture(autouse=True)
def _no_leftovers(tmp_path: Path) -> Iterator[None]:
    yield
    assert not list(tmp_path.rglob("new-*"))
