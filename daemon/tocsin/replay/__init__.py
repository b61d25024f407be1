"""The production engine in virtual time: for trying configurations on recorded alerts, and for tests of rules."""

from tocsin.replay.engine import play

__all__ = ["play"]
