"""HTTP side of the daemon: everything that listens. Nothing imports this package but the wiring."""
