"""A small daemon behind the real doors: it keeps what it is given in lists, and says what a test tells it to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from tocsin.clock import SeededChance, VirtualClock
from tocsin.decide.heartbeats.heartbeats import beat_view
from tocsin.decide.muting.mutes import Mutes
from tocsin.decide.oncall.overrides import extra_of
from tocsin.decide.routing.matchers import parse
from tocsin.decide.routing.rules import Rulebook
from tocsin.decide.whatif.explain import explain
from tocsin.decide.whatif.explain_report import as_json
from tocsin.errors import BadBody, NoSuchIncident, Refused
from tocsin.metrics import Metrics
from tocsin.model import (
    Actor,
    Alert,
    Attempt,
    Beat,
    ChannelConfig,
    Contact,
    Entry,
    Heartbeat,
    Incident,
    Instant,
    IntegrationConfig,
    Layer,
    MadeOverride,
    Millis,
    Page,
    Parsed,
    Policy,
    Rejected,
    Schedule,
    Secret,
    Server,
    Service,
    Settings,
    Silence,
    Step,
    StoredAlert,
    Swap,
    Target,
    Token,
    User,
    Verification,
)
from tocsin.work.ingest.posts import Taken, Waiter
from tocsin.work.paging.contacts import ContactView, MessageStatus
from tocsin.work.whatif.explain import Asked

NOW = Instant(1_795_000_000_000)
ACCOUNT = "AC0123456789abcdef0123456789abcdef"
ROUTING_KEY = "0123456789abcdef0123456789abcdef"
SHOP_KEY = "abcdefabcdefabcdefabcdefabcdef00"

SETTINGS = Settings(
    hash="h",
    source="tocsin.yaml",
    server=Server(host="0.0.0.0", public_url="https://tocsin.larkspur.example"),  # nothing listens there
    integrations={
        "prometheus": IntegrationConfig("prometheus", "alertmanager", Secret(("prom-token", "prom-token-2"))),
        "own": IntegrationConfig("own", "webhook", Secret(("own-token",))),
        "apps": IntegrationConfig(
            "apps",
            "pagerduty",
            options={
                "routing_key": Secret((ROUTING_KEY,)),
                "routing_keys": {"shop": {"key": Secret((SHOP_KEY,)), "service": "shop"}},
            },
        ),
    },
    channels={
        "sms": ChannelConfig(
            "sms", "twilio_sms", {"account_sid": ACCOUNT, "auth_token": Secret(("old-secret", "twilio-secret"))}
        ),
        "mail": ChannelConfig("mail", "smtp", {}, to="ops@example.org"),
    },
    users={
        "ana": User("ana", "Ana Pires", "Europe/Lisbon", contacts={"sms": Contact("sms", "sms", "+351900000000")}),
        "bo": User("bo", "Bo Lund", "UTC"),
        "grace": User("grace", "Grace", "UTC", "admin"),
    },
    schedules={"primary": Schedule("primary", "Europe/Paris", (Layer("always", (("ana",),), None),))},
    policies={"default": Policy("default", (Step((Target("schedule", "primary"),)),))},
    services={"shop": Service("shop", owner="payments")},
    heartbeats={"nightly": Heartbeat("nightly", Millis(300_000), token=Secret(("beat-token",)))},
)

INCIDENT = Incident(
    number=42,
    key="own/db",
    status="triggered",
    title="The <b>database</b> is down",
    service="shop",
    severity="critical",
    impact="high",
    urgency="high",
    priority="P1",
    category="",
    integration="own",
    policy="default",
    policy_hash="p",
    created_at=NOW,
    updated_at=NOW,
    due_at=Instant(NOW + 300_000),
    due_kind="step",
    firing=1,
    total=1,
    opened_by="integration:own",
)

TOKENS = {
    "viewer-token": Token("1", "wall", "viewer", "ana", "", NOW),
    "ana-token": Token("2", "ana", "responder", "ana", "", NOW),
    "nobody-token": Token("3", "robot", "responder", None, "", NOW),
    "gone-token": Token("4", "gone", "responder", "zoe", "", NOW),
    "admin-token": Token("5", "grace", "admin", "grace", "", NOW),
}


class FixedClock(VirtualClock):
    """Stands still; deadlines pass when a test says so."""

    def __init__(self) -> None:
        super().__init__(NOW)
        self.running: list[asyncio.Timeout] = []
        self.waited_on = asyncio.Event()
        self.limits: list[Millis] = []

    def monotonic(self) -> float:
        return 0.0

    @asynccontextmanager
    async def timeout(self, length: Millis) -> AsyncIterator[None]:
        self.limits.append(length)
        async with asyncio.timeout(None) as limit:
            self.running.append(limit)
            self.waited_on.set()
            yield

    def pass_deadlines(self) -> None:
        """What waits under a deadline has waited too long."""
        for limit in self.running:
            limit.reschedule(0)


@dataclass
class JsonSource:
    """Reads {"title", "key"} or a list of these; "bad" in place of one is a rejected alert."""

    type: str
    title: str = "JSON"
    options: Any = field(default_factory=dict)

    def parse(self, raw: bytes, headers: Any, config: IntegrationConfig, now: Instant) -> Parsed:
        try:
            found = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise BadBody(f"not JSON: {error}") from None
        bodies = found if isinstance(found, list) else [found]
        good = tuple(self.alert(body) for body in bodies if isinstance(body, dict))
        bad = tuple(Rejected(f"/{at}", "not an object") for at, body in enumerate(bodies) if not isinstance(body, dict))
        return Parsed(good, bad)

    def alert(self, body: dict[str, Any]) -> Alert:
        if body.get("severity") == "wrong":
            raise BadBody("'payload.severity' is invalid (must be one of the following: 'critical')")
        return Alert("firing", body.get("dedup_key") or body.get("key"), title=str(body.get("title", "")))


class FakeIntake:
    def __init__(self) -> None:
        self.posts: list[tuple[IntegrationConfig, bytes, Parsed]] = []
        self.waiters: list[tuple[Waiter, Taken]] = []  # of posts that were taken at once, and what to tell them
        self.gate: asyncio.Event | None = None  # what `take` waits for
        self.prompt = False  # whether they hear of it in the loop's next turn
        self.trouble: Exception | None = None

    async def take(self, integration: IntegrationConfig, raw: bytes, parsed: Parsed) -> Taken:
        if self.gate is not None:
            await self.gate.wait()
        if self.trouble is not None:
            raise self.trouble
        self.posts.append((integration, raw, parsed))
        keys = tuple(alert.source_key or "minted" for alert in parsed.alerts)
        return Taken(len(parsed.alerts), (42,), parsed.rejected, keys)

    def take_at_once(self, integration: IntegrationConfig, raw: bytes, parsed: Parsed, waiter: Waiter) -> bool:
        if self.trouble is not None:
            return False
        self.posts.append((integration, raw, parsed))
        taken = Taken(len(parsed.alerts), (42,), parsed.rejected, ())
        if self.prompt:
            asyncio.get_running_loop().call_soon(waiter.set_result, taken)
        else:
            self.waiters.append((waiter, taken))
        return True

    def up_to_date(self, alert: StoredAlert) -> StoredAlert:
        return alert


@dataclass(frozen=True)
class FakeDone:
    incident: Incident
    changed: bool
    said: str


class FakeActions:
    """Every action is written down; incident 42 exists, incident 43 is closed for good."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def did(self, verb: str, number: int, *more: Any, **changes: Any) -> FakeDone:
        if number == 43:
            raise Refused("INC 43 is closed")
        if number != 42:
            raise NoSuchIncident(number)
        self.calls.append((verb, number, *more))
        return FakeDone(replace(INCIDENT, **changes), True, f"INC {number} {verb}.")

    async def acknowledge(self, number: int, actor: Actor, via: str, evidence: str = "") -> FakeDone:
        return self.did("acknowledge", number, str(actor), via, status="acknowledged", acknowledged_by=actor.shown)

    async def unacknowledge(self, number: int, actor: Actor, via: str, evidence: str = "") -> FakeDone:
        return self.did("unacknowledge", number, str(actor), via)

    async def resolve(self, number: int, actor: Actor, via: str, evidence: str = "") -> FakeDone:
        return self.did("resolve", number, str(actor), via, status="resolved")

    async def cancel(self, number: int, actor: Actor, via: str, evidence: str = "") -> FakeDone:
        return self.did("cancel", number, str(actor), via, status="canceled")

    async def close(self, number: int, actor: Actor, via: str, evidence: str = "") -> FakeDone:
        return self.did("close", number, str(actor), via, status="closed")

    async def escalate(self, number: int, actor: Actor, via: str, evidence: str = "") -> FakeDone:
        return self.did("escalate", number, str(actor), via)

    async def snooze(self, number: int, until: Instant, actor: Actor, via: str) -> FakeDone:
        return self.did("snooze", number, str(actor), via, until)

    async def note(self, number: int, text: str, actor: Actor, via: str) -> FakeDone:
        return self.did("note", number, str(actor), via, text)

    async def page(self, number: int, target: str, actor: Actor, via: str) -> FakeDone:
        return self.did("page", number, str(actor), via, target)

    async def trigger(self, title: str, actor: Actor, via: str, **facts: Any) -> FakeDone:
        return self.did("trigger", 42, str(actor), via, title, facts)


class FakeSilences:
    def __init__(self) -> None:
        self.kept: dict[str, Silence] = {}

    async def add(
        self, matchers: Any, starts_at: Instant, ends_at: Instant, author: str, comment: str, id: str | None = None
    ) -> Silence:
        for index, text in enumerate(matchers):
            try:
                parse(text, small=True)
            except ValueError as wrong:
                raise Refused(str(wrong), status=422, culprits=((f"/matchers/{index}", str(wrong)),)) from None
        silence = Silence(f"s{len(self.kept) + 1}", tuple(matchers), starts_at, ends_at, author, comment, NOW)
        self.kept[silence.id] = silence
        return silence

    async def expire(self, id: str, actor: Actor) -> Silence:
        self.kept[id] = replace(self.kept[id], ends_at=NOW)
        return self.kept[id]

    async def list(self, active: bool, limit: int = 1_000, after: Any = None) -> Any:
        return [one for one in self.kept.values() if not active or one.ends_at > NOW]

    async def ending(self, limit: int, after: Any = None) -> Any:
        since = (NOW + 1, "") if after is None else tuple(after)
        found = sorted(self.kept.values(), key=lambda one: (one.ends_at, one.id))
        return [one for one in found if (one.ends_at, one.id) > since][:limit]

    async def ended(self, limit: int) -> Any:
        return [one for one in self.kept.values() if one.ends_at <= NOW][:limit]

    async def find(self, id: str) -> Silence | None:
        return self.kept.get(id)

    async def mutes(self) -> Mutes:
        mutes = Mutes(SETTINGS)
        mutes.replace(await self.list(True))
        return mutes


class FakeOverrides:
    """Keeps what it is asked to; override s1 and swap s1 exist."""

    def __init__(self, live: FakeLive) -> None:
        self.live = live
        self.kept = {"s1": MadeOverride("s1", "primary", ("bo",), Instant(NOW + 3_600_000), Instant(NOW + 7_200_000), "ana", "replace",
                                        "ana", "dentist", NOW)}  # fmt: skip
        self.calls: list[tuple[Any, ...]] = []
        self.trouble: Exception | None = None

    async def add(self, asked: Any, actor: Actor) -> MadeOverride:
        if self.trouble is not None:
            raise self.trouble
        self.calls.append(("add", asked, str(actor)))
        return replace(self.kept["s1"], id="s2", users=asked.users, author=actor.name)

    async def remove(self, id: str, actor: Actor, schedule: str | None = None) -> MadeOverride:
        if id not in self.kept:
            raise Refused(f"there is no override '{id}'", status=404)
        self.calls.append(("remove", id, str(actor), schedule))
        return replace(self.kept[id], removed_at=NOW, removed_by=actor.name)

    async def in_force(self, since: Instant) -> Any:
        return extra_of((one for one in self.kept.values() if one.ends_at > since), self.live.settings)

    async def list(self, schedule: str | None, everything: bool = False, limit: int = 1_000, after: Any = None) -> Any:
        return list(self.kept.values())


class FakeSwaps:
    def __init__(self) -> None:
        self.kept = Swap("s1", "primary", "ana", "bo", Instant(NOW + 1000), Instant(NOW + 2000), Instant(NOW + 3000),
                         Instant(NOW + 4000), "wedding", NOW)  # fmt: skip
        self.calls: list[tuple[Any, ...]] = []

    async def ask(self, asked: Any, actor: Actor) -> Swap:
        self.calls.append(("ask", asked, str(actor)))
        return replace(self.kept, asker=actor.name, asked=asked.asked)

    async def accept(self, id: str, actor: Actor) -> Swap:
        self.calls.append(("accept", id, str(actor)))
        return replace(self.kept, status="accepted", answered_at=NOW, answered_by=actor.name)

    async def decline(self, id: str, actor: Actor) -> Swap:
        self.calls.append(("decline", id, str(actor)))
        return replace(self.kept, status="declined", answered_at=NOW, answered_by=actor.name)

    async def withdraw(self, id: str, actor: Actor) -> Swap:
        self.calls.append(("withdraw", id, str(actor)))
        return replace(self.kept, status="withdrawn", answered_at=NOW, answered_by=actor.name)

    async def list(self, everything: bool = False, limit: int = 1_000, after: Any = None, **_: Any) -> Any:
        return [self.kept]


class FakeKeys:
    newest = "key-2"
    valid = ("key-2", "key-1")


@dataclass(frozen=True)
class FakeTurn:
    say: str
    menu: bool


@dataclass(frozen=True)
class FakeView:
    incident: Incident
    user: str
    said: str
    live: bool


class FakeAnswers:
    """Answers as work/paging/replies.py: attempt "known" and link "good" exist."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    async def sms(self, account: str, to: str, sender: str, body: str, message_id: str, opt_out: str) -> str | None:
        self.heard.append(("sms", account, to, sender, body, message_id, opt_out))
        return "INC 42 acknowledged by you." if sender == "+15005550010" else None

    async def voice(self, account: str, attempt_id: str, call_id: str, digits: str | None) -> FakeTurn:
        assert account == ACCOUNT
        self.heard.append(("voice", attempt_id, call_id, digits))
        if attempt_id != "known":
            return FakeTurn("This call is not known. Goodbye.", False)
        return FakeTurn("Acknowledged.", False) if digits == "4" else FakeTurn("Press 4 & more.", True)

    async def receipt(self, account: str, attempt_id: str, sid: str, state: str, error: str | None) -> None:
        assert account == ACCOUNT
        assert sid
        self.heard.append(("receipt", attempt_id, state, error))

    async def link(self, token: str) -> FakeView | None:
        return FakeView(INCIDENT, "ana", "", True) if token == "good" else None

    async def press(self, token: str, action: str = "acknowledge") -> FakeView | None:
        if token != "good":
            return None
        self.heard.append(("press", token, action))
        after = replace(INCIDENT, status="acknowledged", acknowledged_by="ana")
        return FakeView(after, "ana", "INC 42 acknowledged by you. Paging stopped.", False)


class FakeContacts:
    """Ana's SMS is verified; every code is right, every test arrives."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.page = Page(
            "p1",
            "test/ana/sms/p1",
            "test",
            None,
            0,
            0,
            0,
            0,
            "user:ana",
            "ana",
            "sms",
            "sms",
            NOW,
            NOW,
            "done",
            tries=1,
        )

    async def all_views(self, users: list[User]) -> dict[str, list[ContactView]]:
        return {
            user.key: [ContactView(one, True, NOW, False, "answered STOP", None) for one in user.contacts.values()]
            for user in users
        }

    async def verify(self, user: str, contact: str, actor: Actor, *, admin: bool) -> tuple[Page, Instant]:
        self.asked.append(("verify", user, contact, str(actor), admin))
        return self.page, Instant(NOW + 600_000)

    async def confirm(self, user: str, contact: str, code: str, actor: Actor) -> Verification:
        self.asked.append(("confirm", user, contact, code, str(actor)))
        return Verification(user, "twilio_sms", "+15005550010", NOW, str(actor))

    async def test(self, user: str, by: str, actor: Actor) -> list[Page]:
        self.asked.append(("test", user, by, str(actor)))
        return [self.page]

    async def settled(self, user: str, page: str, until: Instant) -> MessageStatus:
        self.asked.append(("settled", user, page, until))
        attempt = Attempt("a1", page, None, "sms", "+15005550010", 1, "me", NOW, "accepted", because="to +15005550010")
        return MessageStatus(self.page, (attempt,), "accepted", "delivered", "", False, True)


class FakeAccess:
    def __init__(self) -> None:
        self.revoked: set[str] = set()
        self.ended: set[str] = set()

    async def check(self, bearer: str) -> Token | None:
        return TOKENS.get(bearer) if bearer not in self.revoked else None

    async def by_id(self, id: str) -> Token | None:
        return next((one for bearer, one in TOKENS.items() if one.id == id and bearer not in self.revoked), None)

    async def sign_out(self, mark: str, until: Instant) -> None:
        self.ended.add(mark)

    async def signed_out(self, mark: str) -> bool:
        return mark in self.ended


class FakeHealth:
    def __init__(self) -> None:
        self.good = True

    async def ready(self) -> tuple[bool, dict[str, Any]]:
        checks = {"store": "ok" if self.good else "gone", "timers": "ok", "channels": {"sms": "all calls failed"}}
        return self.good, {"status": "ready" if self.good else "unready", "checks": checks}


class FakeForesight:
    """Answers from the configuration alone."""

    def __init__(self, live: FakeLive) -> None:
        self.live = live
        self.asked: list[Asked] = []

    async def explain(self, asked: Asked) -> dict[str, Any]:
        self.asked.append(asked)
        settings = self.live.settings
        found = explain(settings, Rulebook(settings), asked.integration, asked.parsed, asked.at)
        return as_json(found, asked.parsed, settings, asked.at)


class FakeSelfAlerts:
    def __init__(self) -> None:
        self.refused: list[tuple[str, str]] = []

    def refused_post(self, integration: str, detail: str) -> None:
        self.refused.append((integration, detail))


class FakeStore:
    """Incidents 42..40, newest first, whatever is asked for."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.trouble: Exception | None = None

    async def incident(self, number: int) -> Incident | None:
        if self.trouble is not None:
            raise self.trouble
        return INCIDENT if number == 42 else None

    async def incidents(self, where: Any, limit: int, before: int | None) -> list[Incident]:
        self.asked.append((where, limit, before))
        below = 43 if before is None else before
        return [replace(INCIDENT, number=number) for number in (42, 41, 40) if number < below][:limit]

    async def urgent_incidents(self, where: Any, limit: int, after: Any) -> list[Incident]:
        return await self.incidents(where, limit, None if after is None else after.number)

    async def members(self, storm: int, limit: int, after: int | None) -> list[Incident]:
        return [replace(INCIDENT, number=number, storm=42) for number in (43, 44, 45) if number > (after or 0)][:limit]

    async def timeline(self, number: int, limit: int, after: int | None) -> list[Entry]:
        return [Entry(number, NOW, "note", "user:ana", "api", "looking", id=7)]

    async def pages(self, number: int, limit: int = 0, after: int = 0) -> list[Any]:
        return []

    async def incident_alerts(self, number: int, limit: int, after: int | None) -> list[Any]:
        return []

    async def alerts(self, **_: Any) -> list[Any]:
        return []

    async def firing_in(self, incidents: Any, after: Any, limit: int) -> list[Any]:
        return []

    async def related(self, incident: int, limit: int) -> list[Any]:
        return []

    async def changes(self, since: Instant, until: Instant, *, service: str | None, limit: int) -> list[Any]:
        return []


@dataclass
class FakeLive:
    settings: Settings = SETTINGS
    sources: dict[str, Any] = field(
        default_factory=lambda: {kind: JsonSource(kind) for kind in ("alertmanager", "webhook", "pagerduty")}
    )


class FakeHeartbeats:
    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []

    async def check_in(self, name: str, by: str) -> Beat:
        self.heard.append((name, by))
        return Beat(name, "every 5m", Instant(NOW + 300_000), NOW, by)

    async def views(self) -> list[dict[str, object]]:
        return [self.view(Beat("nightly", "every 5m", Instant(NOW + 300_000)))]

    def view(self, beat: Beat) -> dict[str, object]:
        return beat_view(beat, Heartbeat(beat.name, Millis(300_000)), NOW)


class FakeSubscriptions:
    """One link a calendar: `schedule:primary/0`, and /1 once it was taken back."""

    def __init__(self) -> None:
        self.turns: dict[str, int] = {}

    async def token(self, kind: str, name: str, by: str = "") -> str:
        return f"{kind}:{name}/{self.turns.get(f'{kind}:{name}', 0)}"

    async def opens(self, token: str, kind: str, name: str) -> str | None:
        return "" if token == await self.token(kind, name) else None

    async def take_back(self, kind: str, name: str) -> None:
        self.turns[f"{kind}:{name}"] = self.turns.get(f"{kind}:{name}", 0) + 1


class FakeDaemon:
    def __init__(self) -> None:
        self.clock = FixedClock()
        self.chance = SeededChance(1)
        self.live = FakeLive()
        self.intake = FakeIntake()
        self.actions = FakeActions()
        self.silences = FakeSilences()
        self.overrides = FakeOverrides(self.live)
        self.swaps = FakeSwaps()
        self.keys = FakeKeys()
        self.answers = FakeAnswers()
        self.access = FakeAccess()
        self.contacts = FakeContacts()
        self.heartbeats = FakeHeartbeats()
        self.subscriptions = FakeSubscriptions()
        self.health = FakeHealth()
        self.foresight = FakeForesight(self.live)
        self.self_alerts = FakeSelfAlerts()
        self.store: Any = FakeStore()  # of a store, what these doors read
        self.metrics = Metrics()
        self.reloads: list[bool] = []

    async def reload(self, yes: bool = False) -> str:
        self.reloads.append(yes)
        return "1 service added"

    @property
    def whole(self) -> Any:
        """Itself, as what stands in for the daemon of the wiring."""
        return self

    def with_settings(self, **changes: Any) -> None:
        self.live.settings = replace(self.live.settings, **changes)
