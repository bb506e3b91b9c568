"""A stranger's workspace: a shop that runs, a Toxiproxy that it uses, and a folder of plan files.

Nothing here imports what a run consists of: `surgeproof` is started as a program, and judged by
its exit code, its output, its run folder and what it left behind.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema
import psutil
import pytest
import yaml

from surgeproof.schemas import read_schema

HERE = Path(__file__).parent
FILES = HERE / "files"
# Generous: the machine may be busy with other suites. No assertion hangs on it.
PATIENCE_S = 90.0
# What the guardian promises for everything that a run has started.
GONE_WITHIN_S = 5.0
_MARK = "SURGEPROOF_E2E_MARK"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(holds: Callable[[], object], what: str, limit_s: float = PATIENCE_S) -> None:
    """Wait until something holds, and fail the test if it never does."""
    until = time.monotonic() + limit_s
    while not holds():
        if time.monotonic() > until:
            pytest.fail(f"waited {limit_s:g} s in vain: {what}")
        time.sleep(0.02)


class Shop:
    """The shop as a process; `change` sets its habits (see `shop.Habits`)."""

    def __init__(self, token: str, certificate: tuple[Path, Path] | None = None) -> None:
        options: list[str] = []
        if certificate is not None:
            options = ["--certificate", str(certificate[0]), "--key", str(certificate[1])]
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "shop.py"), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "SHOP_TOKEN": token},
        )
        ports = json.loads(self._read_line())
        scheme = "https" if certificate is not None else "http"
        self.url = f"{scheme}://127.0.0.1:{ports['shop']}"
        self.store = f"127.0.0.1:{ports['store']}"

    def change(self, **habits: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(habits) + "\n")
        self._process.stdin.flush()
        assert self._read_line() == "ok"

    def close(self) -> None:
        # Killed: a shop that stands still would not heed anything else.
        self._process.kill()
        self._process.communicate()

    def _read_line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


class Toxiproxy:
    """A real Toxiproxy of the stranger's own, asked over its API without any client of ours."""

    def __init__(self, binary: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = subprocess.Popen(
            [binary, "-host", "127.0.0.1", "-port", str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(self._answers, "the Toxiproxy answers")

    def create(self, name: str, upstream: str) -> str:
        """Make a proxy and return the address that it listens on."""
        asked = {"name": name, "listen": "127.0.0.1:0", "upstream": upstream, "enabled": True}
        return str(self._call("/proxies", asked)["listen"])

    def toxics(self) -> dict[str, list[str]]:
        """Return the toxics of every proxy, and ``disabled`` for one that is down."""
        return {
            name: [toxic["name"] for toxic in proxy["toxics"]]
            + ([] if proxy["enabled"] else ["disabled"])
            for name, proxy in self._call("/proxies").items()
        }

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait(10)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            return bool(self._call("/version"))
        return False

    def _call(self, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(self.url + path, data=data, timeout=5) as answer:  # noqa: S310
            return json.loads(answer.read())


@dataclass
class Ended:
    """A run that is over, as a script sees it."""

    code: int
    output: str
    errors: str
    folder: Path | None

    @property
    def result(self) -> dict[str, Any]:
        assert self.folder is not None, self.told
        data: dict[str, Any] = json.loads((self.folder / "result.json").read_text())
        return data

    @property
    def reasons(self) -> list[str]:
        return [reason["code"] for reason in self.result["verdict"]["reasons"]]

    @property
    def told(self) -> str:
        return f"exit {self.code}\n{self.output}\n{self.errors}"

    def events(self, name: str) -> list[dict[str, Any]]:
        assert self.folder is not None
        lines = (self.folder / "events.jsonl").read_text().splitlines()
        return [event for event in map(json.loads, lines) if event["event"] == name]

    def wall_s(self) -> float:
        """Return the seconds from the run's first event to its last."""
        assert self.folder is not None
        lines = (self.folder / "events.jsonl").read_text().splitlines()
        return float(json.loads(lines[-1])["t_s"]) - float(json.loads(lines[0])["t_s"])


class Running:
    """A `surgeproof run` under way."""

    def __init__(self, process: subprocess.Popen[str], runs: Path) -> None:
        self.process = process
        self._runs = runs
        self._seen = set(runs.iterdir()) if runs.exists() else set()

    @property
    def folder(self) -> Path | None:
        found = set(self._runs.iterdir()) - self._seen if self._runs.exists() else set()
        return next((path for path in found if path.is_dir() and not path.is_symlink()), None)

    def wait_for(self, event: str) -> dict[str, Any]:
        """Wait until an event is in the journal and return it."""
        found: list[dict[str, Any]] = []

        def look() -> bool:
            if self.process.poll() is not None:
                pytest.fail(f"the run ended before {event}: {self.process.communicate()}")
            path = None if self.folder is None else self.folder / "events.jsonl"
            lines = path.read_text().splitlines() if path is not None and path.exists() else []
            with contextlib.suppress(ValueError):
                found.extend(line for line in map(json.loads, lines) if line["event"] == event)
            return bool(found)

        wait_until(look, f"event {event}")
        return found[0]

    def wait(self) -> Ended:
        try:
            output, errors = self.process.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            output, errors = self.process.communicate()
            pytest.fail(f"the run does not end\n{output}\n{errors}")
        return Ended(self.process.returncode, output, errors, self.folder)


@dataclass
class Stranger:
    """The stranger's folder, shop, Toxiproxy and secret; `plan` is the plan file as data."""

    folder: Path
    shop: Shop
    toxiproxy: Toxiproxy
    token: str
    plan: dict[str, Any]
    environment: dict[str, str]
    command: Sequence[str] = (sys.executable, "-m", "surgeproof")
    mark: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    def shorten(self, sale: str = "3s") -> None:
        """Leave out the fault and what belongs to it, and make the sale shorter."""
        self.plan["faults"] = []
        self.plan["gates"] = ["http.errors: rate < 1%"]
        self.plan["guards"] = []
        self.plan["load"]["phases"][1]["duration"] = sale

    def start(
        self,
        *arguments: str,
        plan: str = "plan.yaml",
        environ: Mapping[str, str] | None = None,
    ) -> Running:
        """Write the plan and start a run of it, or of another plan file."""
        self.write()
        command = [*self.command, "run", plan, "--out", str(self.runs), *arguments]
        return Running(self._popen(command, environ), self.runs)

    def run(self, *arguments: str, plan: str = "plan.yaml") -> Ended:
        """Run the plan to its end, and look for everything that every run promises."""
        ended = self.start(*arguments, plan=plan).wait()
        self.check(ended)
        return ended

    def call(self, *arguments: str) -> Ended:
        """Call any command of surgeproof in the stranger's folder."""
        process = self._popen([*self.command, *arguments], None)
        output, errors = process.communicate(timeout=PATIENCE_S)
        return Ended(process.returncode, output, errors, None)

    def write(self) -> None:
        text = yaml.safe_dump(self.plan, sort_keys=False)
        (self.folder / "plan.yaml").write_text(text)

    def check(self, ended: Ended) -> None:
        """Assert what is true of every run that has a folder, whatever became of it."""
        assert ended.folder is not None, ended.told
        jsonschema.validate(ended.result, read_schema("result"))
        assert ended.result["exit_code"] == ended.code, ended.told
        assert ended.result["verdict"]["words"] in ended.output.splitlines()[0]
        if "no_samples" not in ended.reasons:
            # Else why nothing was sent is told, and not that every gate lacks its data.
            assert all(code in ended.output for code in ended.reasons), ended.told
        report = ended.folder / "report.html"
        assert str(report.relative_to(self.folder)) in ended.output
        assert ended.result["verdict"]["words"] in report.read_text()
        for name in ("summary.md", "junit.xml", "metrics.txt", "effective.yaml"):
            assert (ended.folder / name).stat().st_size > 0
        assert (self.runs / "latest").resolve() == ended.folder.resolve()
        self.check_secret(ended)
        wait_until(lambda: not self.left_behind(), f"{self.left_behind()} end", GONE_WITHIN_S)

    def check_secret(self, ended: Ended) -> None:
        secret = self.token.encode()
        assert self.token not in ended.output + ended.errors
        assert ended.folder is not None
        files = [path for path in ended.folder.rglob("*") if path.is_file()]
        assert len(files) > 5
        assert [path for path in files if secret in path.read_bytes()] == []

    def left_behind(self) -> list[str]:
        """Return the processes that carry the mark which everything of our runs inherits."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(_MARK) == self.mark:
                    found.append(f"{process.pid} {' '.join(process.cmdline())}")
        return found

    def _popen(
        self, command: Sequence[str], environ: Mapping[str, str] | None
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env={**self.environment, _MARK: self.mark, **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def _find_toxiproxy() -> str:
    beside = Path(sys.executable).parent / "toxiproxy-server"
    found = (
        os.environ.get("SURGEPROOF_TOXIPROXY_SERVER")
        or shutil.which("toxiproxy-server")
        or (str(beside) if beside.exists() else None)
    )
    if found is None:
        reason = "no toxiproxy-server: not in SURGEPROOF_TOXIPROXY_SERVER, PATH or this Python"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@dataclass
class Workshop:
    """Makes strangers, any number of them side by side."""

    root: Path

    @contextlib.contextmanager
    def open(self, *, is_tls: bool = False) -> Iterator[Stranger]:
        """Give a stranger a folder, a shop and a Toxiproxy for a while."""
        # A secret that no file and no line of output may ever hold.
        token = f"sesame-{secrets.token_hex(16)}"
        folder = self.root / secrets.token_hex(4)
        shutil.copytree(FILES, folder)
        with contextlib.ExitStack() as opened:
            certificate = _make_certificates(folder) if is_tls else None
            shop = Shop(token, certificate)
            opened.callback(shop.close)
            toxiproxy = Toxiproxy(_find_toxiproxy())
            opened.callback(toxiproxy.close)
            shop.change(store=toxiproxy.create("shop-store", shop.store))
            # Nobody uses this one: what is done to it changes nothing.
            toxiproxy.create("shop-mail", shop.store)
            plan = yaml.safe_load((folder / "plan.yaml").read_text())
            plan["target"]["base_url"] = shop.url
            plan["target"]["toxiproxy"] = toxiproxy.url
            environment = {
                name: value
                for name, value in os.environ.items()
                if not name.startswith("SURGEPROOF_")
            }
            environment["SHOP_TOKEN"] = token
            yield Stranger(folder, shop, toxiproxy, token, plan, environment)


def _make_certificates(folder: Path) -> tuple[Path, Path]:
    """Make a CA and a certificate of 127.0.0.1 that it signed, as a stranger would by openssl."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("no openssl on PATH")
    new = [program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    new += ["-nodes", "-days", "2"]
    subject = ["-subj", "/CN=shop", "-addext", "subjectAltName=IP:127.0.0.1"]
    signed = ["-CA", "ca.pem", "-CAkey", "ca-key.pem"]
    leaf = ["-addext", "basicConstraints=critical,CA:FALSE"]
    for command in (
        [*new, "-keyout", "ca-key.pem", "-out", "ca.pem", "-subj", "/CN=a stranger's CA"],
        [*new, "-keyout", "key.pem", "-out", "certificate.pem", *subject, *leaf, *signed],
    ):
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=30)
    return folder / "certificate.pem", folder / "key.pem"


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("strangers"))


@pytest.fixture
def stranger(workshop: Workshop) -> Iterator[Stranger]:
    """A stranger whose service answers over plain HTTP."""
    with workshop.open() as made:
        yield made


@pytest.fixture
def tls_stranger(workshop: Workshop) -> Iterator[Stranger]:
    """A stranger whose service answers over TLS, with a certificate that only its CA knows."""
    with workshop.open(is_tls=True) as made:
        yield made
