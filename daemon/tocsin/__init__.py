"""Tocsin: the on-call daemon that wakes the right person when systems break."""

__version__ = "0.1.0"
