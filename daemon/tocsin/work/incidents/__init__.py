"""Incidents changed by people and by time: actions, due timers, Tocsin's alerts about itself."""
