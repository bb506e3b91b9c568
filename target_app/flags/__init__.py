"""Feature flags: a file in flagd's format, read again when it changes, behind OpenFeature."""

from target_app.flags.flags import Flags
from target_app.flags.model import FlagFileError

__all__ = ["FlagFileError", "Flags"]
