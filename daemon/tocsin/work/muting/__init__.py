"""Silences, and what follows when something begins or ceases to keep alerts quiet."""
