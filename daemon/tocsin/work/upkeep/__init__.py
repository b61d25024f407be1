"""Housekeeping, readiness, the clock, late duties and API tokens."""
