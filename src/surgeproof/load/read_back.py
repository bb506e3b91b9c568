"""Reading the ledger back: ``python -m surgeproof.load.read_back --order load.json``.

For every write that was acknowledged, or whose fate is unknown, the scenario's ``read_back`` says
how often a fresh reader finds it now. Those not found are asked for again for some seconds: a
write that turns up late is stale, not lost. Writes ``<run>/read_back.json``, the run's folder
being that of the samples folder: ``{kind: {key: [first, last]}}`` with null for a read that failed.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import inspect
import json
import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from surgeproof.errors import SurgeproofError, UsageError

if TYPE_CHECKING:
    from surgeproof.load.handover import LoadOrder
    from surgeproof.load.user import OpenLoopUser

__all__ = ["Key", "find_keys", "main", "read_all"]

_LOG = logging.getLogger("surgeproof.load")
_ATONCE = 20
_PATIENCE_S = 5.0
_PAUSE_S = 0.25

Key = tuple[str, str]
Reader = Callable[[str, str], Awaitable[int]]


def find_keys(samples: Path) -> list[Key]:
    """Return (kind, key) of every journalled write that may have happened, once each."""
    keys: dict[Key, None] = {}
    for path in sorted(samples.glob("ledger-*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue  # cut by a kill
            if row["outcome"] in {"ok", "info"}:
                keys[str(row["kind"]), str(row["key"])] = None
    return list(keys)


async def read_all(
    reader: Reader,
    keys: Sequence[Key],
    *,
    patience_s: float = _PATIENCE_S,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> dict[Key, tuple[int | None, int | None]]:
    """Return what the first and the last read of each key found.

    Keys that are not found, or whose read fails, are read again until ``patience_s`` is over.
    """
    deadline = monotonic() + patience_s
    first = await _round(reader, keys)
    last = dict(first)
    while (missing := [key for key in keys if not last[key]]) and monotonic() < deadline:
        await sleep(_PAUSE_S)
        for key, found in (await _round(reader, missing)).items():
            # A read that fails now does not undo what an earlier one has seen.
            last[key] = found if found is not None else last[key]
    return {key: (first[key], last[key]) for key in keys}


async def _round(reader: Reader, keys: Sequence[Key]) -> dict[Key, int | None]:
    places = asyncio.Semaphore(_ATONCE)

    async def read(key: Key) -> int | None:
        async with places:
            try:
                return await reader(*key)
            except Exception as error:  # noqa: BLE001 - the border to the scenario's code
                _LOG.warning("cannot read back %s %s: %r", *key, error)
                return None

    return dict(zip(keys, await asyncio.gather(*map(read, keys)), strict=True))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as a program; returns the exit code."""
    parser = argparse.ArgumentParser(prog="surgeproof.load.read_back", description=__doc__)
    parser.add_argument("--order", type=Path, required=True, help="the run's load.json")
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(message)s")
    # Locust would patch sockets and threads for gevent on import; here plain asyncio is at work.
    os.environ["LOCUST_SKIP_MONKEY_PATCH"] = "1"
    try:
        _read_order(options.order)
    except SurgeproofError as error:
        _LOG.error("%s", error)
        return error.exit_code
    return 0


def _read_order(path: Path) -> None:
    # Imported here, after the variable above is set: the user class imports Locust.
    from surgeproof.load.handover import LoadOrder  # noqa: PLC0415

    order = LoadOrder.read(path)
    if order.samples is None:
        raise UsageError(f"{path} has no samples folder, so there is no ledger to read back")
    keys = find_keys(order.samples)
    findings = asyncio.run(_read_target(order, keys)) if keys else {}
    result: dict[str, dict[str, tuple[int | None, int | None]]] = {
        kind: {} for kind in order.ledger_kinds
    }
    for (kind, key), found in findings.items():
        result.setdefault(kind, {})[key] = found
    target = order.samples.parent / "read_back.json"
    unfinished = target.with_suffix(".part")
    unfinished.write_text(json.dumps(result, indent=1), encoding="utf-8")
    unfinished.replace(target)


async def _read_target(
    order: LoadOrder, keys: Sequence[Key]
) -> dict[Key, tuple[int | None, int | None]]:
    from locust.env import Environment  # noqa: PLC0415 - see main

    from surgeproof.load.engine import connected  # noqa: PLC0415
    from surgeproof.load.handover import headers_from  # noqa: PLC0415

    user = user_class_of(order.load.file)(Environment())
    async with connected(order, user, headers_from(os.environ)):
        await user.prepare()
        return await read_all(user.read_back, keys)


def user_class_of(path: Path) -> type[OpenLoopUser]:
    """Import a scenario file and return its user class.

    Raises:
        UsageError: the file cannot be imported, or has not exactly one such class.
    """
    from surgeproof.load.user import OpenLoopUser  # noqa: PLC0415 - see main

    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise UsageError(f"{path} is no Python file; accepted: the scenario file of the plan")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    sys.path.insert(0, str(path.parent))
    spec.loader.exec_module(module)
    found = [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, OpenLoopUser) and not value.abstract
    ]
    if len(found) != 1:
        names = ", ".join(each.__name__ for each in found) or "none"
        raise UsageError(
            f"{path} needs exactly one OpenLoopUser class that is not abstract: {names}"
        )
    return found[0]


if __name__ == "__main__":
    sys.exit(main())
