"""The ledger: acknowledged writes against what a fresh reader finds after the run.

The generator journals each write (``samples/ledger-<n>.jsonl``), the read-back its findings
(``read_back.json``); this module only compares them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from surgeproof.errors import FormatError
from surgeproof.model.result import LedgerCounts

__all__ = ["Finding", "Write", "count_ledger", "read_findings", "read_writes"]

# A result names this many keys of each bad class at most; the counts are always whole.
_NAMED_KEYS = 20


@dataclass(frozen=True, slots=True)
class Write:
    """One attempt to write.

    ``outcome`` is ok (acknowledged), fail (surely not done) or info (its fate is unknown).
    """

    kind: str
    key: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Finding:
    """How many times a key was found by the first and by the last read; None: not read."""

    first: int | None
    last: int | None


def read_writes(samples: Path) -> Iterator[Write]:
    """Yield the writes journalled under a samples folder; a line cut by a crash is left out."""
    for path in sorted(samples.glob("ledger-*.jsonl")):
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                try:
                    data = json.loads(line)
                except ValueError:
                    continue
                yield Write(str(data["kind"]), str(data["key"]), str(data["outcome"]))


def read_findings(path: Path) -> dict[str, dict[str, Finding]]:
    """Return what the read-back found, by kind and key (empty if it never ran).

    Raises:
        FormatError: the file is not a read-back.
    """
    if not path.exists():
        return {}
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return {
            str(kind): {str(key): Finding(first, last) for key, (first, last) in keys.items()}
            for kind, keys in data.items()
        }
    except (ValueError, AttributeError, TypeError) as error:
        raise FormatError(f"{path} is no read-back: {error}") from error


def count_ledger(
    writes: Iterable[Write],
    findings: Mapping[str, Mapping[str, Finding]],
    kinds: Sequence[str],
) -> dict[str, LedgerCounts]:
    """Return the counts of each kind in ``kinds``, Jepsen's classes in a first cut.

    A key that was tried several times counts once: acknowledged if any attempt was, else
    indefinite if any attempt's fate is unknown. ``duplicated`` looks at every key, for an
    indefinite write that happened twice is as wrong as an acknowledged one.
    """
    fates: dict[str, dict[str, str]] = {kind: {} for kind in kinds}
    rank = {"fail": 0, "info": 1, "ok": 2}
    for write in writes:
        keys = fates.setdefault(write.kind, {})
        known = keys.get(write.key, "fail")
        keys[write.key] = max(known, write.outcome, key=lambda outcome: rank[outcome])
    return {kind: _count_kind(keys, findings.get(kind, {})) for kind, keys in fates.items()}


def _count_kind(fates: Mapping[str, str], findings: Mapping[str, Finding]) -> LedgerCounts:
    unknown = Finding(None, None)
    acked = {key: findings.get(key, unknown) for key, fate in fates.items() if fate == "ok"}
    indefinite = {key: findings.get(key, unknown) for key, fate in fates.items() if fate == "info"}
    lost = sorted(key for key, found in acked.items() if found.last == 0)
    doubled = sorted(
        key
        for key, found in (acked | indefinite).items()
        if found.last is not None and found.last > 1
    )
    return LedgerCounts(
        acked=len(acked),
        present=sum(1 for found in acked.values() if found.last),
        lost=len(lost),
        stale=sum(1 for found in acked.values() if found.first == 0 and found.last),
        duplicated=len(doubled),
        indefinite=len(indefinite),
        recovered=sum(1 for found in indefinite.values() if found.last),
        unread=sum(1 for found in acked.values() if found.last is None),
        lost_keys=tuple(lost[:_NAMED_KEYS]),
        duplicated_keys=tuple(doubled[:_NAMED_KEYS]),
    )
