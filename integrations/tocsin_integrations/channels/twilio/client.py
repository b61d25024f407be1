"""Twilio's REST API: the `twilio` package's own client over Tocsin's transport.

The package's async client is not used for the connection: it ignores its time-out and retries behind
one's back. Ours passes each request to the Http port, gate and all, and keeps the whole reply, of
which the package's exceptions lose the headers. It is heavy: loaded when a Twilio channel is opened.
"""

from __future__ import annotations

import base64
import importlib
import ipaddress
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import orjson
from twilio.base.exceptions import TwilioException
from twilio.http import AsyncHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from tocsin.contracts import Clock, Gate, Http, Reply, Tools
from tocsin.errors import GateClosed, MaybeSent, NotSent
from tocsin.model import Accepted, Cancelled, Failed, Instant, Outcome, Secret, Unknown
from tocsin_integrations.channels.twilio.error_codes import refusal

API = "https://api.twilio.com"

importlib.import_module("twilio.rest.api.v2010.account")  # the package would load it at the first send: too late

Call = Callable[[Client], Awaitable[Any]]
"""One creation on the package's client, whose instance has a `sid`."""


@dataclass(frozen=True, slots=True)
class Account:
    """A Twilio account, as an SMS or voice channel of the configuration names it."""

    sid: str
    token: Secret
    sender: str
    api: str
    allow_private: bool
    http: Http
    clock: Clock

    @classmethod
    def of(cls, options: Mapping[str, Any], tools: Tools) -> Account:
        """The account of a channel's options."""
        return cls(
            sid=options["account_sid"],
            token=options["auth_token"],
            sender=options.get("from") or "",
            api=(options.get("api_base") or API).rstrip("/"),
            allow_private=bool(options.get("allow_private")),
            http=tools.http,
            clock=tools.clock,
        )

    async def create(self, call: Call, gate: Gate) -> Outcome:
        """The outcome of one creation; every error of the package or the transport is one."""
        if self.api != API and not self.allow_private and not _is_loopback(self.api):
            return Failed(f"api_base {self.api} is not on this machine; write `allow_private: true`", account=True)
        wire = Wire(self.http, gate)
        client = Client(self.sid, self.token.first, http_client=wire, environment={"PATH": ""})
        client.api.base_url = self.api
        try:
            made = await call(client)
        except GateClosed as e:
            return Cancelled(str(e))
        except NotSent as e:
            return Failed(str(e))
        except MaybeSent as e:
            return Unknown(str(e))
        except (TwilioException, ValueError, TypeError, KeyError, AttributeError) as e:
            return _outcome_without_instance(wire.reply, e, self.clock.now())
        return Accepted(ref=str(made.sid or ""))


def _outcome_without_instance(reply: Reply | None, error: Exception, now: Instant) -> Outcome:
    """The outcome of a page where the package could make no instance of Twilio's answer."""
    if reply is None:
        return Failed(f"the twilio client refused: {error}", account=True)
    if 200 <= reply.status < 300:
        return Unknown(f"twilio answered {reply.status} and something that cannot be read")
    code, said = _error_in(reply.body)
    headers = reply.headers
    return refusal(reply.status, code, said, headers.get("retry-after", ""), headers.get("date", ""), now)


def _error_in(body: bytes) -> tuple[int | None, str]:
    """Code and sentence of an error document, in Twilio's older shape or that of RFC 9457."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None, ""
    if not isinstance(document, dict):
        return None, ""
    code = document.get("code")
    said = document.get("message") or document.get("detail") or document.get("title") or ""
    return (code if isinstance(code, int) else None), " ".join(str(said).split())[:200]


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


_log = logging.getLogger("tocsin.twilio")
_log.setLevel(logging.WARNING)  # the package logs whole requests, phone numbers included, at INFO


class Wire(AsyncHttpClient):  # type: ignore[misc]  # the package has no types
    """HTTP client of the twilio package over the Http port, for a single request. `reply` is what came back."""

    def __init__(self, http: Http, gate: Gate) -> None:
        super().__init__(_log, is_async=True)
        self.http = http
        self.gate = gate
        self.reply: Reply | None = None

    async def request(
        self,
        method: str,
        uri: str,
        params: Mapping[str, object] | None = None,
        data: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,
        allow_redirects: bool = False,
    ) -> Response:
        """Raises what the Http port raises; the port's deadlines hold, not `timeout`."""
        url = f"{uri}?{urlencode(params, doseq=True)}" if params else uri
        sending = dict(headers or {})
        if auth is not None:
            sending["Authorization"] = "Basic " + base64.b64encode(":".join(auth).encode()).decode()
        body = urlencode(data or {}, doseq=True).encode()
        self.reply = await self.http.request(method, url, headers=sending, body=body, gate=self.gate)
        return Response(self.reply.status, self.reply.body.decode("utf-8", "replace"), self.reply.headers)
