"""k6's exit codes, in k6's words and as ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["K6_EXITS", "K6Exit", "exit_of"]


@dataclass(frozen=True, slots=True)
class K6Exit:
    """What an exit code of k6 means. ``ours`` is 0 where the load was driven to its end."""

    words: str
    ours: int


# 2: the plan's script is at fault; 6: this machine; 7: the load was not driven as asked.
K6_EXITS: Mapping[int, K6Exit] = MappingProxyType(
    {
        0: K6Exit("the run is over", 0),
        97: K6Exit("a cloud run failed", 7),
        98: K6Exit("the progress of a cloud run is not known", 7),
        99: K6Exit("a threshold of k6 was crossed", 0),
        100: K6Exit("setup() took too long", 6),
        101: K6Exit("teardown() took too long", 0),
        102: K6Exit("something took too long", 7),
        103: K6Exit("k6's engine failed", 7),
        104: K6Exit("the script's options are not valid", 2),
        105: K6Exit("k6 was stopped from outside", 7),
        106: K6Exit("k6's API could not be started", 6),
        107: K6Exit("the script threw an exception", 2),
        108: K6Exit("the script aborted the run", 7),
        109: K6Exit("k6 itself crashed", 7),
        110: K6Exit("the script marked the run as failed", 0),
    }
)


def exit_of(code: int, *, begun: bool) -> K6Exit:
    """Return what an exit code means; ``begun`` says whether the run had begun.

    A script that aborts while it prepares says that the target is not ready.
    """
    if code < 0:
        return K6Exit(f"k6 was killed by signal {-code}", 7)
    if code == 108 and not begun:
        return K6Exit("the script aborted its preparation", 6)
    return K6_EXITS.get(code, K6Exit(f"k6 ended with {code}, which it does not document", 6))
