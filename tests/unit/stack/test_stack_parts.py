"""The small parts: programs, users, log tails, interrupts, wire messages, external addresses."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from surgeproof.clock import Clock
from surgeproof.errors import (
    EnvironmentNotReadyError,
    MissingBinaryError,
    TargetNotReadyError,
    UsageError,
)
from surgeproof.stack import ExternalTarget, RunningStack
from surgeproof.stack.binaries import Program, find_program
from surgeproof.stack.children import tail
from surgeproof.stack.interrupts import interrupts_deferred
from surgeproof.stack.postgres_wire import _until_idle
from surgeproof.stack.users import User, as_user, is_reachable_by_all, unprivileged_user

SERVER = Program(
    "server", install="pip install server", variable="THE_SERVER", version="2.0", path_first=True
)


def program_in(folder: Path, version: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "server"
    path.write_text(f"#!/bin/sh\necho server version {version}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_a_program_is_taken_from_its_variable_first_then_path_then_our_own(tmp_path: Path) -> None:
    named = program_in(tmp_path / "named", "2.0")
    on_path = program_in(tmp_path / "path", "2.0")
    own = program_in(tmp_path / "own", "2.0")
    environ = {"PATH": str(on_path.parent), "THE_SERVER": str(named)}
    assert find_program(SERVER, environ, own.parent) == named
    assert find_program(SERVER, {"PATH": str(on_path.parent)}, own.parent) == on_path
    assert find_program(SERVER, {"PATH": str(tmp_path)}, own.parent) == own


def test_our_own_program_comes_first_where_its_version_is_pinned_by_the_wheel(
    tmp_path: Path,
) -> None:
    plain = Program("server", install="pip install server")
    on_path, own = program_in(tmp_path / "path", "1"), program_in(tmp_path / "own", "1")
    assert find_program(plain, {"PATH": str(on_path.parent)}, own.parent) == own


def test_a_program_of_the_wrong_version_is_passed_over(tmp_path: Path) -> None:
    old, own = program_in(tmp_path / "path", "1.0"), program_in(tmp_path / "own", "2.0")
    assert find_program(SERVER, {"PATH": str(old.parent)}, own.parent) == own


def test_a_missing_program_says_what_was_seen_and_what_to_install(tmp_path: Path) -> None:
    old = program_in(tmp_path / "path", "1.0")
    with pytest.raises(MissingBinaryError) as caught:
        find_program(SERVER, {"PATH": str(old.parent)}, tmp_path)
    assert str(caught.value) == (
        f"server 2.0 is not installed ({old} says 'server version 1.0'); "
        "to get it: pip install server"
    )


def test_a_variable_that_points_nowhere_is_an_error_and_not_ignored(tmp_path: Path) -> None:
    own = program_in(tmp_path / "own", "2.0")
    with pytest.raises(MissingBinaryError, match=r"THE_SERVER is '/none'.*pip install server"):
        find_program(SERVER, {"THE_SERVER": "/none"}, own.parent)


def test_only_root_becomes_somebody_else() -> None:
    assert unprivileged_user(1000) is None
    user = unprivileged_user(0)
    assert user is not None
    assert user.uid != 0


def test_a_command_as_another_user_keeps_its_words() -> None:
    command = as_user(User("nobody", 65534, 65533), ["/bin/postgres", "-D", "a b"])
    assert command[0] == sys.executable
    assert command[-5:] == ["65534", "65533", "/bin/postgres", "-D", "a b"]
    assert as_user(None, ["/bin/postgres"]) == ["/bin/postgres"]


def test_a_file_below_a_closed_folder_is_out_of_reach(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "file").write_text("", encoding="utf-8")
    assert not is_reachable_by_all(closed / "file")
    assert is_reachable_by_all(Path("/bin/sh"))


def test_a_tail_is_the_last_lines_that_say_something(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"\n".join(b"line %d\n" % number for number in range(5000)) + b"\xff\n\n")
    lines = tail(log)
    assert len(lines) == 15
    assert lines[-2:] == ("line 4999", "\ufffd")
    assert tail(tmp_path / "none") == ()


def test_an_interrupt_waits_for_the_end_of_a_deferring_block() -> None:
    steps: list[str] = []

    def block() -> None:
        with interrupts_deferred():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            steps.append("the rest of the block")

    with pytest.raises(KeyboardInterrupt):
        block()
    assert steps == ["the rest of the block"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_who_asks_a_second_time_does_not_wait_for_a_deferring_block() -> None:
    code = """
import os, signal
from surgeproof.stack.interrupts import interrupts_deferred, leave_at_once
signal.signal(signal.SIGINT, leave_at_once)
with interrupts_deferred():
    os.kill(os.getpid(), signal.SIGINT)
    print("still here")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (130, "")


def test_without_an_interrupt_a_deferring_block_changes_nothing() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with interrupts_deferred():
        pass
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_refusal_of_the_database_is_told_in_its_own_words() -> None:
    def messages() -> Iterator[tuple[bytes, bytes]]:
        yield b"E", b'SERROR\0VERROR\0C42P04\0Mdatabase "shop" already exists\0\0'
        yield b"Z", b"I"

    with pytest.raises(EnvironmentNotReadyError, match='database "shop" already exists'):
        _until_idle(messages())


def test_a_fatal_refusal_is_not_waited_after() -> None:
    def messages() -> Iterator[tuple[bytes, bytes]]:
        yield b"E", b'SFATAL\0VFATAL\0C28000\0Mrole "app" does not exist\0\0'
        raise AssertionError("nothing follows a fatal error")

    with pytest.raises(EnvironmentNotReadyError, match='role "app" does not exist'):
        _until_idle(messages())


@pytest.mark.parametrize("address", ["localhost:8080", "ftp://host", "http://", ""])
def test_an_external_target_without_an_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="is no address; accepted: http://HOST"):
        ExternalTarget(address)


def test_a_missing_ca_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentNotReadyError, match="cannot use the ca bundle"):
        ExternalTarget("https://127.0.0.1", ca_bundle=tmp_path / "none.pem")


def test_nothing_is_started_beside_an_external_target() -> None:
    running = RunningStack(base_url="http://127.0.0.1:1")
    assert running.dead() == ()
    with pytest.raises(UsageError, match="beside an external target"):
        running.start_extra("prometheus", ["prometheus"], "http://127.0.0.1:2/-/ready")


def test_an_external_target_that_never_answers_is_given_up(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = ExternalTarget("http://shop.test", ready_timeout_s=3.0, clock=clock)
    monkeypatch.setattr(ExternalTarget, "_ask", lambda _self, _parts: "connection refused")
    started = clock.monotonic()
    with pytest.raises(TargetNotReadyError, match=r"did not answer within 3s: connection refused"):
        target.start()
    assert 3.0 <= clock.monotonic() - started < 3.6
