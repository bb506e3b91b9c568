"""Live updates: what happened, told over sockets as it happens."""
