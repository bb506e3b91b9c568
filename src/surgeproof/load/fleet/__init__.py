"""One load from several processes: a Locust master that deals, and workers that send.

`dealing` and `roster` decide (no I/O, no clock of their own), `messages` is what is said,
`master` and `worker` say it over Locust's own connections, `shipment` and `fleet_journal` carry
what was measured to the master's disk. How it fits together: `docs/distributed.md`.
"""
