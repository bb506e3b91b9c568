"""Launch day's users on one post: reads, likes and replies go where everybody looks."""

from __future__ import annotations

from dataclasses import replace

import launch_day

from surgeproof.load import Zipf

# The upper end of what is usual for read-heavy caches (twitter/cache-trace, March 2020: 1.0 to
# 2.7, most of them below 1.7): more than two fifths of all requests for posts go to the first.
VIRAL_ALPHA = 1.6


class ViralPost(launch_day.LaunchDay):
    """As on launch day, with a steeper popularity of posts."""

    async def prepare(self) -> None:
        """Prepare as ever, and bend the popularity."""
        await super().prepare()
        self.shelf = replace(self.shelf, post_rank=Zipf(len(self.shelf.posts), VIRAL_ALPHA))
