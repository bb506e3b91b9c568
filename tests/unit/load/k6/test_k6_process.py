from __future__ import annotations

import os
from pathlib import Path

import pytest

from surgeproof.errors import EnvironmentNotReadyError, MissingBinaryError, UsageError
from surgeproof.load.k6 import LIBRARY
from surgeproof.load.k6.binary import find_k6, k6_environment, k6_version
from surgeproof.load.k6.driver import entry_text
from surgeproof.load.k6.exit_codes import K6_EXITS, exit_of
from surgeproof.load.k6.lines import LinePipe
from surgeproof.load.k6.read_back import findings_of


def fake_k6(folder: Path, said: str) -> Path:
    path = folder / "k6"
    path.write_text(f"#!/bin/sh\necho '{said}'\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("version", ["1.1.0", "1.8.1", "1.10.0-rc1"])
def test_every_k6_from_1_1_to_before_2_is_taken(tmp_path: Path, version: str) -> None:
    binary = fake_k6(tmp_path, f"k6 v{version} (commit/0, go1.24, linux/amd64)")
    assert k6_version(binary) == version
    assert find_k6({"PATH": str(tmp_path)}) == binary


@pytest.mark.parametrize("said", ["k6 v1.0.0 (x)", "k6 v0.57.0 (x)", "k6 v2.0.0 (x)", "hello"])
def test_any_other_k6_is_refused_by_its_version(tmp_path: Path, said: str) -> None:
    binary = fake_k6(tmp_path, said)
    with pytest.raises(EnvironmentNotReadyError, match=r"accepted: k6 1\.1 to 1\.x"):
        find_k6({"PATH": "", "SURGEPROOF_K6": str(binary)})


def test_a_variable_that_names_no_program_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MissingBinaryError, match="SURGEPROOF_K6 is"):
        find_k6({"SURGEPROOF_K6": str(tmp_path / "none")})


def test_settings_of_k6_in_the_environment_do_not_change_a_run(tmp_path: Path) -> None:
    environment = k6_environment({"K6_VUS": "9", "HOME": "/"}, tmp_path / "plan.json", None)
    assert environment == {"HOME": "/", "SURGEPROOF_K6_PLAN": str(tmp_path / "plan.json")}


@pytest.mark.parametrize(
    ("code", "begun", "ours"),
    [
        (0, True, 0),
        (99, True, 0),
        (100, False, 6),
        (101, True, 0),
        (102, True, 7),
        (103, True, 7),
        (104, False, 2),
        (105, True, 7),
        (106, False, 6),
        (107, False, 2),
        (108, False, 6),
        (108, True, 7),
        (109, True, 7),
        (110, True, 0),
        (255, False, 6),
        (-9, True, 7),
    ],
)
def test_exit_codes_of_k6_have_one_of_ours(code: int, begun: bool, ours: int) -> None:
    assert exit_of(code, begun=begun).ours == ours


def test_every_exit_code_of_k6_is_said_in_words() -> None:
    assert all(each.words for each in K6_EXITS.values())
    assert "signal 9" in exit_of(-9, begun=True).words
    assert "255" in exit_of(255, begun=True).words


def test_a_script_may_lie_under_any_printable_path(tmp_path: Path) -> None:
    script = tmp_path / 'it "is" ünusual.js'
    script.write_text("")
    text = entry_text("entry.js", script)
    assert 'it \\"is\\" ünusual.js";' in text
    assert "@SCRIPT@" not in text


def test_a_script_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no k6 script"):
        entry_text("entry.js", tmp_path / "none.js")


def test_the_scenarios_use_the_library_that_is_shipped() -> None:
    beside = Path(__file__).parents[4] / "scenarios" / "k6" / "surgeproof.js"
    assert beside.read_text(encoding="utf-8") == LIBRARY.read_text(encoding="utf-8")


def test_lines_are_whole_however_the_pipe_cuts_them() -> None:
    reader, writer = os.pipe()
    pipe = LinePipe(os.fdopen(reader, "rb", buffering=0))
    assert pipe.read(0.0) == []
    os.write(writer, b"one\ntw")
    assert pipe.read(1.0) == [b"one"]
    os.write(writer, b"o\nthree\n")
    assert pipe.read(1.0) == [b"two", b"three"]
    os.close(writer)
    assert pipe.read(1.0) == []
    assert pipe.is_over
    pipe.close()


def test_a_key_that_k6_did_not_come_to_is_unread() -> None:
    keys = [("post", "a"), ("post", "b"), ("post", "c")]
    line = b'{"metric":"surgeproof_found","type":"Point","data":{"metadata":{"found":"%s"}}}'
    lines = [line % b"[0, 1, 1]", b'{"cut', line % b"[2, null, 1]"]
    assert findings_of(lines, keys) == {keys[0]: (1, 1), keys[1]: (None, None), keys[2]: (None, 1)}
