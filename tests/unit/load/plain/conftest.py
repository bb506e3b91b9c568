"""Locust without its patching: the modules that need it are tested in an ordinary process."""

from __future__ import annotations

import os
from unittest import mock

# Importing Locust patches the whole process for gevent, and this process runs all unit tests.
with mock.patch.dict(os.environ, {"LOCUST_SKIP_MONKEY_PATCH": "1"}):
    import locust  # noqa: F401
