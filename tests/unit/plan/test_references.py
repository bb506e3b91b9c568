"""Secrets: resolved late, and told apart from what is journalled."""

from __future__ import annotations

import pytest

from surgeproof.errors import UsageError
from surgeproof.model.plan import Target
from surgeproof.plan import resolve_headers, resolve_text


def target(**headers: str) -> Target:
    return Target("external", "http://127.0.0.1", None, None, None, {}, headers, None)


def test_headers_are_resolved_from_the_environment() -> None:
    found = resolve_headers(target(Authorization="Bearer ${TOKEN}", Plain="x"), {"TOKEN": "hush"})
    assert found == {"Authorization": "Bearer hush", "Plain": "x"}


def test_what_a_secret_holds_is_not_resolved_again() -> None:
    assert resolve_text("${A}${A}", {"A": "${B}", "B": "no"}, "x") == "${B}${B}"


def test_a_variable_that_is_not_set_is_named() -> None:
    with pytest.raises(UsageError, match=r"target\.headers\.A needs .* B, C, which is not set"):
        resolve_headers(target(A="${B} ${C}"), {})


def test_a_line_break_in_a_secret_is_refused_without_showing_it() -> None:
    with pytest.raises(UsageError, match="line break") as caught:
        resolve_headers(target(A="${B}"), {"B": "hush\r\nX: y"})
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("text", ["${}", "${1A}", "${A B}", "${A"], ids=repr)
def test_a_reference_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="accepted"):
        resolve_text(text, {"A": "x"}, "x")
