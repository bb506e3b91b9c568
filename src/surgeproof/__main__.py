"""`python -m surgeproof` is the command `surgeproof`."""

import sys

from surgeproof.cli import main

sys.exit(main())
