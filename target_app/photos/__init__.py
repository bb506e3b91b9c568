"""Photos: the older app, on the same identity and graph as threads."""
