"""Filled databases kept between runs: made once per content, copied for each run."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from surgeproof.clock import Clock
from surgeproof.errors import EnvironmentNotReadyError
from surgeproof.stack.scratch import make_private_folder

__all__ = ["DatabaseCache", "database_key"]

KEPT = 4
_LOCK_TIMEOUT_S = 180.0
_LOCK_PAUSE_S = 0.1
_COPY_TIMEOUT_S = 120.0


def database_key(words: Sequence[str], files: Sequence[Path]) -> str:
    """Return the name of the content that ``words`` (seed, versions) and ``files`` decide."""
    digest = hashlib.sha256()
    for word in words:
        digest.update(f"{len(word)}:{word}".encode())
    for file in files:
        content = file.read_bytes()
        digest.update(f"{file.name}:{len(content)}:".encode())
        digest.update(content)
    return digest.hexdigest()[:24]


class DatabaseCache:
    """Data directories by key, each made atomically: what lies under its key is whole.

    Two stacks that need the same one wait for each other, so it is made once.
    """

    def __init__(self, root: Path, clock: Clock) -> None:
        self._folder = root / "databases"
        self._clock = clock

    def provide(self, key: str, make: Callable[[Path], None], destination: Path) -> bool:
        """Copy the data directory ``key`` to ``destination``; tell whether it was there already.

        ``make`` is called with a path that does not exist, and leaves a whole directory there.

        Raises:
            EnvironmentNotReadyError: it cannot be copied (a full disk), or another stack holds
                its lock for longer than three minutes.
        """
        make_private_folder(self._folder)
        kept = self._folder / key
        with self._locked(key):
            hit = kept.is_dir()
            if not hit:
                # Under the lock nobody else makes this key: what lies here was left by a crash.
                unfinished = self._folder / f".making-{key}"
                shutil.rmtree(unfinished, ignore_errors=True)
                try:
                    make(unfinished)
                    unfinished.rename(kept)
                except BaseException:
                    shutil.rmtree(unfinished, ignore_errors=True)
                    raise
            _copy(kept, destination)
            os.utime(kept)
        self._prune()
        return hit

    def _prune(self) -> None:
        """Remove all but the last used; one that is being copied is left for another time."""
        entries = [entry for entry in self._folder.iterdir() if entry.is_dir()]
        entries.sort(key=_used_at, reverse=True)
        for old in entries[KEPT:]:
            key = old.name.removeprefix(".making-")
            with contextlib.suppress(EnvironmentNotReadyError), self._locked(key, timeout_s=0.0):
                shutil.rmtree(old, ignore_errors=True)
                (self._folder / f"{key}.lock").unlink(missing_ok=True)

    @contextlib.contextmanager
    def _locked(self, key: str, timeout_s: float = _LOCK_TIMEOUT_S) -> Iterator[None]:
        path = self._folder / f"{key}.lock"
        deadline = self._clock.monotonic() + timeout_s
        while True:
            file = path.open("a")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Pruning removes lock files: one that is no longer the path's locks nobody out.
                if _is_same_file(path, file.fileno()):
                    break
            except BlockingIOError:
                if self._clock.monotonic() >= deadline:
                    file.close()
                    message = f"another stack has been making the database in {self._folder}"
                    raise EnvironmentNotReadyError(f"{message} for over {timeout_s:g}s") from None
            file.close()
            self._clock.sleep(_LOCK_PAUSE_S)
        try:
            yield
        finally:
            file.close()


def _is_same_file(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _used_at(entry: Path) -> float:
    try:
        return entry.stat().st_mtime
    except FileNotFoundError:  # another stack prunes too
        return 0.0


def _copy(source: Path, destination: Path) -> None:
    command = ["cp", "-a", "--reflink=auto", str(source), str(destination)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_COPY_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentNotReadyError(f"cannot copy {source}: {error}") from error
    if done.returncode != 0:
        raise EnvironmentNotReadyError(f"cannot copy {source}: {done.stderr.strip()}")
