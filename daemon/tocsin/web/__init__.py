"""The doors: everything that speaks HTTP to the daemon. Nothing imports this package but the wiring."""
