"""Benchmarks of the load generator: ``python -m benchmarks``. See `docs/benchmarks.md`."""
