"""What keeps an alert quiet: silences, inhibitions, maintenance windows, dependencies."""
