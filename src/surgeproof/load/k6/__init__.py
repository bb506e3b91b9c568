"""The k6 driver: the same plan, schedule and journal, with k6 as the engine.

``python -m surgeproof.load.k6 --order load.json`` is a generator process like Locust's: the same
order, the same meeting by ready and start files. k6 runs as its child on the plan's script; what
k6 measures becomes samples. `LIBRARY` is what scripts may import, to be copied beside them.
"""

from __future__ import annotations

import sys
from pathlib import Path

from surgeproof.load.k6.binary import find_k6

__all__ = ["LIBRARY", "find_k6", "k6_command", "k6_read_back_command"]

LIBRARY = Path(__file__).parent / "surgeproof.js"


def k6_command(order_path: Path, *, python: str = sys.executable) -> list[str]:
    """Return the command of one k6 generator; its environment is that of Locust's."""
    return [python, "-m", "surgeproof.load.k6", "--order", str(order_path)]


def k6_read_back_command(order_path: Path, *, python: str = sys.executable) -> list[str]:
    """Return the command that reads the ledger back by the script's ``readBack``."""
    return [python, "-m", "surgeproof.load.k6.read_back", "--order", str(order_path)]
