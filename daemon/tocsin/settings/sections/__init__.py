"""Sections of the configuration, one file each, with what they share."""
