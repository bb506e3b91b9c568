"""A target that costs next to nothing and a user who asks it: what a machine can send at most."""

from __future__ import annotations

from pathlib import Path

__all__ = ["JOURNEY", "REQUEST", "SCENARIO"]

# The two ways to write the same request, by the names that mixes and samples call them.
REQUEST = "GET /bare"
JOURNEY = "GET /bare as a journey"
SCENARIO = Path(__file__).with_name("bare_users.py")
