"""A pretend Twilio: a real HTTP server with the API's two doors, phones behind it, and signed callbacks.

It notes every request on receipt, before any answer. In a test:

    async with PretendTwilio(sms_url=daemon + "/v1/callbacks/twilio/sms") as twilio:
        sms = await twilio.next_sms(to="+15005550010")
        assert await twilio.text("+15005550010", sms.sender, "ACK") == "INC 1 acknowledged by you. ..."
        call = await twilio.next_call()
        await twilio.answer(call)
        await twilio.press(call, "4")

By hand, with an api_base of http://127.0.0.1:8480 in the channel's configuration:

    python -m tests.vendors.twilio --port 8480 --token TOKEN --sms-url http://127.0.0.1:8420/v1/callbacks/twilio/sms
    curl -d 'From=+15005550010&To=+15005550006&Body=ACK' http://127.0.0.1:8480/_/text
    curl -d 'call=CA...&digits=4' http://127.0.0.1:8480/_/press
    curl http://127.0.0.1:8480/_/journal
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, TypeVar
from urllib.parse import urlencode
from xml.etree import ElementTree

import aiohttp
import orjson
from aiohttp import web
from twilio.request_validator import RequestValidator

ACCOUNT = "AC0123456789abcdef0123456789abcdef"
TOKEN = "0123456789abcdef0123456789abcdef"
NUMBER = "+15005550006"

STOP_WORDS = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"})
START_WORDS = frozenset({"START", "YES", "UNSTOP"})
OVER = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})


@dataclass(frozen=True)
class Trouble:
    """What goes wrong with a request. `taken`: Twilio does its work all the same, only the answer is lost.

    status and code: an error answer. reset: the connection is cut once the request has been read.
    hang: no answer ever. delay: seconds before whatever comes.
    """

    status: int = 0
    code: int = 0
    message: str = "trouble"
    retry_after: int = 0
    delay: float = 0.0
    then: Literal["answer", "reset", "hang"] = "answer"
    taken: bool = False


TOO_MANY = Trouble(status=429, code=20429, message="Too Many Requests", retry_after=1)
OPTED_OUT = Trouble(status=400, code=21610, message="Attempt to send to unsubscribed recipient")
BAD_NUMBER = Trouble(status=400, code=21211, message="Invalid 'To' Phone Number")
WRONG_TOKEN = Trouble(status=401, code=20003, message="Authenticate")
BROKEN = Trouble(status=500, code=20500, message="Internal Server Error")
RESET = Trouble(then="reset")
RESET_BUT_SENT = Trouble(then="reset", taken=True)
HANG = Trouble(then="hang")


@dataclass
class Sms:
    sid: str
    to: str
    sender: str
    body: str
    form: dict[str, str]
    status: str = "queued"
    states: list[str] = field(default_factory=list)  # those our callbacks told


@dataclass
class PhoneCall:
    sid: str
    to: str
    sender: str
    form: dict[str, str]
    events: tuple[str, ...] = ()
    status: str = "queued"
    states: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)  # every sentence spoken, in order
    action: str = ""  # where a pressed key goes; "" when none is asked for
    sequence: int = 0


T = TypeVar("T", Sms, PhoneCall)


@dataclass
class PretendTwilio:
    """Listens on 127.0.0.1; `port` 0 picks one; `url` is the api_base to configure.

    `sms_url`: the webhook of the account's numbers. `reach`: real addresses for public ones (a URL that
    starts with a key is posted to the value instead, but signed as written). `deliver`: the states each
    SMS goes through by itself. `picks_up`: calls are answered by themselves, and `presses` is pressed then.
    """

    port: int = 0
    account: str = ACCOUNT
    token: str = TOKEN
    number: str = NUMBER
    sms_url: str = ""
    reach: Mapping[str, str] = field(default_factory=dict)
    deliver: tuple[str, ...] = ("sent", "delivered")
    picks_up: bool = False
    presses: str = ""
    journal_file: Path | None = None
    journal: list[dict[str, Any]] = field(default_factory=list)
    messages: list[Sms] = field(default_factory=list)
    calls: list[PhoneCall] = field(default_factory=list)
    refusals: list[tuple[str, int]] = field(
        default_factory=list
    )  # (url, status) of callbacks that failed; 0: no answer
    always: dict[str, Trouble] = field(default_factory=dict)  # by number
    scripted: list[tuple[str, Trouble]] = field(default_factory=list)  # ("" or number, trouble): the next ones

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._news = asyncio.Condition()
        self._closing = asyncio.Event()
        self._seen: set[str] = set()
        self._replies = 0
        self._opted_out: set[str] = set()
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15))
        app = web.Application()
        app.router.add_post("/2010-04-01/Accounts/{account}/Messages.json", self._create_message)
        app.router.add_post("/2010-04-01/Accounts/{account}/Calls.json", self._create_call)
        for name, hand in self._hands().items():
            app.router.add_post(f"/_/{name}", hand)
        app.router.add_get("/_/journal", self._show)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        self._closing.set()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.close()
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    # ------------------------------------------------------------------------- what a test does

    def trouble(self, *troubles: Trouble, to: str = "") -> None:
        """The next requests (to this number) meet these, one each, in order."""
        self.scripted.extend((to, trouble) for trouble in troubles)

    async def next_sms(self, to: str = "", within: float = 5.0) -> Sms:
        """The first SMS (to this number) that nobody asked for before."""
        return await self._next(self.messages, to, within)

    async def next_call(self, to: str = "", within: float = 5.0) -> PhoneCall:
        """The first call (to this number) that nobody asked for before."""
        return await self._next(self.calls, to, within)

    async def until(self, true: Callable[[], Any], within: float = 5.0) -> None:
        """Waits until it holds; looked at after every request and callback."""
        async with asyncio.timeout(within), self._news:
            await self._news.wait_for(true)

    async def text(self, sender: str, to: str, body: str, sid: str = "") -> str | None:
        """A person texts one of our numbers. What is texted back; None: nothing. A `sid` of before is a repetition."""
        word = body.strip().upper()
        opted = "STOP" if word in STOP_WORDS else "START" if word in START_WORDS else ""
        if opted:
            (self._opted_out.add if opted == "STOP" else self._opted_out.discard)(sender)
        sid = sid or self._sid("SM")
        form = {
            "MessageSid": sid, "SmsSid": sid, "SmsMessageSid": sid, "AccountSid": self.account, "From": sender, "To": to,
            "Body": body, "NumMedia": "0", "NumSegments": "1", "SmsStatus": "received", "ApiVersion": "2010-04-01",
            "FromCity": "", "FromCountry": "US", **({"OptOutType": opted} if opted else {}),
        }  # fmt: skip
        status, answer = await self._post(self.sms_url, form)
        if status != 200 or not answer.strip():
            return None
        said = ElementTree.fromstring(answer).findall("Message")
        return "\n".join("".join(each.itertext()) for each in said) or None

    async def state(self, sms: Sms, status: str, error: int = 0) -> int:
        """Tells the next state of a message; the status code our callback was answered with."""
        sms.status = status
        form = {
            "MessageSid": sms.sid, "SmsSid": sms.sid, "MessageStatus": status, "SmsStatus": status, "To": sms.to,
            "From": sms.sender, "AccountSid": self.account, "ApiVersion": "2010-04-01",
            **({"ErrorCode": str(error)} if error else {}),
        }  # fmt: skip
        answered = await self._tell(sms.form.get("StatusCallback", ""), form)
        sms.states.append(status)
        await self._announce()
        return answered

    async def answer(self, call: PhoneCall) -> list[str]:
        """The phone rings and is picked up; what is heard until a key is asked for, or to the end."""
        await self.progress(call, "ringing")
        await self.progress(call, "in-progress")
        return await self._listen(call, await self._twiml(call, {}))

    async def press(self, call: PhoneCall, digit: str) -> list[str]:
        """A key is pressed at the menu; what is heard then."""
        assert call.action, f"call {call.sid} asks for no key ({call.status})"
        return await self._listen(
            call, await self._twiml(call, {"Digits": digit, "FinishedOnKey": "", "msg": "Gather End"})
        )

    async def hang_up(self, call: PhoneCall, status: str = "completed") -> None:
        """The call ends: completed, busy, no-answer, failed or canceled."""
        call.action = ""
        await self.progress(call, status)

    async def progress(self, call: PhoneCall, status: str) -> None:
        """Tells a state of the call, if it was asked for."""
        call.status = status
        event = {"in-progress": "answered"}.get(status, "completed" if status in OVER else status)
        if event in (call.events or ("completed",)):
            call.sequence += 1
            form = {
                **self._call_form(call), "CallbackSource": "call-progress-events", "SequenceNumber": str(call.sequence),
                **({"CallDuration": "7", "SipResponseCode": "200"} if status in OVER else {}),
            }  # fmt: skip
            await self._tell(call.form.get("StatusCallback", ""), form)
        call.states.append(status)
        await self._announce()

    # ------------------------------------------------------------------------------- the API's doors

    async def _create_message(self, request: web.Request) -> web.StreamResponse:
        form = await self._form(request)
        sms = Sms(self._sid("SM"), form.get("To", ""), form.get("From") or self.number, form.get("Body", ""), form)
        return await self._received(request, "sms", sms, self.messages, self._carry)

    async def _create_call(self, request: web.Request) -> web.StreamResponse:
        posted = await request.post()
        form = await self._form(request)
        events = tuple(str(each) for each in posted.getall("StatusCallbackEvent", []))
        call = PhoneCall(self._sid("CA"), form.get("To", ""), form.get("From", ""), form, events)
        return await self._received(request, "call", call, self.calls, self._ring)

    async def _received(
        self, request: web.Request, kind: str, thing: T, taken: list[T], live: Callable[[T], Coroutine[Any, Any, None]]
    ) -> web.StreamResponse:
        trouble = self._trouble_for(request, thing.to)
        self._note({"kind": kind, "sid": thing.sid, "to": thing.to, "from": thing.sender, "form": thing.form,
                    "trouble": "" if trouble is None else str(trouble.code or trouble.status or trouble.then)})  # fmt: skip
        if trouble is None or trouble.taken or (trouble.then == "answer" and not trouble.status):
            taken.append(thing)
            self._start(live(thing))
        await self._announce()
        if trouble is not None:
            await asyncio.sleep(trouble.delay)
            if trouble.then == "reset" and request.transport is not None:
                request.transport.abort()
            if trouble.then == "hang":
                await self._closing.wait()
            if trouble.then != "answer" or trouble.status:
                return _error(trouble)
        return web.json_response(self._document(thing), status=201)

    def _trouble_for(self, request: web.Request, to: str) -> Trouble | None:
        expected = "Basic " + base64.b64encode(f"{self.account}:{self.token}".encode()).decode()
        if request.headers.get("Authorization") != expected or request.match_info["account"] != self.account:
            return WRONG_TOKEN
        for at, (number, trouble) in enumerate(self.scripted):
            if number in ("", to):
                del self.scripted[at]
                return trouble
        if to in self._opted_out and "Messages" in request.path:
            return OPTED_OUT
        return self.always.get(to)

    def _document(self, thing: Sms | PhoneCall) -> dict[str, Any]:
        return {
            "sid": thing.sid, "account_sid": self.account, "to": thing.to, "from": thing.sender, "status": "queued",
            "direction": "outbound-api", "api_version": "2010-04-01", "error_code": None, "num_segments": "1",
            "price": None, "price_unit": "USD", "uri": f"/2010-04-01/Accounts/{self.account}/{thing.sid}.json",
            "subresource_uris": {},
        }  # fmt: skip

    # ------------------------------------------------------------------- what happens by itself

    async def _carry(self, sms: Sms) -> None:
        for status in self.deliver:
            await self.state(sms, status)

    async def _ring(self, call: PhoneCall) -> None:
        await self.progress(call, "initiated")
        if self.picks_up:
            await self.answer(call)
            if self.presses and call.action:
                await self.press(call, self.presses)

    # -------------------------------------------------------------------------------- a live call

    async def _twiml(self, call: PhoneCall, more: Mapping[str, str]) -> ElementTree.Element:
        if not more and call.form.get("Twiml"):
            return ElementTree.fromstring(call.form["Twiml"])
        url = call.action if more else call.form.get("Url", "")
        status, document = await self._post(url, {**self._call_form(call), **more})
        if status != 200:
            return ElementTree.fromstring("<Response><Say>An application error has occurred. Goodbye.</Say></Response>")
        return ElementTree.fromstring(document)

    async def _listen(self, call: PhoneCall, response: ElementTree.Element) -> list[str]:
        """Up to the first Gather; without one to the end, where the line is cut."""
        heard: list[str] = []
        call.action = ""
        for verb in response:
            heard += [" ".join("".join(say.itertext()).split()) for say in verb.iter("Say")]
            if verb.tag == "Gather":
                call.action = verb.get("action") or call.form.get("Url", "")
                break
        call.heard += heard
        if not call.action:
            await self.hang_up(call)
        await self._announce()
        return heard

    def _call_form(self, call: PhoneCall) -> dict[str, str]:
        return {
            "CallSid": call.sid, "AccountSid": self.account, "From": call.sender, "To": call.to, "Caller": call.sender,
            "Called": call.to, "CallStatus": call.status, "ApiVersion": "2010-04-01", "Direction": "outbound-api",
        }  # fmt: skip

    # ---------------------------------------------------------------------------------- callbacks

    async def _tell(self, url: str, form: Mapping[str, str]) -> int:
        return (await self._post(url, form))[0] if url else 0

    async def _post(self, url: str, form: Mapping[str, str]) -> tuple[int, str]:
        """A signed form post as Twilio makes it. (0, "") when nobody answered."""
        signature = RequestValidator(self.token).compute_signature(url, dict(form))
        headers = {
            "X-Twilio-Signature": signature,
            "Content-Type": "application/x-www-form-urlencoded",
            "User-Agent": "TwilioProxy/1.1",
        }
        status, document = 0, ""
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with self._http.post(self._reachable(url), data=urlencode(form), headers=headers) as reply:
                status, document = reply.status, await reply.text()
        if not 200 <= status < 300:
            self.refusals.append((url, status))
        self._note({"kind": "callback", "url": url, "form": dict(form), "status": status})
        return status, document

    def _reachable(self, url: str) -> str:
        return next((real + url[len(base) :] for base, real in self.reach.items() if url.startswith(base)), url)

    # ------------------------------------------------------------------------------------- by hand

    def _hands(self) -> dict[str, Callable[[web.Request], Coroutine[Any, Any, web.StreamResponse]]]:
        return {
            "text": self._hand_text,
            "answer": self._hand_answer,
            "press": self._hand_press,
            "trouble": self._hand_trouble,
        }

    async def _hand_text(self, request: web.Request) -> web.StreamResponse:
        form = await self._form(request)
        return web.json_response({"reply": await self.text(form["From"], form.get("To", self.number), form["Body"])})

    async def _hand_answer(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"heard": await self.answer(self._call((await self._form(request))["call"]))})

    async def _hand_press(self, request: web.Request) -> web.StreamResponse:
        form = await self._form(request)
        return web.json_response({"heard": await self.press(self._call(form["call"]), form["digits"])})

    async def _hand_trouble(self, request: web.Request) -> web.StreamResponse:
        form = await self._form(request)
        kinds = {"429": TOO_MANY, "21610": OPTED_OUT, "21211": BAD_NUMBER, "500": BROKEN, "reset": RESET, "hang": HANG}
        self.trouble(*[kinds[form["kind"]]] * int(form.get("times", "1")), to=form.get("to", ""))
        return web.json_response({"scripted": len(self.scripted)})

    async def _show(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self.journal)

    def _call(self, sid: str) -> PhoneCall:
        return next(call for call in self.calls if call.sid == sid)

    # ------------------------------------------------------------------------------------- inside

    async def _form(self, request: web.Request) -> dict[str, str]:
        return {name: str(value) for name, value in (await request.post()).items()}

    async def _next(self, things: list[T], to: str, within: float) -> T:
        def found() -> T | None:
            return next((each for each in things if each.sid not in self._seen and to in ("", each.to)), None)

        async with asyncio.timeout(within), self._news:
            thing = await self._news.wait_for(found)
        assert thing is not None
        self._seen.add(thing.sid)
        return thing

    async def _announce(self) -> None:
        async with self._news:
            self._news.notify_all()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _note(self, line: dict[str, Any]) -> None:
        """In memory, and on disk before anything is answered."""
        self.journal.append({"at": time.time(), **line})
        if self.journal_file is not None:
            with self.journal_file.open("ab") as book:
                book.write(orjson.dumps(self.journal[-1]) + b"\n")

    def _sid(self, kind: str) -> str:
        self._replies += 1
        return f"{kind}{self._replies:032x}"


def _error(trouble: Trouble) -> web.StreamResponse:
    document = {
        "code": trouble.code, "message": trouble.message, "status": trouble.status or 500,
        "more_info": f"https://www.twilio.com/docs/errors/{trouble.code}",
    }  # fmt: skip
    headers = {"Retry-After": str(trouble.retry_after)} if trouble.retry_after else {}
    return web.json_response(document, status=trouble.status or 500, headers=headers)


async def _serve(options: argparse.Namespace) -> None:
    twilio = PretendTwilio(
        port=options.port,
        account=options.account,
        token=options.token,
        sms_url=options.sms_url,
        picks_up=options.picks_up,
        presses=options.press,
        journal_file=options.journal,
    )
    async with twilio:
        print(f"a pretend Twilio listens on {twilio.url}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A pretend Twilio.")
    parser.add_argument("--port", type=int, default=8480)
    parser.add_argument("--account", default=ACCOUNT)
    parser.add_argument("--token", default=TOKEN)
    parser.add_argument("--sms-url", default="http://127.0.0.1:8420/v1/callbacks/twilio/sms")
    parser.add_argument("--picks-up", action="store_true", help="answer each call")
    parser.add_argument("--press", default="", help="the key pressed in answered calls")
    parser.add_argument("--journal", type=Path, default=None, help="a file of JSON lines")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(parser.parse_args()))
