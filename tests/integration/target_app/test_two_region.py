"""Two regions behind one entry, the second one sixty milliseconds from the database."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from surgeproof.journal.folder import RunFolder
from surgeproof.stack import ProcessStack, RunningStack, read_definition
from target_app.drain import main as drain
from target_app.entry import find_endpoint_file

STACK_FILE = Path(__file__).parents[3] / "target_app" / "stack.two-region.toml"
PATIENCE_S = 15.0


class NoGuardian:
    """The stack is taken down by its fixture."""

    def wrap(self, command: Sequence[str], name: str) -> list[str]:
        return list(command)

    def gone(self, pid: int) -> None: ...


@dataclass(frozen=True)
class Answer:
    """One answer; ``degraded`` is its marker, empty for a full one."""

    status: int
    body: dict[str, object]
    degraded: str
    took_s: float


class Regions:
    """The running stack, one user in it, and what that user asks of a region."""

    def __init__(self, stack: RunningStack, folder: Path, flags: Path) -> None:
        self.stack = stack
        self.folder = folder
        self._flags = flags
        answer = self.ask("a", "POST", "/v1/sessions", handle="u00007", password="launch-day")
        self.headers = {"Authorization": f"Bearer {answer.body['token']}"}

    def ask(self, where: str, method: str, path: str, **body: str) -> Answer:
        """Ask the gateway of a region, or the entry."""
        name = {"a": "gateway", "b": "gateway-b"}.get(where, where)
        headers = {"Content-Type": "application/json", "Idempotency-Key": uuid.uuid4().hex}
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.stack.ports[name]}{path}",
            json.dumps(body).encode() if body else None,
            headers | getattr(self, "headers", {}),
            method=method,
        )
        started_s = time.monotonic()
        try:
            with urllib.request.urlopen(request, timeout=10) as found:  # noqa: S310  # http
                status, text, sent = found.status, found.read(), found.headers
        except urllib.error.HTTPError as error:
            status, text, sent = error.code, error.read(), error.headers
        took_s = time.monotonic() - started_s
        is_json = "json" in sent.get("Content-Type", "")
        return Answer(status, json.loads(text) if is_json else {}, sent.get("Degraded", ""), took_s)

    def post(self, where: str) -> Answer:
        return self.ask(where, "POST", "/v1/posts", text="from the other side")

    @contextmanager
    def cut(self, edge: str) -> Iterator[None]:
        """Close an edge's proxy until the block ends."""
        self._switch(edge, is_open=False)
        try:
            yield
        finally:
            self._switch(edge, is_open=True)

    @contextmanager
    def broken(self, defect: str) -> Iterator[None]:
        """Switch a defect on by the flag file, which is read again when it changes."""
        before = self._flags.read_text()
        flags = json.loads(before)
        flags["flags"][f"defect.{defect}"] = {
            "state": "ENABLED",
            "variants": {"on": True, "off": False},
            "defaultVariant": "on",
        }
        self._flags.write_text(json.dumps(flags))
        try:
            yield
        finally:
            self._flags.write_text(before)

    def until(self, where: str, method: str, path: str, *, status: int) -> Answer:
        """Ask until the answer is a full one of that status."""
        started_s = time.monotonic()
        while (answer := self.ask(where, method, path)).status != status or answer.degraded:
            assert time.monotonic() - started_s < PATIENCE_S, answer
            time.sleep(0.1)
        return answer

    def until_marked(self, where: str, method: str, path: str) -> Answer:
        """Ask until what is cached no longer counts as fresh."""
        started_s = time.monotonic()
        while not (answer := self.ask(where, method, path)).degraded:
            assert time.monotonic() - started_s < PATIENCE_S, answer
            time.sleep(0.1)
        return answer

    def _switch(self, edge: str, *, is_open: bool) -> None:
        assert self.stack.toxiproxy_url is not None
        port = urlsplit(self.stack.toxiproxy_url).port
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/proxies/{edge}",
            json.dumps({"enabled": is_open}).encode(),
            method="POST",
        )
        with urllib.request.urlopen(request, timeout=10):  # noqa: S310  # http
            pass


@pytest.fixture(scope="module")
def regions(tmp_path_factory: pytest.TempPathFactory, backend_cache: Path) -> Iterator[Regions]:
    folder = tmp_path_factory.mktemp("runs")
    run = RunFolder.create(folder, "regions", datetime.now(UTC))
    flags = folder / "flags.json"
    flags.write_text((STACK_FILE.parent / "flags.json").read_text())
    stack = ProcessStack(
        read_definition(STACK_FILE),
        seed=7,
        run_folder=run,
        guardian=NoGuardian(),
        env={"APP_FLAGS": str(flags), "APP_ALLOW_DEFECTS": "1"},
        cache_dir=backend_cache,
    )
    with stack as up:
        yield Regions(up, run.path, flags)


def some_post(regions: Regions) -> int:
    """Return a post that somebody can read."""
    answer = regions.post("a")
    assert answer.status == 201, answer
    post = answer.body["post"]
    assert isinstance(post, dict)
    return int(post["id"])


def test_what_is_written_in_one_region_is_read_in_the_other(regions: Regions) -> None:
    post_id = some_post(regions)
    assert regions.until("b", "GET", f"/v1/posts/{post_id}", status=200)
    answer = regions.post("b")
    assert answer.status == 201
    # The leader is at the far end of the link: a write cannot be faster than the way there.
    assert answer.took_s >= 0.05
    post = answer.body["post"]
    assert isinstance(post, dict)
    assert regions.until("a", "GET", f"/v1/posts/{post['id']}", status=200)


def test_with_the_link_cut_the_follower_reads_stale_and_refuses_to_write(regions: Regions) -> None:
    post_id = some_post(regions)
    regions.until("b", "GET", f"/v1/posts/{post_id}", status=200)
    with regions.cut("region-link"):
        stale = regions.until_marked("b", "GET", f"/v1/posts/{post_id}")
        refused = regions.post("b")
        elsewhere = regions.post("a")
    assert stale.status == 200
    assert "region-link" in stale.degraded or "graph-pg" in stale.degraded
    assert refused.status in (502, 503)
    assert elsewhere.status == 201
    assert not elsewhere.degraded
    regions.until("b", "GET", f"/v1/posts/{post_id}", status=200)


def test_with_region_split_write_an_acknowledged_post_is_lost_when_the_link_heals(
    regions: Regions,
) -> None:
    with regions.cut("region-link"), regions.broken("region_split_write"):
        started_s = time.monotonic()
        while (split := regions.post("b")).status != 201:
            assert time.monotonic() - started_s < PATIENCE_S, split
            time.sleep(0.1)
    post = split.body["post"]
    assert isinstance(post, dict)
    regions.until("b", "GET", f"/v1/posts/{some_post(regions)}", status=200)
    assert regions.ask("a", "GET", f"/v1/posts/{post['id']}").status == 404


def test_a_region_is_drained_under_load_without_an_error(
    regions: Regions, capsys: pytest.CaptureFixture[str]
) -> None:
    statuses: Counter[int] = Counter()
    is_over = threading.Event()

    def read() -> None:
        while not is_over.is_set():
            statuses[regions.ask("envoy", "GET", "/v1/feed/home").status] += 1

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        stack = str(regions.folder / "stack.json")
        code = drain(["--stack", stack, "--region", "b", "--steps", "50,10,0", "--hold", "0.5"])
    finally:
        is_over.set()
        for reader in readers:
            reader.join()
    assert code == 0, capsys.readouterr()
    assert set(statuses) == {200}
    endpoints = find_endpoint_file(regions.stack.ports["envoy-admin"])
    assert list(endpoints.weights()) == [regions.stack.ports["gateway"]]
    endpoints.write({regions.stack.ports["gateway"]: 1, regions.stack.ports["gateway-b"]: 1})
