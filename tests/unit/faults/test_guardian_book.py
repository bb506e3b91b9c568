"""The guardian's pure parts: what it understands, and who belongs to whom."""

from __future__ import annotations

import ast
import json
import os
import sys
from pathlib import Path

import pytest

from surgeproof.faults import guardian_process
from surgeproof.faults.guardian_process import Book, Process, Stat, kin, read_stat, request_check

UNDO = {"method": "DELETE", "url": "http://127.0.0.1:1/x", "ok": [204, 404]}


def stat(
    pid: int, parent: int = 1, *, leader: int = 0, started: int = 5, dead: bool = False
) -> Stat:
    return Stat(pid, parent, leader or pid, leader or pid, started, dead)


def root(pid: int, *, started: int = 5, leads: bool = True) -> Process:
    return Process(pid, f"p{pid}", started, leads)


def book(*living: int) -> Book:
    return Book(lambda pid: stat(pid) if pid in living else None)


def tell(into: Book, **message: object) -> None:
    into.hear(json.dumps(message).encode())


def family(*stats: Stat) -> dict[int, Stat]:
    return {each.pid: each for each in stats}


def test_open_faults_come_newest_first_without_those_undone() -> None:
    heard = book()
    for name in ("1", "2", "3"):
        tell(heard, message="fault.intent", id=name, undo=UNDO)
    tell(heard, message="fault.undone", id="2")
    assert [name for name, _ in heard.open_faults()] == ["3", "1"]
    assert heard.open_faults()[0][1] == UNDO


def test_processes_come_newest_first_without_those_gone() -> None:
    heard = book(101, 102, 103)
    heard.hear_child(b"101 redis")
    heard.hear_child(b"102 feed")
    tell(heard, message="process", pid=103, name="locust")
    tell(heard, message="gone", pid=102)
    assert [(each.pid, each.name) for each in heard.newest_first()] == [
        (103, "locust"),
        (101, "redis"),
    ]


def test_a_process_that_registers_twice_is_one_process() -> None:
    heard = book(101)
    heard.hear_child(b"101 redis")
    tell(heard, message="process", pid=101, name="redis")
    assert len(heard.newest_first()) == 1


def test_a_pid_that_is_dead_or_the_guardians_own_is_not_registered() -> None:
    heard = Book(lambda pid: stat(pid, dead=pid == 101))
    heard.hear_child(b"101 dead")
    heard.hear_child(f"{os.getpid()} me".encode())
    assert heard.newest_first() == []


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="cut"),
        pytest.param(b"[]", id="no object"),
        pytest.param(b'{"message": "fault.intent", "id": "1"}', id="no undo"),
        pytest.param(b'{"message": "fault.intent", "id": "1", "undo": 5}', id="undo no object"),
        pytest.param(b'{"message": "process", "pid": "x", "name": ""}', id="pid no number"),
        pytest.param(b'{"message": "hello"}', id="unknown"),
    ],
)
def test_a_line_that_cannot_be_read_harms_nothing_and_is_kept(line: bytes) -> None:
    heard = book()
    tell(heard, message="fault.intent", id="0", undo=UNDO)
    heard.hear(line)
    assert len(heard.odd) == 1
    assert [name for name, _ in heard.open_faults()] == ["0"]


def test_bye_is_heard() -> None:
    heard = book()
    assert not heard.said_bye
    tell(heard, message="bye")
    assert heard.said_bye


@pytest.mark.parametrize(
    ("roots", "table", "expected"),
    [
        pytest.param([root(10)], family(stat(10), stat(20)), {10}, id="itself, and no stranger"),
        pytest.param(
            [root(10)], family(stat(10), stat(11, 10, leader=10)), {10, 11}, id="its group"
        ),
        pytest.param(
            [root(10)],
            family(stat(10), stat(11, 10), stat(12, 11), stat(13, 1)),
            {10, 11, 12},
            id="descendants in sessions of their own",
        ),
        pytest.param(
            [root(10)], family(stat(11, 1, leader=10)), {11}, id="a group whose leader is gone"
        ),
        pytest.param(
            [root(10)],
            family(stat(10, started=99), stat(11, 10, leader=10, started=99)),
            set(),
            id="a pid that was given away again",
        ),
        pytest.param(
            [root(10, leads=False)],
            family(stat(10, leader=7), stat(12, leader=10), stat(7)),
            {10},
            id="no leader: its harness's group is spared",
        ),
        pytest.param([root(10)], family(stat(10, dead=True)), set(), id="a zombie is dead"),
        pytest.param([root(10)], family(stat(10), stat(50, 10)), {10}, id="the spared"),
    ],
)
def test_who_belongs_to_a_registered_process(
    roots: list[Process], table: dict[int, Stat], expected: set[int]
) -> None:
    assert set(kin(roots, table, {50})) == expected


def test_a_process_is_read_from_proc() -> None:
    me = read_stat(os.getpid())
    assert me is not None
    assert (me.parent, me.group, me.session) == (os.getppid(), os.getpgrp(), os.getsid(0))
    assert not me.is_dead
    assert read_stat(2**22 + 1) is None


def test_an_undo_without_a_check_counts_by_its_status() -> None:
    assert request_check(UNDO, 0.1) is True


def test_the_guardian_needs_the_standard_library_only() -> None:
    tree = ast.parse(Path(guardian_process.__file__).read_text(encoding="utf-8"))
    names = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names
