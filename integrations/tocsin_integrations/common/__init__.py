"""Helpers that several sources or channels share."""
