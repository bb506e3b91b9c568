"""Correctness after the run: what was acknowledged must be there, once."""
