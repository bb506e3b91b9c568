"""What the side process is told beyond the settings that all processes share."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from target_app.settings import SettingsError

__all__ = ["SideSettings"]


@dataclass(frozen=True, slots=True)
class SideSettings:
    """Where images are kept, what a check of a text costs, and how the push sink misbehaves.

    ``gone_ratio`` is the part of all devices that do not exist any more, ``busy_ratio`` the part
    of all messages that are asked to come again, ``push_latency_s`` the mean of the time taken.
    """

    media_dir: Path
    moderation_cost_s: float = 0.0
    gone_ratio: float = 0.0
    busy_ratio: float = 0.0
    push_latency_s: float = 0.0

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], log_dir: Path | None) -> SideSettings:
        """Read the variables; raise :class:`SettingsError` with every mistake.

        Images lie in ``APP_MEDIA_DIR``, else beside the logs, so that they outlive a restart of
        the process, else where temporary files do.
        """
        mistakes: list[str] = []

        def number(name: str, most: float) -> float:
            text = environ.get(name, "0")
            try:
                value = float(text)
            except ValueError:
                value = -1.0
            if not 0 <= value <= most:
                mistakes.append(f"{name} is {text!r} (accepted: a number, 0 to {most:g})")
            return value

        folder = environ.get("APP_MEDIA_DIR")
        if folder is None:
            folder = str(log_dir / "media") if log_dir is not None else tempfile.mkdtemp()
        settings = cls(
            media_dir=Path(folder),
            moderation_cost_s=number("APP_MODERATION_COST_MS", 60_000) / 1000,
            gone_ratio=number("APP_PUSH_GONE", 1),
            busy_ratio=number("APP_PUSH_BUSY", 1),
            push_latency_s=number("APP_PUSH_LATENCY_MS", 60_000) / 1000,
        )
        if mistakes:
            raise SettingsError("\n".join(mistakes))
        return settings
