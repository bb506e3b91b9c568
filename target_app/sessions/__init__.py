"""Who a request speaks for: what every public process needs to verify tokens by itself."""

from target_app.sessions.bearer import Sessions
from target_app.sessions.keys import KeyKeeper

__all__ = ["KeyKeeper", "Sessions"]
