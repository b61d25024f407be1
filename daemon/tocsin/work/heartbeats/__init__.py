"""Check-ins that are awaited, and the heartbeat that Tocsin sends out itself."""
