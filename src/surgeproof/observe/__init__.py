"""What the target's own metrics say: scrape, Prometheus, dashboards and rules."""
