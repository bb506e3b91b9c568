"""The composition root: the only place where load, faults and judgement meet."""
