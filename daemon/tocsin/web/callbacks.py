"""Callbacks of providers: replies by SMS, keys pressed on the phone, delivery reports. Signed, or refused.

Nothing here acts on GET, and nothing acts before its signature is checked over the configured
public URL (never over Host, which the sender chooses).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from aiohttp import web
from multidict import MultiDict

from tocsin.model import ChannelConfig, Secret, Settings
from tocsin.web.daemon import Daemon
from tocsin.web.limits import MAX_FORM, read_body
from tocsin.web.problem_json import BASE_HEADERS, Handler, HttpProblem, guarded
from tocsin_integrations.channels.twilio import signatures, twiml

TWIML_HEADERS: Mapping[str, str] = {"Content-Type": "text/xml; charset=utf-8", **BASE_HEADERS}
MESSAGE_SIDS = ("MessageSid", "SmsSid", "SmsMessageSid")  # the second and third are older names of the first
SID = re.compile(r"[A-Z]{2}[0-9a-f]{32}")
GOODBYE = "This call is no longer needed. Goodbye."

Form = MultiDict[str]


def sms(daemon: Daemon) -> Handler:
    """POST /v1/callbacks/twilio/sms: someone texted us; the answer is TwiML, empty for strangers."""

    @guarded
    async def sms(request: web.Request) -> web.StreamResponse:
        form = await signed_form(daemon, request, "sms")
        message_id = sid_of(form, *MESSAGE_SIDS)
        reply = await daemon.answers.sms(
            form["AccountSid"],
            form.get("To", ""),
            form.get("From", ""),
            form.get("Body", ""),
            message_id,
            form.get("OptOutType", ""),
        )
        return as_xml(twiml.sms_reply(reply))

    return sms


def voice(daemon: Daemon) -> Handler:
    """POST /v1/callbacks/twilio/voice/{attempt}: the call was answered, or a key was pressed."""

    @guarded
    async def voice(request: web.Request) -> web.StreamResponse:
        form = await signed_form(daemon, request, "voice")
        call_id = sid_of(form, "CallSid")
        turn = await daemon.answers.voice(
            form["AccountSid"], request.match_info["attempt"], call_id, form.get("Digits") or None
        )
        if turn is None:
            return as_xml(twiml.voice_goodbye(GOODBYE))
        if turn.menu:
            return as_xml(twiml.voice_menu(turn.say, public_url(daemon.live.settings, request)))
        return as_xml(twiml.voice_goodbye(turn.say))

    return voice


def status(daemon: Daemon) -> Handler:
    """POST /v1/callbacks/twilio/status/{attempt}: how a message or call fares. 204, whatever it says."""

    @guarded
    async def status(request: web.Request) -> web.StreamResponse:
        form = await signed_form(daemon, request, "status")
        state = state_of(form)
        if state:
            sid = sid_of(form, *MESSAGE_SIDS, "CallSid")
            attempt, error = request.match_info["attempt"], form.get("ErrorCode") or None
            await daemon.answers.receipt(form["AccountSid"], attempt, sid, state, error)
        return web.Response(status=204, headers=BASE_HEADERS)

    return status


def sid_of(form: Form, *names: str) -> str:
    """Twilio's id of the message or call. Raises HttpProblem 400 without one: nothing tells a second delivery.

    A signature covers names and values run together, so that of `MessageSid=SM…&NumMedia=0` is good for
    `MessageSid=SM…NumMedia0` too: what stands behind an id is no part of it, or a message that was overheard
    could be sent again as another one.
    """
    found = next((sid for name in names if (sid := form.get(name, "").strip())), "")
    if not found:
        raise HttpProblem(400, f"the form has no {names[0]}")
    shaped = SID.match(found)
    return shaped[0] if shaped else found


def state_of(form: Form) -> str:
    """The state in Twilio's word; a machine that answered is one state, however far its greeting is."""
    if form.get("AnsweredBy", "").startswith("machine"):
        return "machine"
    return form.get("MessageStatus") or form.get("CallStatus") or ""


async def signed_form(daemon: Daemon, request: web.Request, callback: str) -> Form:
    """The fields of a rightly signed form. Raises HttpProblem 403 for any other, without a hint."""
    raw = await read_body(request, daemon.clock, MAX_FORM)
    form = signatures.parse_form(raw)
    if not is_signed(daemon.live.settings, request, raw, form):
        daemon.metrics.signature_failures.labels(f"twilio_{callback}").inc()
        raise HttpProblem(403, "not signed by Twilio for this address and account")
    return form


def is_signed(settings: Settings, request: web.Request, raw: bytes, form: Form) -> bool:
    """Whether the account named in the form signed it, with any of its tokens in force."""
    signature = request.headers.get("X-Twilio-Signature", "")
    secret = account_secret(settings, form.get("AccountSid", ""))
    if secret is None or not signature or not settings.server.public_url:
        return False
    return signatures.verify(public_url(settings, request), form, signature, secret, raw=raw, headers=request.headers)


def account_secret(settings: Settings, account: str) -> Secret | None:
    """The tokens of the configured account of that SID; every channel of it contributes its own."""
    values = [
        value
        for channel in settings.channels.values()
        if is_account(channel, account)
        for value in channel.options["auth_token"].values
    ]
    return Secret(tuple(dict.fromkeys(values))) if values else None


def is_account(channel: ChannelConfig, account: str) -> bool:
    return (
        channel.type.startswith("twilio")
        and bool(account)
        and channel.options.get("account_sid") == account
        and isinstance(channel.options.get("auth_token"), Secret)
    )


def public_url(settings: Settings, request: web.Request) -> str:
    """The request's address as the provider knows it: the configured base and the raw path and query."""
    return (settings.server.public_url or "") + request.raw_path


def as_xml(document: str) -> web.Response:
    return web.Response(body=document.encode(), headers=TWIML_HEADERS)
