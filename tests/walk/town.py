"""A small town to tell stories in: a whole daemon in virtual time, and the phones its pages go to.

    await town.alert("db down")
    assert town.pages == ["0m ana sms"]
    await town.pass_time(minutes=5)
    assert town.pages == ["0m ana sms", "5m bo sms"]

Time stands still until `pass_time`, which goes from one due instant to the next and lets everything
settle at each. Nothing listens on a socket: Twilio, the webhook and the mail server are `Outside`.
"""

from __future__ import annotations

import asyncio
import email
import email.policy
import inspect
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import parse_qs

import orjson
import yaml

from tocsin.clock import SeededChance, VirtualClock
from tocsin.contracts import Gate, Reply
from tocsin.decide.oncall.feeds import as_json
from tocsin.decide.oncall.ical import read_feed
from tocsin.errors import MaybeSent, NotSent, StoreUnavailable
from tocsin.model import Actor, Attempt, Entry, Incident, Instant, Millis, Page, Silence, StoredAlert
from tocsin.settings import load
from tocsin.wiring import Daemon, Ports
from tocsin.work.incidents.actions import Done
from tocsin.work.ingest.posts import Taken
from tocsin.work.paging.replies import LinkView

MONDAY_NOON = 1_767_614_400_000  # 2026-01-05T12:00:00Z
SETTLE_SECONDS = 20.0
ACCOUNT, NUMBER, SECOND_NUMBER = "AC0123456789abcdef0123456789abcdef", "+15005550006", "+15005550007"
PHONES = {"ana": "+15005550010", "bo": "+15005550011", "grace": "+15005550012", "stranger": "+15005550099"}

BASE = f"""
server: {{public_url: "https://tocsin.example.org"}}
database: {{url: "sqlite:tocsin.db"}}
defaults: {{timezone: UTC, policy: default}}
catch_all: [user:grace]
integrations:
  apps: {{type: webhook, token: apps-token}}
  other: {{type: webhook, token: other-token}}
  pd: {{type: pagerduty, routing_key: 0123456789abcdef0123456789abcdef}}
channels:
  sms: {{type: twilio_sms, account_sid: {ACCOUNT}, auth_token: secret, from: "{NUMBER}"}}
  voice: {{type: twilio_voice, account_sid: {ACCOUNT}, auth_token: secret, from: "{NUMBER}"}}
  mail: {{type: smtp, host: mail.example.org, port: 25, security: none, from: tocsin@example.org}}
users:
  ana: {{name: Ana, timezone: UTC, contacts: {{sms: "{PHONES["ana"]}"}}}}
  bo: {{name: Bo, timezone: UTC, contacts: {{sms: "{PHONES["bo"]}"}}}}
  grace: {{name: Grace, timezone: UTC, contacts: {{sms: "{PHONES["grace"]}"}}}}
teams:
  platform: {{members: [ana, bo], managers: [grace]}}
schedules:
  primary:
    timezone: UTC
    layers:
      - {{name: week, users: [ana, bo], rotation: {{every: 1w, start: 2026-01-05 09:00}}}}
policies:
  default:
    steps:
      - {{notify: [schedule:primary], wait: 5m}}
      - {{notify: [schedule:primary@next], wait: 5m}}
    repeat: 0
    ack_timeout: 30m
services:
  shop: {{owner: platform}}
"""

# Channels that a story asks for where it needs them.
SMS_B = f'sms-b: {{type: twilio_sms, account_sid: {ACCOUNT}, auth_token: secret, from: "{SECOND_NUMBER}"}}'
HOOK = 'hook: {type: webhook, url: "https://hook.example.org/in"}'
OPS_MAIL = "ops-mail: {type: smtp, host: mail.example.org, port: 25, security: none, from: tocsin@example.org, to: ops@example.org}"

Trouble = Literal[
    "unreachable",  # the connection is refused: surely not sent
    "lost",  # the request is cut on its way: may have been sent, and was not
    "answer lost",  # the provider did it, and its answer got lost
    "broken",  # 500
    "busy",  # 429
    "bad number",  # 400, error 21211
    "opted out",  # 400, error 21610
    "wrong token",  # 401, error 20003
    "hangs",  # no answer ever comes
    "slow to connect",  # ten seconds pass before the gate
    "slow to answer",  # ten seconds pass after it
]
ANSWERS: Mapping[str, tuple[int, int]] = {
    "broken": (500, 20500), "busy": (429, 20429), "bad number": (400, 21211), "opted out": (400, 21610),
    "wrong token": (401, 20003),
}  # fmt: skip
TEN_SECONDS = 10_000


@dataclass(frozen=True)
class Told:
    """One message that reached somebody's phone, mailbox or webhook."""

    at: Instant
    user: str  # of the page; "" for a channel target
    channel: str
    address: str
    kind: str  # page, update, summary ...
    incident: int | None
    title: str
    text: str
    attempt: str
    page: Page | None
    of: Incident | None  # the incident as it stood when the message left
    ref: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Planned:
    """Trouble that waits for the next messages over a channel."""

    channel: str
    to: str | None
    what: Trouble
    left: int | None


class Outside:
    """Everybody out there: the Http and the Mail port of the daemon."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.daemon: Daemon | None = None
        self.told: list[Told] = []
        self.visited: list[str] = []  # every request that only asks: the outbound heartbeat's
        self.watcher = 200  # what it is answered
        self.plain: list[str] = []  # "channel address text" of what left without a row: the database was gone
        self.tried: list[str] = []  # every request that came as far as its gate, whatever became of it
        self.troubles: list[Planned] = []
        self.calendars = Calendars()
        self._count = 0

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        gate: Gate | None = None,
        allow_private: bool = True,
        largest: int = 1024 * 1024,
    ) -> Reply:
        if url.startswith("https://watch."):
            self.visited.append(f"{round((self.clock.now() - MONDAY_NOON) / 60_000, 3):g}m {url}")
            return Reply(self.watcher, {}, b"")
        if method == "GET":
            return self.calendars.answer(url, headers or {})
        if "api.twilio.com" in url:
            form = {name: values[-1] for name, values in parse_qs(body.decode()).items()}
            attempt = form.get("StatusCallback", form.get("Url", "")).rpartition("/")[2]
            type_ = "twilio_sms" if "/Messages" in url else "twilio_voice"
            channel = self._twilio_channel(type_, form.get("From", ""))
            self._count += 1
            ref = f"{'SM' if type_ == 'twilio_sms' else 'CA'}{self._count:032x}"
            text = form.get("Body", form.get("Twiml", ""))
            status = await self._deliver(channel, form["To"], text, attempt, gate, ref, form)
            return self._reply(status, {"sid": ref, "to": form["To"], "body": text, "status": "queued"})
        document = orjson.loads(body)
        status = await self._deliver(
            document["channel"], document["to"] or "", document["text"], document["attempt"], gate, "", document
        )
        return self._reply(status, {})

    async def send(
        self,
        *,
        host: str,
        port: int,
        security: str,
        username: str | None,
        password: str | None,
        sender: str,
        recipient: str,
        message: bytes,
        gate: Gate | None = None,
    ) -> str:
        mail = email.message_from_bytes(message, policy=email.policy.default)
        attempt = str(mail["Message-ID"]).strip("<>").partition("@")[0]
        body = mail.get_body()
        text = f"{mail['Subject']}\n{body.get_content() if body is not None else ''}"
        channel = "ops-mail" if recipient == "ops@example.org" else "mail"
        status = await self._deliver(channel, recipient, text, attempt, gate, "", {})
        if status != 200:
            raise NotSent("550 no such mailbox", permanent=True)
        return "250 OK"

    async def _deliver(
        self, channel: str, to: str, text: str, attempt: str, gate: Gate | None, ref: str, body: Mapping[str, Any]
    ) -> int:
        trouble = self._trouble(channel, to)
        if trouble == "unreachable":
            raise NotSent("connection refused")
        if trouble == "slow to connect":
            await self.clock.sleep_until(Instant(self.clock.now() + TEN_SECONDS))
        if gate is not None:
            await gate()
        self.tried.append(f"{channel} {to}")
        if self.daemon is not None and self.daemon.store.lost() and await self.daemon.store.attempt(attempt) is None:
            if trouble is None:
                self.plain.append(f"{channel} {to} {text}")
            return 200 if trouble is None else ANSWERS[trouble][1]
        match trouble:
            case "lost":
                raise MaybeSent("the connection was reset")
            case "hangs":
                await asyncio.get_running_loop().create_future()
            case "broken" | "busy" | "bad number" | "opted out" | "wrong token":
                return ANSWERS[trouble][0] if channel not in ("sms", "sms-b", "voice") else ANSWERS[trouble][1]
            case "slow to answer":
                self.told.append(await self._told(channel, to, text, attempt, ref, body))
                await self.clock.sleep_until(Instant(self.clock.now() + TEN_SECONDS))
                return 200
            case _:
                self.told.append(await self._told(channel, to, text, attempt, ref, body))
        if trouble == "answer lost":
            raise MaybeSent("the connection was reset")
        return 200

    def _trouble(self, channel: str, to: str) -> Trouble | None:
        for planned in self.troubles:
            if planned.channel == channel and planned.to in (None, to) and planned.left != 0:
                if planned.left is not None:
                    planned.left -= 1
                return planned.what
        return None

    def _twilio_channel(self, type_: str, sender: str) -> str:
        assert self.daemon is not None
        for channel in self.daemon.live.settings.channels.values():
            if channel.type == type_ and channel.options.get("from") == sender:
                return channel.name
        raise AssertionError(f"no channel sends from {sender}")

    def _reply(self, status: int, document: Mapping[str, Any]) -> Reply:
        if status == 200:
            return Reply(201, {}, orjson.dumps(document))
        http = next((http for http, code in ANSWERS.values() if code == status), status)
        return Reply(http, {}, orjson.dumps({"code": status, "message": "trouble"}))

    async def _told(self, channel: str, to: str, text: str, attempt_id: str, ref: str, body: Mapping[str, Any]) -> Told:
        assert self.daemon is not None
        store = self.daemon.store
        attempt = await store.attempt(attempt_id)
        assert attempt is not None, "a message left before its intent was committed"
        page = await store.page(attempt.page)
        incident = await store.incident(page.incident) if page is not None and page.incident is not None else None
        return Told(
            at=self.clock.now(),
            user=page.user if page else "",
            channel=channel,
            address=to,
            kind="summary" if "incidents wait for you" in text else page.kind if page else "?",
            incident=incident.number if incident else None,
            title=incident.title if incident else "",
            text=text,
            attempt=attempt_id,
            page=page,
            of=incident,
            ref=ref,
            body=body,
        )


class Calendars:
    """Somebody else's server with calendars on it."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes | int] = {}  # address → the calendar, or the status it is answered with
        self.asked: list[str] = []

    def answer(self, url: str, headers: Mapping[str, str]) -> Reply:
        there = self.bodies.get(url, 404)
        tag = f'"{hash(there)}"'
        same = headers.get("If-None-Match") == tag
        self.asked.append(f"{url} {'304' if same else there if isinstance(there, int) else '200'}")
        if isinstance(there, int):
            return Reply(there, {}, b"<html>no</html>")
        return Reply(304, {"etag": tag}, b"") if same else Reply(200, {"etag": tag}, there)


async def read_here(raw: bytes, timezone: str, start: Instant, end: Instant, before: bytes = b"") -> bytes:
    """The ReadFeed port of a town: on the spot, since no process of another time may take part."""
    return as_json(read_feed(raw, timezone, start, end, before))


class CountedStore:
    """The store, with a count of the calls that are under way; and, when told so, one that does not answer."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.in_flight = 0
        self.failing: frozenset[str] = frozenset()
        self.undoing: list[Exception | None] = []

    async def write(self, work: Any, **how: Any) -> Any:
        """Of each error in `undoing` one transaction dies, when its work is done and before its commit."""
        error = self.undoing.pop(0) if self.undoing and "write" not in self.failing else None

        async def undone(tx: Any) -> None:
            await work(tx)
            raise error or AssertionError

        return await self._counted("write", work if error is None else undone, **how)

    async def _counted(self, name: str, *args: Any, **kwargs: Any) -> Any:
        if name in self.failing:
            raise StoreUnavailable("the database does not answer")
        self.in_flight += 1
        try:
            return await getattr(self._store, name)(*args, **kwargs)
        finally:
            self.in_flight -= 1

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if not inspect.iscoroutinefunction(found):
            return found  # not kept: `exclusive` and the like are read where they are

        async def counted(*args: Any, **kwargs: Any) -> Any:
            return await self._counted(name, *args, **kwargs)

        setattr(self, name, counted)
        return counted


class TownDaemon(Daemon):
    """The daemon as it is, with its store counted."""

    async def _wire(self, settings: Any) -> None:
        self.store = CountedStore(self.store)  # passes everything on
        await super()._wire(settings)


class Phone:
    """One person's phone."""

    def __init__(self, town: Town, user: str) -> None:
        self.town, self.user, self.number = town, user, PHONES[user]
        self._sent = 0

    @property
    def texts(self) -> list[str]:
        """Every SMS that arrived, as it reads."""
        return [told.text for told in self._over("sms", "sms-b")]

    @property
    def heard(self) -> list[str]:
        """What each call that rang was about."""
        return [told.title for told in self._over("voice")]

    def _over(self, *channels: str) -> list[Told]:
        return [told for told in self.town.told if told.address == self.number and told.channel in channels]

    async def pick_up(self) -> str:
        """What the last call says before a key is pressed."""
        return await self._turn(None)

    async def press(self, digits: str) -> str:
        """Press a key in the last call; what it says then."""
        return await self._turn(digits)

    async def _turn(self, digits: str | None) -> str:
        call = self._over("voice")[-1]
        turn = await self.town.daemon.answers.voice(ACCOUNT, call.attempt, call.ref, digits)
        await self.town.settle()
        return turn.say if turn is not None else ""

    async def reply(self, body: str, *, sid: str | None = None, opt_out: str = "") -> str | None:
        """Send an SMS to Tocsin; what comes back."""
        self._sent += 1
        message = sid or f"SM-{self.user}-{self._sent}"
        answers = self.town.daemon.answers
        said = await answers.sms(ACCOUNT, NUMBER, self.number, body, message, opt_out)
        await self.town.settle()
        return said

    @property
    def link(self) -> str:
        """The token of the link in the last SMS that has one."""
        found = [re.search(r"/a/(\S+)", text) for text in self.texts]
        return [match[1] for match in found if match][-1]

    async def look(self, link: str = "") -> LinkView | None:
        return await self.town.daemon.answers.link(link or self.link)

    async def tap(self, action: str = "acknowledge", link: str = "") -> LinkView | None:
        """Open the link and press its button."""
        view = await self.town.daemon.answers.press(link or self.link, action)
        await self.town.settle()
        return view

    async def receipt(self, state: str, error: str | None = None, *, nth: int = -1) -> None:
        """The provider tells what became of a message to this phone."""
        told = self._over("sms", "sms-b", "voice")[nth]
        await self.town.daemon.answers.receipt(ACCOUNT, told.attempt, told.ref or "SM", state, error)
        await self.town.settle()


class Town:
    """A daemon, its people, and time."""

    def __init__(self, folder: Path, config: str, *, seed: int, runner: str, start: int, database: str) -> None:
        self.folder, self.seed, self.runner, self.database = folder, seed, runner, database
        self.clock = VirtualClock(Instant(start))
        self.start = Instant(start)
        self.outside = Outside(self.clock)
        self.phones = {user: Phone(self, user) for user in PHONES}
        self.shown: list[str] = []
        self.expected_errors: set[str] = set()
        self.logs: list[Any] = []
        self.chance = SeededChance(seed)
        self.configure(config)

    # ------------------------------------------------------------------------- begin and end

    @classmethod
    async def open(
        cls,
        folder: Path,
        config: str = "",
        *,
        seed: int = 1,
        runner: str = "inline",
        start: int = MONDAY_NOON,
        database: str = "sqlite::memory:",
        calendars: Mapping[str, bytes | int] | None = None,
    ) -> Town:
        """`database`: "file" is one that a restart finds again; else a URL. `calendars`: what there is to fetch."""
        url = f"sqlite:{folder / 'tocsin.db'}" if database == "file" else database
        town = cls(folder, config, seed=seed, runner=runner, start=start, database=url)
        town.outside.calendars.bodies.update(calendars or {})
        await town.begin()
        return town

    def configure(self, config: str) -> None:
        """Write the configuration: the town's own, with the sections of `config` laid over it."""
        path = self.folder / "tocsin.yaml"
        path.write_text(laid_over(BASE, config), encoding="utf-8")
        path.chmod(0o600)

    async def begin(self) -> None:
        loaded = load(self.folder / "tocsin.yaml", env={})
        assert loaded.settings is not None, "\n".join(str(problem) for problem in loaded.problems)
        loaded = replace(loaded, settings=replace(loaded.settings, database=self.database))
        ports = Ports(self.clock, self.chance, self.outside, self.outside, self.shown.append, self.runner, read_here)
        self.daemon = TownDaemon(loaded, ports=ports, env={})
        self.outside.daemon = self.daemon
        await self.daemon.start(listen=False)
        await self.settle()

    async def end(self) -> None:
        """Stop the daemon; calls under way are given their time."""
        stopping = asyncio.ensure_future(self.daemon.stop())
        await self.settle()
        while not stopping.done() and (due := self.clock.next_due()) is not None:
            self.clock.advance_to(due)
            await self.settle()
        await stopping

    async def crash(self) -> None:
        """The process is gone: what was under way is cut off, nothing more is written."""
        await self.daemon.tasks.stop()
        await self.daemon.store.close()

    async def restart(self, *, after_minutes: float = 0) -> None:
        """Crash, nobody there for a while, and a new process on the same database."""
        await self.crash()
        self.clock.advance_to(Instant(self.clock.now() + int(after_minutes * 60_000)))
        await self.begin()

    async def reload(self, config: str) -> str:
        self.configure(config)
        said = await self.daemon.reload(yes=True)
        await self.settle()
        return said

    # ----------------------------------------------------------------------------------- time

    async def pass_time(self, *, seconds: float = 0, minutes: float = 0, hours: float = 0) -> None:
        """Go from due instant to due instant; at each, everything settles."""
        until = Instant(self.clock.now() + round((seconds + minutes * 60 + hours * 3600) * 1000))
        while (due := self.clock.next_due()) is not None and due <= until:
            self.clock.advance_to(due)
            await self.settle()
        self.clock.advance_to(until)
        await self.settle()

    async def step_clock(self, *, seconds: float = 0, hours: float = 0) -> None:
        """Somebody sets the machine's clock; a second later that was seen."""
        self.clock.stepped = Millis(self.clock.stepped + round((seconds + hours * 3600) * 1000))
        await self.pass_time(seconds=1)

    async def pass_quietly(self, *, minutes: float = 0, hours: float = 0) -> None:
        """Like `pass_time`, from one due row to the next: what only looks around meanwhile is skipped. For long waits."""
        self.expected_errors.add("duty_cut_off")  # one that was under way finds its time over behind such a jump
        until = Instant(self.clock.now() + round((minutes * 60 + hours * 3600) * 1000))
        while (due := await self._next_row()) is not None and due <= until:
            self.clock.advance_to(due)
            await self.settle()
            await self.pass_time(seconds=1.5)
        self.clock.advance_to(until)
        await self.settle()

    async def _next_row(self) -> Instant | None:
        """When the next timer, page or confirmation falls due, beyond now."""
        store = self.daemon.store
        found = [await store.next_due(), await store.next_waiting(), await store.next_confirmation()]
        found += [await store.next_due_page(name) for name in self.daemon.live.settings.channels]
        return min((max(at, Instant(self.clock.now() + 1)) for at in found if at is not None), default=None)

    async def settle(self) -> None:
        """Until nobody has anything left to do at this instant."""
        loop = asyncio.get_running_loop()
        give_up = time.monotonic() + SETTLE_SECONDS
        while True:
            while loop._ready:  # type: ignore[attr-defined]  # whether anything may run now: there is no public way to ask
                await asyncio.sleep(0)
                assert time.monotonic() < give_up, "the town does not come to rest"
            if self.runner == "inline" or not self._in_flight():
                return
            assert time.monotonic() < give_up, "the database does not answer"
            await asyncio.sleep(0.0005)

    def _in_flight(self) -> int:
        return getattr(self.daemon.store, "in_flight", 0) if hasattr(self, "daemon") else 0

    @property
    def minutes(self) -> float:
        return (self.clock.now() - self.start) / 60_000

    # --------------------------------------------------------------------------------- alerts

    async def post(self, integration: str, document: Any) -> Taken:
        """A body, through its source and the door of intake."""
        config = self.daemon.live.settings.integrations[integration]
        raw = document if isinstance(document, bytes) else orjson.dumps(document)
        parsed = self.daemon.live.sources[config.type].parse(raw, {}, config, self.clock.now())
        taken = await self.daemon.intake.take(config, raw, parsed)
        await self.settle()
        return taken

    async def alert(
        self, title: str, severity: str = "critical", *, key: str | None = None, integration: str = "apps", **more: Any
    ) -> int | None:
        """Something fires; the number of the incident it is in."""
        body = {"title": title, "severity": severity, "dedup_key": key or title, "status": "firing", **more}
        taken = await self.post(integration, body)
        return taken.incidents[0] if taken.incidents else None

    async def clear(self, title: str, *, key: str | None = None, integration: str = "apps", **more: Any) -> None:
        """It is over, says its source."""
        body = {"title": title, "dedup_key": key or title, "status": "resolved", **more}
        await self.post(integration, body)

    async def check_in(self, name: str, by: str = "token:cron") -> None:
        """A heartbeat is heard."""
        await self.daemon.heartbeats.check_in(name, by)
        await self.settle()

    # -------------------------------------------------------------------------------- answers

    def actor(self, user: str) -> Actor:
        return Actor("user", user)

    async def act(self, verb: str, number: int, user: str = "ana") -> Done:
        """What somebody does over the API."""
        done: Done = await getattr(self.daemon.actions, verb)(number, self.actor(user), "api")
        await self.settle()
        return done

    async def ack(self, number: int, user: str = "ana") -> Done:
        return await self.act("acknowledge", number, user)

    async def resolve(self, number: int, user: str = "ana") -> Done:
        return await self.act("resolve", number, user)

    async def snooze(self, number: int, minutes: float, user: str = "ana") -> Done:
        until = Instant(self.clock.now() + int(minutes * 60_000))
        done = await self.daemon.actions.snooze(number, until, self.actor(user), "api")
        await self.settle()
        return done

    async def page(self, number: int, target: str, user: str = "ana") -> Done:
        done = await self.daemon.actions.page(number, target, self.actor(user), "api")
        await self.settle()
        return done

    async def trigger(self, title: str, user: str = "ana", **more: Any) -> Done:
        done = await self.daemon.actions.trigger(title, self.actor(user), "api", **more)
        await self.settle()
        return done

    async def silence(self, *matchers: str, minutes: float, starts_in: float = 0) -> Silence:
        starts = Instant(self.clock.now() + int(starts_in * 60_000))
        ends = Instant(starts + int(minutes * 60_000))
        silence = await self.daemon.silences.add(matchers, starts, ends, "ana", "we know")
        await self.settle()
        return silence

    async def unsilence(self, silence: Silence) -> None:
        await self.daemon.silences.expire(silence.id, self.actor("ana"))
        await self.settle()

    def trouble(self, channel: str, what: Trouble, *, user: str | None = None, times: int | None = 1) -> None:
        """The next messages over this channel meet with trouble; `times` None: all of them, until `peace`."""
        to = None if user is None else PHONES[user]
        self.outside.troubles.append(Planned(channel, to, what, times))

    @property
    def counted_store(self) -> CountedStore:
        """The daemon's store, with what a test may do to it."""
        return cast(CountedStore, self.daemon.store)

    def store_fails(self, *calls: str) -> None:
        """These calls of the store raise StoreUnavailable, until `store_works`."""
        self.counted_store.failing = frozenset(calls)

    def store_undoes(self, *errors: Exception | None) -> None:
        """The next transactions end in these errors, one each, when all their work is done; None: it is kept."""
        self.counted_store.undoing.extend(errors)

    def store_works(self) -> None:
        self.store_fails()

    def peace(self) -> None:
        self.outside.troubles.clear()

    # ---------------------------------------------------------------------------------- facts

    @property
    def told(self) -> list[Told]:
        return self.outside.told

    @property
    def pages(self) -> list[str]:
        """Every page that reached somebody: "5m bo sms"; a channel target has its name alone. Of one instant: by name."""
        told = sorted((told.at, self._line(told)) for told in self.told if told.kind == "page")
        return [line for _, line in told]

    @property
    def summaries(self) -> list[str]:
        return [f"{self._line(told)}: {told.text}" for told in self.told if told.kind == "summary"]

    @property
    def updates(self) -> list[str]:
        """What was said of incidents that are over."""
        return [f"{self._line(told)}: {told.text.partition(chr(10))[0]}" for told in self.told if told.kind == "update"]

    def pages_of(self, title: str) -> list[str]:
        told = sorted((told.at, self._line(told)) for told in self.told if told.kind == "page" and told.title == title)
        return [line for _, line in told]

    def _line(self, told: Told) -> str:
        minutes = f"{round((told.at - self.start) / 60_000, 3):g}m"
        return " ".join(filter(None, (minutes, told.user, told.channel)))

    @property
    def mail(self) -> list[str]:
        return [told.text for told in self.told if told.channel == "mail"]

    @property
    def hook(self) -> list[Mapping[str, Any]]:
        return [told.body for told in self.told if told.channel == "hook"]

    async def incident(self, number: int | None = 1) -> Incident:
        assert number is not None
        found = await self.daemon.store.incident(number)
        assert found is not None, f"there is no incident {number}"
        return found

    async def incidents(self) -> list[Incident]:
        """All, oldest first."""
        found = await self.daemon.store.incidents(Everything, 10_000, None)
        return found[::-1]

    async def alerts_of(self, number: int) -> list[StoredAlert]:
        return await self.daemon.store.incident_alerts(number, 10_000, None)

    async def timeline(self, number: int = 1) -> list[Entry]:
        return await self.daemon.store.timeline(number, 10_000, None)

    async def kinds(self, number: int = 1) -> list[str]:
        return [entry.kind for entry in await self.timeline(number)]

    async def pages_planned(self, number: int = 1) -> list[tuple[Page, list[Attempt]]]:
        return await self.daemon.store.pages(number)

    async def outcomes(self, number: int = 1) -> list[str]:
        """The fate of each page and its attempts: "ana sms done: accepted"."""
        return [
            f"{page.user or page.target} {page.channel} {page.status}: {' '.join(one.state for one in attempts)}".strip(
                ": "
            )
            for page, attempts in await self.pages_planned(number)
            if page.kind == "page"
        ]

    def metric(self, name: str, **labels: str) -> float:
        value = self.daemon.metrics.registry.get_sample_value(name, labels)
        return value or 0.0

    async def trace(self) -> list[str]:
        """All that happened, for comparing two runs of one story."""
        lines = [f"{told.at} {told.channel} {told.address} {told.attempt} {told.text}" for told in self.told]
        for incident in await self.incidents():
            lines.append(str(incident))
            lines += [str(entry) for entry in await self.timeline(incident.number)]
            lines += [str(row) for row in await self.pages_planned(incident.number)]
        return lines

    @property
    def errors(self) -> list[str]:
        """Events that were logged as errors and that the story did not announce."""
        loud = [entry for entry in self.logs if entry["log_level"] in ("error", "critical")]
        return [str(entry) for entry in loud if entry["event"] not in self.expected_errors]


class _Everything:
    status: tuple[str, ...] = ()
    service: str | None = None
    text: str | None = None


Everything: Any = _Everything()


# ------------------------------------------------------------------------- configurations in layers


def laid_over(base: str, over: str) -> str:
    """YAML `base` with the entries of `over`: what both have is replaced, section by section and name by name."""
    first, second = yaml.compose(base, Loader=yaml.BaseLoader), yaml.compose(over, Loader=yaml.BaseLoader)
    if second is not None:
        _lay(first, second, depth=2)
    return yaml.serialize(first, Dumper=yaml.BaseDumper)


def _lay(first: Any, second: Any, depth: int) -> None:
    for name, value in second.value:
        same = [index for index, (known, _) in enumerate(first.value) if known.value == name.value]
        if not same:
            first.value.append((name, value))
        elif depth > 1 and isinstance(value, yaml.MappingNode):
            _lay(first.value[same[0]][1], value, depth - 1)
        elif value.value in ("", "~"):
            del first.value[same[0]]
        else:
            first.value[same[0]] = (name, value)
