"""TwiML, Twilio's XML: what is said on a call or sent as a reply (https://www.twilio.com/docs/voice/twiml)."""

from __future__ import annotations

from twilio.twiml.messaging_response import MessagingResponse
from twilio.twiml.voice_response import Gather, VoiceResponse

from tocsin_integrations.common.gsm7 import fit

MENU_ROUNDS = 3
SPOKEN = 1500  # characters of one Say: about two minutes of speech


def sms_reply(text: str | None) -> str:
    """TwiML that answers an SMS; None: says nothing."""
    response = MessagingResponse()
    if text:
        response.message(fit(_speakable(text), segments=4))
    return str(response)


def voice_menu(text: str, action_url: str, goodbye: str = "Nobody pressed a key. Goodbye.") -> str:
    """TwiML that says `text` and waits for one key, three times over, then hangs up.

    A key press interrupts the speech and is posted to `action_url` as Digits. `#` and `*` count as keys.
    """
    response = VoiceResponse()
    said = _speakable(text)[:SPOKEN]
    for _ in range(MENU_ROUNDS):
        gather = Gather(input="dtmf", num_digits=1, finish_on_key="", timeout=5, method="POST", action=action_url)
        gather.say(said)
        response.append(gather)
    return _farewell(response, goodbye)


def voice_goodbye(text: str) -> str:
    """TwiML that says `text` and hangs up."""
    return _farewell(VoiceResponse(), text)


def _farewell(response: VoiceResponse, text: str) -> str:
    response.say(_speakable(text)[:SPOKEN])
    response.hangup()
    return str(response)


def _speakable(text: str) -> str:
    """The text without what XML 1.0 cannot hold."""
    return "".join(c for c in text if c in "\n\t" or " " <= c < "\ud800" or "\ue000" <= c < "\ufffe" or c > "\uffff")
