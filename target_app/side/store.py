"""Images on disk under the SHA-256 of what they are: stored once, never changed."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path

__all__ = ["MAX_IMAGE", "MediaStore", "image_type", "is_digest"]

MAX_IMAGE = 1 << 20

_DIGEST = re.compile(r"[0-9a-f]{64}")
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)


def image_type(data: bytes) -> str | None:
    """Return the media type that an image's first bytes show, ``None`` for anything else."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for magic, kind in _MAGIC if data.startswith(magic)), None)


def is_digest(text: str) -> bool:
    """Return whether a text is the name of an image: 64 hexadecimal digits in lower case."""
    return _DIGEST.fullmatch(text) is not None


class MediaStore:
    """A folder of images. Its methods block; call them in a thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, data: bytes) -> tuple[str, bool]:
        """Keep an image; return its name, and whether it is a new one.

        It appears whole or not at all, and is on disk when this returns.
        """
        digest = hashlib.sha256(data).hexdigest()
        place = self._place(digest)
        if place.exists():
            return digest, False
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=place.parent, prefix="new-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(place)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        return digest, True

    def get(self, digest: str) -> bytes | None:
        """Return an image by its name, ``None`` if it was never put here."""
        try:
            return self._place(digest).read_bytes()
        except FileNotFoundError:
            return None

    def _place(self, digest: str) -> Path:
        return self._folder / digest[:2] / digest
