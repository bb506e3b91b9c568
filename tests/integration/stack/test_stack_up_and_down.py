"""The whole driver on real servers: what is up, what is told to whom, and that nothing stays."""

from __future__ import annotations

import http.client
import json
import socket
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from surgeproof.stack.postgres_wire import accepts, execute
from surgeproof.stack.probes import answers_ping, get

pytestmark = pytest.mark.integration


def answered(url: str) -> dict[str, Any]:
    answer = get(url, timeout_s=5.0)
    assert answer is not None, url
    assert answer[0] == 200, answer
    found = json.loads(answer[1])
    assert isinstance(found, dict)
    return found


def test_every_server_is_real_and_reached_through_its_proxy(workshop: Any) -> None:
    stack, run_folder = workshop.stack(env={"APP_EXTRA": "from the plan"})
    with stack as running:
        told = answered(f"{running.base_url}/environment")
        assert told["APP_EXTRA"] == "from the plan"
        assert told["APP_DATABASE"] == "small"
        edges = json.loads(Path(told["APP_EDGES"]).read_text(encoding="utf-8"))
        assert set(edges) == {"echo-pg", "echo-cache", "echo-stream"}
        assert {name: at.port for name, at in running.edges.items()} == {
            name: at["port"] for name, at in edges.items()
        }
        assert accepts(edges["echo-pg"]["port"], "app", "small")
        assert answers_ping(edges["echo-cache"]["port"])(0)
        stream = socket.create_connection(("127.0.0.1", edges["echo-stream"]["port"]), timeout=2)
        with stream:
            assert b'"jetstream":true' in stream.recv(4096)
        proxies = answered(f"{running.toxiproxy_url}/proxies")
        assert {proxy["listen"] for proxy in proxies.values()} == {
            str(at) for at in running.edges.values()
        }
        assert running.dead() == ()
        assert set(running.metrics_urls) == {"echo", "proxies", "entry"}
    assert "echo begins" in (run_folder.logs / "echo.log").read_text(encoding="utf-8")
    assert answered_from(run_folder.path / "stack.json")["base_url"] == running.base_url


def answered_from(path: Path) -> dict[str, Any]:
    found = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def test_committed_rows_wait_for_the_disk(workshop: Any) -> None:
    stack, run_folder = workshop.stack()
    with stack as running:
        port = running.ports["database"]
        # Each line raises, and so fails the test, unless the setting is as it should be.
        for setting, wanted in (("fsync", "on"), ("synchronous_commit", "on")):
            execute(
                port,
                "app",
                "small",
                f"DO $$ BEGIN ASSERT current_setting('{setting}') = '{wanted}'; END $$",
            )
        execute(
            port, "app", "small", "DO $$ BEGIN ASSERT (SELECT count(*) FROM seeded) = 1; END $$"
        )
    assert not (run_folder.logs / "entry.log").read_text(encoding="utf-8").count("[error]")


def test_nothing_is_left_after_the_stop(workshop: Any) -> None:
    stack, _ = workshop.stack()
    with stack as running:
        pids = [pid for _, pid in running.processes]
        family = [one for pid in pids for one in psutil.Process(pid).children(recursive=True)]
        assert family, "postgresql has processes of its own"
    for process in [*pids, *(one.pid for one in family)]:
        assert not psutil.pid_exists(process)
    assert set(pids) <= set(workshop.guardian.gone_pids)
    assert len(workshop.guardian.gone_pids) == len(workshop.guardian.wrapped)
    assert list((workshop.cache / "runs").iterdir()) == []
    for port in running.ports.values():
        with socket.socket() as probe:
            # Closed connections may linger at the port; a listener may not.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            probe.listen()


def test_the_second_start_copies_the_database_and_does_not_seed(workshop: Any) -> None:
    runs = workshop.folder / "seed-runs"
    for _ in range(2):
        stack, _folder = workshop.stack(seed=4242)
        with stack as running:
            execute(running.ports["database"], "app", "small", "DELETE FROM seeded")
    assert running.database_was_cached
    assert runs.read_text(encoding="utf-8").split() == ["4242"]
    # What one run writes, the next does not see.
    stack, _folder = workshop.stack(seed=4242)
    with stack as running:
        check = "DO $$ BEGIN ASSERT (SELECT count(*) FROM seeded) = 1; END $$"
        execute(running.ports["database"], "app", "small", check)


def test_another_seed_or_another_seeding_file_is_another_database(workshop: Any) -> None:
    for change in ("plain", "another seed", "another file"):
        if change == "another file":
            seed_file = workshop.folder / "seed.py"
            workshop.write("seed.py", seed_file.read_text(encoding="utf-8") + "\n# changed\n")
        stack, _ = workshop.stack(seed=8 if change == "another seed" else 7)
        with stack as running:
            pass
    runs = (workshop.folder / "seed-runs").read_text(encoding="utf-8").split()
    assert runs == ["7", "8", "7"]
    assert running.database_was_cached is False


def test_two_stacks_at_once_do_not_collide(workshop: Any) -> None:
    first, _ = workshop.stack(seed=5, env={"APP_EXTRA": "first"})
    second, _ = workshop.stack(seed=5, env={"APP_EXTRA": "second"})
    with first as one, second as other:
        assert set(one.ports.values()).isdisjoint(other.ports.values())
        assert answered(f"{one.base_url}/environment")["APP_EXTRA"] == "first"
        assert answered(f"{other.base_url}/environment")["APP_EXTRA"] == "second"
        execute(one.ports["database"], "app", "small", "DELETE FROM seeded")
        check = "DO $$ BEGIN ASSERT (SELECT count(*) FROM seeded) = 1; END $$"
        execute(other.ports["database"], "app", "small", check)
    assert list((workshop.cache / "runs").iterdir()) == []


def test_a_disabled_proxy_comes_back_on_its_own_port(workshop: Any) -> None:
    """While a fault has the listener closed, the port is still held for it."""
    stack, _ = workshop.stack()
    with stack as running:
        port = running.edges["echo-cache"].port
        link = http.client.HTTPConnection("127.0.0.1", running.ports["proxies"], timeout=5)
        for enabled in (False, True):
            link.request("PATCH", "/proxies/echo-cache", json.dumps({"enabled": enabled}))
            answer = link.getresponse()
            answer.read()
            assert answer.status == 200
            assert answers_ping(port)(0) is enabled
            with socket.socket() as thief, pytest.raises(OSError, match="in use"):
                thief.bind(("127.0.0.1", port))
        link.close()


def test_an_extra_server_starts_beside_the_stack_and_ends_with_it(
    workshop: Any, only_echo: str
) -> None:
    stack, run_folder = workshop.stack(only_echo)
    with stack as running, socket.socket() as chooser:
        chooser.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        chooser.bind(("127.0.0.1", 0))
        port = chooser.getsockname()[1]
        command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
        pid = running.start_extra("extra", command, f"http://127.0.0.1:{port}/")
        assert psutil.pid_exists(pid)
    assert not psutil.pid_exists(pid)
    assert (run_folder.logs / "extra.log").exists()


def test_secrets_of_the_harness_do_not_reach_the_target(workshop: Any, only_echo: str) -> None:
    environ = {"PATH": "/usr/bin:/bin", "SURGEPROOF_HEADERS": "a secret"}
    stack, _ = workshop.stack(only_echo, environ=environ)
    with stack as running:
        told = answered(f"{running.base_url}/environment")
    assert not [name for name in told if name.startswith("SURGEPROOF")]


def test_a_process_that_ignores_the_stop_signal_is_killed(workshop: Any, only_echo: str) -> None:
    deaf = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    workshop.write("echo.py", deaf + (workshop.folder / "echo.py").read_text(encoding="utf-8"))
    stack, _ = workshop.stack(only_echo)
    with stack as running:
        ((_, pid),) = running.processes
        stopping = time.monotonic()
    # Two seconds of grace, then SIGKILL; the rest is room for a busy machine.
    assert 1.9 < time.monotonic() - stopping < 10
    assert not psutil.pid_exists(pid)


def test_children_of_a_process_end_with_it(workshop: Any, only_echo: str) -> None:
    parent = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print('child', child.pid, flush=True)\n"
    )
    workshop.write("echo.py", parent + (workshop.folder / "echo.py").read_text(encoding="utf-8"))
    stack, run_folder = workshop.stack(only_echo)
    with stack:
        words = (run_folder.logs / "echo.log").read_text(encoding="utf-8").split()
        child = psutil.Process(int(words[words.index("child") + 1]))
        assert child.is_running()
    child.wait(timeout=5)


def test_the_death_of_a_process_is_noticed(workshop: Any, only_echo: str) -> None:
    stack, _ = workshop.stack(only_echo)
    with stack as running:
        ((name, pid),) = running.processes
        psutil.Process(pid).kill()
        deadline = time.monotonic() + 5
        while not running.dead() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert running.dead() == ((name, pid),)
