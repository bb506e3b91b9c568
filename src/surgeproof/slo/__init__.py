"""Judgement: pure functions from samples to numbers, gates and the verdict. No I/O, no clock."""
