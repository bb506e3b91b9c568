"""Waiting for the kernel between runs, without waiting."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.settling import closed_connections, settle


@pytest.mark.parametrize(
    ("counts", "waited_s"),
    [
        pytest.param([0], 0.0, id="nothing to wait for"),
        pytest.param([None], 0.0, id="the system does not say"),
        pytest.param([9000, 5000, 100], 2.0, id="until they are few"),
        pytest.param([9000] * 100, 65.0, id="not for ever"),
    ],
)
def test_a_run_waits_for_the_connections_of_the_one_before(
    counts: list[int | None], waited_s: float
) -> None:
    slept: list[float] = []
    said: list[str] = []
    left = iter(counts)
    assert settle(said.append, read=lambda: next(left), sleep=slept.append) == waited_s
    assert sum(slept) == waited_s
    assert len(said) == (1 if waited_s else 0)


def test_the_count_is_read_from_the_kernel(tmp_path: Path) -> None:
    file = tmp_path / "sockstat"
    file.write_text(
        "sockets: used 15\nTCP: inuse 2 orphan 0 tw 5753 alloc 2 mem 349\nUDP: inuse 0\n"
    )
    assert closed_connections(file) == 5753
    assert closed_connections(tmp_path / "missing") is None
