"""The guardian process: undoes faults and ends processes when the harness dies before it could.

Run by path in an isolated interpreter (``python -I -S guardian_process.py FOLDER FIFO PID``), so
it needs the standard library only and nothing of the harness. It listens on two pipes: its stdin,
held by the harness alone, carries JSON lines; the named pipe carries ``PID NAME`` lines, which
each child of the harness writes before it becomes the program it is to be.

However the harness ends, what is open is cleaned up: faults are undone, newest first, then
processes are ended, newest first. ``bye`` only says that the harness is alive and has done so
itself; after the end of stdin without it, the harness's death, or SIGTERM nobody else will.
What it did is in ``FOLDER/guardian.jsonl``; it exits 0 if nothing is left, else 9.
"""

from __future__ import annotations

import http.client
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

# All within 5 s of the harness's death, hanging servers or not: 2 s to undo faults (plus the
# last call), up to 0.5 s to see the harness gone, 1 s between SIGTERM and SIGKILL, then the kill.
UNDO_BUDGET_S = 2.0
CALL_S = 0.6
HARNESS_EXIT_S = 0.5
TERM_GRACE_S = 1.0
KILL_GRACE_S = 0.7
# A fault on a server that hangs is tried again after the processes are ended, for so long.
LAST_TRIES_S = 15.0
POLL_S = 0.02


class Journal:
    """``guardian.jsonl``. A full disk must not keep the guardian from its work."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def write(self, action: str, **fields: object) -> None:
        line = {
            "monotonic_s": round(time.clock_gettime(time.CLOCK_MONOTONIC), 6),
            "wall_s": round(time.time(), 3),
            "action": action,
            **fields,
        }
        try:
            os.write(self._file, json.dumps(line, default=str).encode() + b"\n")
            os.fsync(self._file)
        except OSError:
            return


@dataclass(frozen=True)
class Stat:
    """What /proc says of a process; ``started``, in ticks since boot, tells reused pids apart."""

    pid: int
    parent: int
    group: int
    session: int
    started: int
    is_dead: bool


@dataclass(frozen=True)
class Process:
    """A registered process as it was when it registered."""

    pid: int
    name: str
    started: int
    leads_group: bool

    def holds(self, stat: Stat) -> bool:
        """Tell whether ``stat`` is this process or in a group or session that it leads."""
        return stat.pid == self.pid or (self.leads_group and self.pid in {stat.group, stat.session})


@dataclass
class Book:
    """What there is to clean up, by what was told; ``identify`` looks a pid up."""

    identify: Callable[[int], Stat | None]
    faults: dict[str, Mapping[str, object]] = field(default_factory=dict)
    processes: dict[int, Process] = field(default_factory=dict)
    said_bye: bool = False
    odd: list[str] = field(default_factory=list)

    def hear(self, line: bytes) -> None:
        """Take one JSON line of the harness; what cannot be read is kept in ``odd``."""
        try:
            self._obey(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self.odd.append(f"{line!r}: {error!r}")

    def _obey(self, message: Mapping[str, object]) -> None:
        kind = message["message"]
        if kind == "fault.intent":
            undo = message["undo"]
            if not isinstance(undo, dict):
                raise TypeError("undo is no object")
            self.faults[str(message["id"])] = undo
        elif kind == "fault.undone":
            self.faults.pop(str(message["id"]), None)
        elif kind == "process":
            self.register(int(str(message["pid"])), str(message["name"]))
        elif kind == "gone":
            self.processes.pop(int(str(message["pid"])), None)
        elif kind == "bye":
            self.said_bye = True
        else:
            raise ValueError(f"unknown message {kind!r}")

    def hear_child(self, line: bytes) -> None:
        """Take one ``PID NAME`` line of the named pipe."""
        pid, _, name = line.decode("utf-8", "replace").partition(" ")
        if pid.isdigit():
            self.register(int(pid), name)
        else:
            self.odd.append(repr(line))

    def register(self, pid: int, name: str) -> None:
        """Remember a process, unless it is gone already or is the guardian itself."""
        stat = self.identify(pid)
        if stat is None or stat.is_dead or pid == os.getpid():
            return
        known = self.processes.get(pid)
        if known is None or known.started != stat.started:
            self.processes.pop(pid, None)
            self.processes[pid] = Process(pid, name, stat.started, stat.group == pid)

    def open_faults(self) -> list[tuple[str, Mapping[str, object]]]:
        """Return what is not undone, newest first."""
        return list(reversed(self.faults.items()))

    def newest_first(self) -> list[Process]:
        """Return the registered processes, the last one started first.

        By their own start, not by when they were heard of: two that start together may register
        in either order. Within one tick of the kernel's clock the higher pid is the newer.
        """
        return sorted(
            self.processes.values(), key=lambda each: (each.started, each.pid), reverse=True
        )


def read_stat(pid: int) -> Stat | None:
    """Return what /proc says of a process, None if there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name, in brackets, may hold spaces and brackets itself.
    part = text.rpartition(")")[2].split()
    return Stat(pid, int(part[1]), int(part[2]), int(part[3]), int(part[19]), part[0] in "ZX")


def every_stat() -> dict[int, Stat]:
    """Return all processes of the machine by pid."""
    found = (read_stat(int(each.name)) for each in Path("/proc").iterdir() if each.name.isdigit())
    return {stat.pid: stat for stat in found if stat is not None}


def kin(roots: Iterable[Process], table: Mapping[int, Stat], spare: set[int]) -> dict[int, Stat]:
    """Return the living of ``table`` that belong to ``roots``.

    These are the roots themselves, members of the groups and sessions that they lead, and the
    descendants of all these; never the pids in ``spare``.

    The number of a dead leader is not given away while its group lives. So where its pid belongs
    to a younger process, the old group is gone and the new one is somebody else's.
    """
    genuine = [
        root for root in roots if root.pid not in table or table[root.pid].started == root.started
    ]
    found = {stat.pid for stat in table.values() if any(root.holds(stat) for root in genuine)}
    children: dict[int, list[int]] = {}
    for stat in table.values():
        children.setdefault(stat.parent, []).append(stat.pid)
    to_visit = list(found)
    while to_visit:
        for child in children.get(to_visit.pop(), ()):
            if child not in found:
                found.add(child)
                to_visit.append(child)
    return {pid: table[pid] for pid in found - spare if not table[pid].is_dead}


def send(stat: Stat, number: int) -> None:
    """Signal exactly the process that ``stat`` describes, or nobody."""
    try:
        handle = os.pidfd_open(stat.pid)
    except OSError:
        return
    try:
        # The handle is to one process for good: what it is is looked up only now.
        now = read_stat(stat.pid)
        if now is not None and now.started == stat.started:
            signal.pidfd_send_signal(handle, number)
    except OSError:
        return
    finally:
        os.close(handle)


class Cleaner:
    """Does the work once the harness is gone."""

    def __init__(self, book: Book, journal: Journal, spare: set[int]) -> None:
        self._book = book
        self._journal = journal
        self._spare = spare
        self._seen: dict[tuple[int, int], Stat] = {}
        self._asked: set[Stat] = set()

    def undo_faults(self, budget_s: float) -> None:
        """Undo open faults, newest first; go on after a failure, and try failures once more."""
        until = time.monotonic() + budget_s
        for _ in range(2):
            for name, undo in self._book.open_faults():
                left_s = until - time.monotonic()
                if left_s <= 0:
                    return
                self._undo(name, undo, min(CALL_S, left_s))

    def _undo(self, name: str, undo: Mapping[str, object], deadline_s: float) -> None:
        try:
            status = request(undo, deadline_s)
            verified = request_check(undo, deadline_s)
        except ConnectionRefusedError:
            # A Toxiproxy that is gone took its proxies and their faults with it.
            self._journal.write("fault.undone", id=name, verified=True, server="gone")
            self._book.faults.pop(name, None)
        except Exception as error:  # noqa: BLE001  # whatever it is, the next fault must be undone
            self._journal.write("fault.failed", id=name, error=f"{type(error).__name__}: {error}")
        else:
            done = verified and status in numbers(undo.get("ok"))
            action = "fault.undone" if done else "fault.failed"
            self._journal.write(action, id=name, status=status, verified=verified)
            if done:
                self._book.faults.pop(name, None)

    def end_processes(self, drain: Callable[[], None]) -> list[Stat]:
        """End every registered process with all that belongs to it; return what would not go.

        ``drain`` takes in processes that registered meanwhile.
        """
        until = time.monotonic() + TERM_GRACE_S
        self._ask()
        while self._living() and time.monotonic() < until:
            time.sleep(POLL_S)
            drain()
            self._ask()
        until = time.monotonic() + KILL_GRACE_S
        killed: set[int] = set()
        while (stubborn := self._living()) and time.monotonic() < until:
            for stat in stubborn:
                send(stat, signal.SIGKILL)
            killed.update(stat.pid for stat in stubborn)
            time.sleep(POLL_S)
            drain()
        if killed:
            self._journal.write("process.kill", pids=sorted(killed))
        return self._living()

    def _living(self) -> list[Stat]:
        """Return all that is to end and has not.

        Those once seen count for good, even where their parents died and init adopted them.
        """
        table = every_stat()
        for stat in kin(self._book.newest_first(), table, self._spare).values():
            self._seen.setdefault((stat.pid, stat.started), stat)
        return [
            stat
            for (pid, started), stat in self._seen.items()
            if pid in table and table[pid].started == started and not table[pid].is_dead
        ]

    def _ask(self) -> None:
        """Send SIGTERM, once each, to the registered processes and their groups, newest first."""
        alive = self._living()
        for process in self._book.newest_first():
            members = [stat for stat in alive if process.holds(stat) and stat not in self._asked]
            for stat in members:
                self._asked.add(stat)
                send(stat, signal.SIGTERM)
                # One that is stopped would not hear it.
                send(stat, signal.SIGCONT)
            if members:
                pids = [stat.pid for stat in members]
                self._journal.write("process.term", name=process.name, pids=pids)


def numbers(value: object) -> list[int]:
    """Return the whole numbers of a JSON list."""
    return [each for each in value if isinstance(each, int)] if isinstance(value, list) else []


def call(method: str, url: str, body: object, deadline_s: float) -> tuple[int, bytes]:
    """Return status and body of one HTTP request."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(
        parts.hostname or "", parts.port or 80, timeout=deadline_s
    )
    try:
        payload = None if body is None else json.dumps(body).encode()
        connection.request(method, parts.path, payload, {"User-Agent": "surgeproof-guardian"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def request(undo: Mapping[str, object], deadline_s: float) -> int:
    """Send the undoing call and return its status."""
    return call(str(undo["method"]), str(undo["url"]), undo.get("body"), deadline_s)[0]


def request_check(undo: Mapping[str, object], deadline_s: float) -> bool:
    """Read back whether the fault is gone; True if ``undo`` does not say how."""
    check = undo.get("check")
    if not isinstance(check, dict):
        return True
    status, text = call("GET", str(check["url"]), None, deadline_s)
    if status not in numbers(check.get("status")):
        return False
    wanted = check.get("body")
    if status != 200 or not isinstance(wanted, dict):
        return True
    shown = json.loads(text)
    return all(shown.get(key) == value for key, value in wanted.items())


def on_sigterm(number: int, frame: object) -> None:
    """Do nothing: the wake-up pipe has the signal, and the loop acts on it."""
    del number, frame


class Listener:
    """The loop: pipes, the harness's life and signals."""

    def __init__(self, book: Book, journal: Journal, fifo: Path, harness: int) -> None:
        self._book = book
        self._journal = journal
        self._buffers = {0: b""}
        os.set_blocking(0, False)
        os.mkfifo(fifo, 0o600)
        # Opened both ways: it never reads as ended, and a child never waits to open it.
        self._fifo = os.open(fifo, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._buffers[self._fifo] = b""
        self._wake, self._wake_in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._wake_in)
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, on_sigterm)
        self._harness = harness
        self._pidfd = self._watch_harness()

    def _watch_harness(self) -> int | None:
        """Return a handle that turns readable at the harness's death; None if it is dead."""
        try:
            handle = os.pidfd_open(self._harness)
        except OSError:
            return None
        # Looked up after the handle was made: the handle is the harness's, if it is our parent.
        return handle if os.getppid() == self._harness else None

    def listen(self) -> str:
        """Take in messages until the harness says bye or is gone; return the reason in words."""
        while True:
            waiting = [0, self._fifo, self._wake]
            if self._pidfd is not None:
                waiting.append(self._pidfd)
            ready, _, _ = select.select(waiting, [], [])
            ended = self._take_all()
            if self._book.said_bye:
                return "bye"
            if self._wake in ready:
                return "SIGTERM"
            if self._pidfd is None or self._pidfd in ready:
                return "the harness died"
            if ended:
                return "the harness closed its pipe"

    def await_harness(self, limit_s: float) -> None:
        """Wait until the harness is quite gone, taking in what its last children write.

        A child registers first and makes sure of its parent afterwards. So once the harness is
        gone, a child is either heard of here or ends by itself.
        """
        if self._pidfd is not None:
            select.select([self._pidfd], [], [], limit_s)
        self.take_children()

    def take_children(self) -> None:
        self._take(self._fifo, self._book.hear_child)

    def _take_all(self) -> bool:
        self.take_children()
        return self._take(0, self._book.hear)

    def _take(self, source: int, hear: Callable[[bytes], None]) -> bool:
        """Hear every whole line that is there; return whether the source has ended."""
        while True:
            try:
                block = os.read(source, 65536)
            except BlockingIOError:
                return False
            if not block:
                return True
            *lines, self._buffers[source] = (self._buffers[source] + block).split(b"\n")
            for line in lines:
                hear(line)


def clean_up(book: Book, journal: Journal, listener: Listener, reason: str) -> int:
    """Undo and end everything that is open; return the exit code."""
    journal.write(
        "ending",
        reason=reason,
        faults=[name for name, _ in book.open_faults()],
        processes=[f"{each.pid} {each.name}" for each in book.newest_first()],
        odd=book.odd,
    )
    cleaner = Cleaner(book, journal, {os.getpid(), os.getppid(), 1})
    cleaner.undo_faults(UNDO_BUDGET_S)
    if not book.said_bye:
        listener.await_harness(HARNESS_EXIT_S)
    left = cleaner.end_processes(listener.take_children)
    until = time.monotonic() + LAST_TRIES_S
    while book.faults and time.monotonic() < until:
        cleaner.undo_faults(UNDO_BUDGET_S)
        time.sleep(POLL_S)
    faults = list(book.faults)
    journal.write("ended", faults_left=faults, processes_left=[stat.pid for stat in left])
    return 9 if faults or left else 0


def main(arguments: list[str]) -> int:
    """Guard one harness until its end; arguments: folder, named pipe, the harness's pid."""
    folder, fifo, harness = Path(arguments[0]), Path(arguments[1]), int(arguments[2])
    journal = Journal(folder / "guardian.jsonl")
    book = Book(read_stat)
    listener = Listener(book, journal, fifo, harness)
    journal.write("started", pid=os.getpid(), harness=harness)
    os.write(1, b"ready\n")
    try:
        reason = listener.listen()
        if reason == "bye" and not book.faults and not book.processes:
            journal.write("bye", odd=book.odd)
            return 0
        return clean_up(book, journal, listener, reason)
    except Exception as error:
        journal.write("crashed", error=f"{type(error).__name__}: {error}")
        raise
    finally:
        fifo.unlink(missing_ok=True)


if __name__ == "__main__":
    os.umask(0o022)
    os.chdir("/")
    sys.exit(main(sys.argv[1:]))
