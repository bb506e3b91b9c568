"""Defects that can be switched on, to see whether a rehearsal finds them.

Each breaks one promise of the app in one place, as the flag ``defect.<word>``. The process does
not start with one unless ``APP_ALLOW_DEFECTS=1``: nobody gets them by mistake.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["DEFECTS", "PREFIX", "defects_of"]

PREFIX = "defect."

# Word by number, in the order of their catalogue.
DEFECTS: Mapping[str, str] = {
    "D1": "missing_timeout",
    "D2": "retry_storm",
    "D3": "unbounded_queue",
    "D4": "lost_write_on_stream_outage",
    "D5": "ack_before_commit",
    "D6": "cache_stampede",
    "D7": "block_not_honoured_cross_app",
    "D8": "stale_handle",
    "D9": "follow_revocation_race",
    "D10": "duplicate_on_retry",
    "D11": "celebrity_push",
    "D12": "breaker_stuck_open",
    "D13": "silent_fallback",
    "D14": "fail_open_moderation",
    "D15": "priority_inversion",
    "D16": "n_plus_one",
    "D17": "connection_leak",
    "D18": "fat_batch",
    "D19": "coupled_readiness",
    "D20": "sync_logging",
    "D21": "count_drift",
    "D22": "thundering_reconnect",
    "D23": "zombie_deadline",
    "D24": "poison_message",
    "D25": "region_split_write",
    "D26": "limiter_false_positive",
}


def defects_of(environ: Mapping[str, str], mistakes: list[str]) -> frozenset[str]:
    """Return the defects that ``APP_DEFECTS`` names, by word or number, separated by commas."""
    named = {each.strip() for each in environ.get("APP_DEFECTS", "").split(",") if each.strip()}
    words = {DEFECTS.get(each, each) for each in named}
    unknown = sorted(words - set(DEFECTS.values()))
    if unknown:
        accepted = ", ".join(f"{number} {word}" for number, word in DEFECTS.items())
        mistakes.append(f"APP_DEFECTS: no defect {', '.join(unknown)} (accepted: {accepted})")
    if words and environ.get("APP_ALLOW_DEFECTS") != "1":
        mistakes.append(
            f"APP_DEFECTS is {environ['APP_DEFECTS']!r}, which breaks the app on purpose "
            "(accepted only with APP_ALLOW_DEFECTS=1)"
        )
    return frozenset(words)
