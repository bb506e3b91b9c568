"""What the reference app can do on this machine: ``python -m benchmarks.app``."""
