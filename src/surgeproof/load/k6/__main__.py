"""Run the driver as a program."""

from __future__ import annotations

import sys

from surgeproof.load.k6.driver import main

if __name__ == "__main__":
    sys.exit(main())
