from __future__ import annotations

from pathlib import Path

from surgeproof.load.http import TransportError

PAGE = Path(__file__).parents[4] / "docs" / "client.md"


def test_every_error_kind_of_the_client_is_explained_to_authors() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [kind for kind in TransportError.KINDS if f"| `{kind}` |" not in page] == []
