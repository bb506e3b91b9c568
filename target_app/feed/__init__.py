"""The feed service: timelines pushed to, celebrities pulled in, ranked on the way out."""
