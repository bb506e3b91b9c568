"""A harness in small, run as a process of its own by the guardian's tests and killed there.

``drill_harness.py FOLDER API_URL [TOXIPROXY_SERVER]``: starts a guardian, applies two faults,
starts two sleepers (one deaf to SIGTERM, with a child in a session of its own), prints one JSON
line with all pids, and does what stdin says: ``bye``, ``raise``, or waits to be killed. With
TOXIPROXY_SERVER it runs that server itself, guarded, on the port of API_URL.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from surgeproof.clock import SystemClock
from surgeproof.faults.guardian import Guardian, GuardianLink
from surgeproof.faults.injector import FaultInjector
from surgeproof.faults.toxiproxy import ToxiproxyServer
from surgeproof.journal.events import EventLog
from surgeproof.model.plan import Fault

DEAF = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen(["sleep", "600"], start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
"""


def start(
    guardian: GuardianLink, name: str, *command: str, output: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        guardian.wrap(command, name),
        stdin=subprocess.DEVNULL,
        # Never a pipe for a server: it would die of its first line after the harness is gone.
        stdout=output,
        start_new_session=True,
    )


def rehearse(folder: Path, api_url: str, binary: str | None, guardian: GuardianLink) -> str:
    clock = SystemClock()
    events = EventLog(folder / "events.jsonl", clock, clock.monotonic())
    pids = {"guardian": guardian.pid}
    if binary:
        port = api_url.rpartition(":")[2]
        server_process = start(guardian, "toxiproxy", binary, "-host", "127.0.0.1", "-port", port)
        pids["toxiproxy"] = server_process.pid
    server = ToxiproxyServer(api_url)
    until = time.monotonic() + 15
    while not server.running() and time.monotonic() < until:
        time.sleep(0.02)
    for name in ("slow-edge", "down-edge"):
        server.create_proxy(name, "127.0.0.1:9")
    pids["plain"] = start(guardian, "plain", "sleep", "600").pid
    deaf = start(guardian, "deaf", sys.executable, "-c", DEAF, output=subprocess.PIPE)
    assert deaf.stdout is not None
    pids["deaf"] = deaf.pid
    # Its line also says that it is deaf by now.
    pids["deaf's child"] = int(deaf.stdout.readline())
    injector = FaultInjector(server, "run-abc123", events, guardian, clock)
    injector.apply(Fault("slow", "slow-edge", "latency", 0.0, 60.0, {"latency": 50}))
    injector.apply(Fault("off", "down-edge", "down", 0.0, 60.0, {}))
    print(json.dumps(pids), flush=True)
    return sys.stdin.readline().strip()


def main(folder: Path, api_url: str, binary: str | None) -> None:
    with Guardian.start(folder) as guardian:
        if rehearse(folder, api_url, binary, guardian) == "raise":
            raise KeyboardInterrupt


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None)
