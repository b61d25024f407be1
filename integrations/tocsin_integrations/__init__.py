"""What Tocsin ships to talk to the world: sources of alerts, and channels to people."""
