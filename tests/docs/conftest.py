"""What documentation is tried on: the stranger's workshop of the end-to-end tests."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

_NAME = "tests_of_a_stranger"
_PATH = Path(__file__).parents[1] / "e2e" / "stranger" / "conftest.py"

# Test folders are no packages, so the file is loaded by its path.
_SPEC = spec_from_file_location(_NAME, _PATH)
assert _SPEC is not None
assert _SPEC.loader is not None
_MODULE = module_from_spec(_SPEC)
sys.modules[_NAME] = _MODULE
_SPEC.loader.exec_module(_MODULE)

workshop = _MODULE.workshop
stranger = _MODULE.stranger
