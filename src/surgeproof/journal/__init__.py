"""The journal: a run's folder, its events and its samples. The only truth about a run."""
