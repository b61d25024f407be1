"""Former place of Twilio's voice channel: an installation made before the move names it, and must go on paging."""

from tocsin_integrations.channels.twilio.voice import CHANNEL

__all__ = ["CHANNEL"]
