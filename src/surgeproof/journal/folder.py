"""The run folder ``<root>/<utc>-<name>-<6 hex>/``: written in place, never moved."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from surgeproof.errors import EnvironmentNotReadyError, FormatError, UsageError

__all__ = ["RunFolder"]

_NAME = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths of one run. ``path`` exists, and so do ``samples/`` and ``logs/`` within it."""

    path: Path

    @classmethod
    def create(cls, root: Path, name: str, started_at: datetime) -> RunFolder:
        """Make a new, uniquely named folder under ``root``.

        Raises:
            EnvironmentNotReadyError: the folder cannot be written (full or read-only disk).
        """
        stamp = started_at.strftime("%Y%m%dT%H%M%SZ")
        path = root / f"{stamp}-{_NAME.sub('-', name)}-{secrets.token_hex(3)}"
        folder = cls(path.absolute())
        try:
            for part in (folder.samples, folder.logs):
                part.mkdir(parents=True)
        except OSError as error:
            message = f"cannot make the run folder {path}: {error.strerror or error}"
            raise EnvironmentNotReadyError(message) from error
        return folder

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Take an existing run's folder (or a link to it, such as ``latest``).

        Raises:
            UsageError: there is no such folder, or it is no run folder.
        """
        resolved = path.resolve()
        if not resolved.is_dir():
            raise UsageError(f"{path} is no folder; accepted: a run folder under reports/runs")
        if not (resolved / "events.jsonl").is_file():
            raise UsageError(f"{path} is no run folder: it has no events.jsonl")
        return cls(resolved)

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def samples(self) -> Path:
        return self.path / "samples"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def result(self) -> Path:
        return self.path / "result.json"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def effective(self) -> Path:
        return self.path / "effective.yaml"

    @property
    def provenance(self) -> Path:
        return self.path / "provenance.json"

    def write_json(self, name: str, data: Mapping[str, object]) -> Path:
        """Write ``data`` as a JSON file of the folder, whole or not at all."""
        return self.write_text(name, json.dumps(data, indent=2, allow_nan=False) + "\n")

    def write_text(self, name: str, text: str) -> Path:
        """Write a text file of the folder, whole or not at all."""
        path = self.path / name
        unfinished = path.with_name(path.name + ".part")
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)
        return path

    def read_json(self, name: str) -> dict[str, object]:
        """Return a JSON object of the folder.

        Raises:
            FormatError: the file is missing, or holds no JSON object.
        """
        path = self.path / name
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise FormatError(f"{path} cannot be read as JSON: {error}") from error
        if not isinstance(data, dict):
            raise FormatError(f"{path} holds no JSON object")
        return data

    def point_latest(self) -> Path:
        """Move the ``latest`` link beside the folder to it, atomically."""
        link = self.path.parent / "latest"
        fresh = self.path.parent / f".latest-{secrets.token_hex(4)}"
        fresh.symlink_to(self.path.name)
        fresh.replace(link)
        return link
