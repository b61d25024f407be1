"""Channels: one file per way to reach a person."""
