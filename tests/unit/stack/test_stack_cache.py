"""Databases kept between runs, and the folders of one run."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from surgeproof.clock import Clock
from surgeproof.errors import EnvironmentNotReadyError
from surgeproof.stack.database_cache import KEPT, DatabaseCache, database_key
from surgeproof.stack.scratch import Scratch, cache_root, make_private_folder


def maker(content: str, calls: list[str]) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        calls.append(content)
        path.mkdir()
        (path / "rows").write_text(content, encoding="utf-8")

    return make


def test_a_database_is_made_once_and_copied_each_time(tmp_path: Path, clock: Clock) -> None:
    cache, calls = DatabaseCache(tmp_path / "cache", clock), list[str]()
    assert cache.provide("k", maker("first", calls), tmp_path / "one") is False
    (tmp_path / "one" / "rows").write_text("changed by a run", encoding="utf-8")
    assert cache.provide("k", maker("second", calls), tmp_path / "two") is True
    assert (tmp_path / "two" / "rows").read_text(encoding="utf-8") == "first"
    assert calls == ["first"]


def test_a_failed_making_leaves_nothing_to_be_taken_for_a_database(
    tmp_path: Path, clock: Clock
) -> None:
    cache = DatabaseCache(tmp_path / "cache", clock)

    def fail(path: Path) -> None:
        path.mkdir()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.provide("k", fail, tmp_path / "one")
    assert not [entry for entry in (tmp_path / "cache/databases").iterdir() if entry.is_dir()]
    assert cache.provide("k", maker("whole", []), tmp_path / "one") is False


def test_what_a_crashed_making_left_is_made_anew(tmp_path: Path, clock: Clock) -> None:
    cache = DatabaseCache(tmp_path / "cache", clock)
    (tmp_path / "cache/databases/.making-k/half").mkdir(parents=True)
    assert cache.provide("k", maker("whole", []), tmp_path / "one") is False
    assert [entry.name for entry in (tmp_path / "one").iterdir()] == ["rows"]


def test_only_the_last_used_databases_are_kept(tmp_path: Path, clock: Clock) -> None:
    cache = DatabaseCache(tmp_path / "cache", clock)
    kept = tmp_path / "cache/databases"
    for number in range(KEPT):
        cache.provide(f"k{number}", maker("x", []), tmp_path / f"copy-{number}")
        os.utime(kept / f"k{number}", (1000 + number, 1000 + number))
    cache.provide("k0", maker("x", []), tmp_path / "again")
    cache.provide("new", maker("x", []), tmp_path / "copy-new")
    assert {one.name for one in kept.iterdir() if one.is_dir()} == {"k0", "k2", "k3", "new"}
    assert not (kept / "k1.lock").exists()


def test_a_lock_that_is_never_given_back_is_an_error_and_no_endless_wait(
    tmp_path: Path, clock: Clock
) -> None:
    cache = DatabaseCache(tmp_path / "cache", clock)

    def make(path: Path) -> None:
        cache.provide("k", maker("inner", []), tmp_path / "inner")

    with pytest.raises(EnvironmentNotReadyError, match="another stack has been making"):
        cache.provide("k", make, tmp_path / "outer")


def test_a_copy_that_fails_says_why(tmp_path: Path, clock: Clock) -> None:
    cache = DatabaseCache(tmp_path / "cache", clock)
    with pytest.raises(EnvironmentNotReadyError, match="No such file"):
        cache.provide("k", maker("x", []), tmp_path / "missing/folder/copy")


def test_a_key_changes_with_every_word_and_every_file(tmp_path: Path) -> None:
    schema, rows = tmp_path / "schema.sql", tmp_path / "rows.py"
    schema.write_text("a", encoding="utf-8")
    rows.write_text("b", encoding="utf-8")
    keys = [
        database_key(["18", "1"], [schema, rows]),
        database_key(["18", "2"], [schema, rows]),
        database_key(["181", ""], [schema, rows]),
        database_key(["18", "1"], [schema]),
    ]
    rows.write_text("c", encoding="utf-8")
    keys.append(database_key(["18", "1"], [schema, rows]))
    assert len(set(keys)) == len(keys)
    rows.write_text("b", encoding="utf-8")
    assert database_key(["18", "1"], [schema, rows]) == keys[0]


@pytest.mark.parametrize(
    ("environ", "uid", "expected"),
    [
        pytest.param({"HOME": "/home/ann"}, 1000, "/home/ann/.cache/surgeproof", id="home"),
        pytest.param(
            {"HOME": "/home/ann", "XDG_CACHE_HOME": "/fast"}, 1000, "/fast/surgeproof", id="xdg"
        ),
        pytest.param({"HOME": "/root"}, 0, "/var/tmp/surgeproof-0", id="root"),
    ],
)
def test_the_cache_lies_where_its_user_expects_it(
    environ: dict[str, str], uid: int, expected: str
) -> None:
    assert cache_root(environ, uid) == Path(expected)


def test_a_run_s_folder_goes_with_everything_in_it(tmp_path: Path, clock: Clock) -> None:
    scratch = Scratch.create(tmp_path / "cache")
    (scratch.folder("store") / "rows").write_text("x", encoding="utf-8")
    scratch.remove(clock.sleep)
    assert list((tmp_path / "cache/runs").iterdir()) == []


def test_folders_of_the_living_stay_and_those_of_the_dead_go(tmp_path: Path) -> None:
    living = Scratch.create(tmp_path / "cache")
    ended = subprocess.Popen(["true"])
    ended.wait()
    runs = tmp_path / "cache/runs"
    reused = f"{os.getpid()}-1-0a0b0c0d"  # our pid, but another start time
    for name in (f"{ended.pid}-17-0a0b0c0d", reused, "no-number"):
        (runs / name).mkdir()
    other = Scratch.create(tmp_path / "cache")
    assert set(runs.iterdir()) == {living.path, other.path}


def test_a_cache_folder_that_is_somebody_else_s_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "cache").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(EnvironmentNotReadyError, match="no folder of ours"):
        make_private_folder(tmp_path / "cache")
