"""Integrations that Tocsin ships: sources of alerts, and channels to people."""
