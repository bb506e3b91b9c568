"""Plain Locust users (`HttpUser`, `FastHttpUser`, any `User`) under the plan's arrivals.

Their classes are taken as they are: each arrival of the schedule is one task of theirs, run in a
greenlet on an instance from a crowd. Importing these modules imports Locust, which patches the
process for gevent; the harness itself never does.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["DRIVER_FILE"]

# What Locust loads beside the plain locustfile.
DRIVER_FILE = Path(__file__).with_name("plain_users.py")
