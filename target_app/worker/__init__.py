"""The worker: from the outbox into the stream, from the stream into timelines and trends."""
