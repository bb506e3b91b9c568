"""The report: one run folder turned into pages, pictures and machine-readable files.

Everything here reads the run folder and nothing else, so that a run of last year, or one that was
killed half-way, can be rendered again. `surgeproof.report.render` is the way in after a run,
`surgeproof.report.live` during one.
"""
