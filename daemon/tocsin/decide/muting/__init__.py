"""Mutes of alerts: silences, inhibitions, maintenance windows, dependencies."""
