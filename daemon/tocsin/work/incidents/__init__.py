"""What people and time do to incidents: actions, due timers, Tocsin's alerts about itself."""
