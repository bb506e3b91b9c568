"""The side process: three small services that a real app would buy or run apart."""

from __future__ import annotations

import os
import sys

from target_app.serving import Service, run_app
from target_app.settings import Settings, SettingsError
from target_app.side.media import Media
from target_app.side.moderation import Moderation
from target_app.side.push import PushSink
from target_app.side.settings import SideSettings
from target_app.side.store import MediaStore

__all__ = ["main"]


def main(settings: Settings) -> int:
    """Serve until SIGTERM and return the exit code."""
    try:
        side = SideSettings.from_environment(os.environ, settings.log_dir)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    service = Service(settings, trusts_callers=True)
    parts = (
        Media(MediaStore(side.media_dir), service),
        Moderation(side.moderation_cost_s),
        PushSink(side, seed=settings.seed, clock=service.clock),
    )
    routes = [route for part in parts for route in part.routes()]
    return run_app(service.application(routes), settings, service.log)
