"""The bare server answers and ends with its starter; the measurement works on this machine."""

from __future__ import annotations

import json
import socket
import subprocess
import sys

import pytest

pytestmark = pytest.mark.integration

PATIENCE_S = 30.0


def test_the_bare_server_answers_every_request_of_a_bunch_and_ends_with_its_starter() -> None:
    server = subprocess.Popen(
        [sys.executable, "-m", "surgeproof.load.yardstick.server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as link:
            whole = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
            link.sendall(whole + whole + whole[:9])
            link.sendall(whole[9:])
            answers = b""
            while answers.count(b"x" * 1024) < 3:
                answers += link.recv(65536)
        assert answers.count(b"HTTP/1.1 200 OK") == 3
        server.communicate(timeout=PATIENCE_S)  # closes its standard input
        assert server.returncode == 0
    finally:
        server.kill()
        server.wait(PATIENCE_S)


@pytest.mark.full
def test_doctor_measures_what_this_machine_can_send() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "surgeproof", "doctor", "--load", "--json"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    for kind in ("requests", "journeys"):
        assert found[kind]["ceiling_per_s"] > 0
        rates = [step["rate_per_s"] for step in found[kind]["steps"]]
        assert rates == sorted(rates)
        assert rates[-1] < found[kind]["ceiling_per_s"]
    assert found["ports_limit"] > 1000
