"""Prints the file to load beside a plain locustfile: ``locust -f mine.py,$(python -m …)``."""

from __future__ import annotations

from surgeproof.load.plain import DRIVER_FILE

if __name__ == "__main__":
    print(DRIVER_FILE)
