"""Former place of Twilio's SMS channel: an installation made before the move names it, and must go on paging."""

from tocsin_integrations.channels.twilio.sms import CHANNEL

__all__ = ["CHANNEL"]
