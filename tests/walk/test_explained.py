"""What explain says would happen is what then happens: both run for random configurations, in virtual time."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from tests.walk.conftest import Build
from tests.walk.town import ACCOUNT, NUMBER, Town
from tocsin.decide.whatif.escalation_forecast import hours_begin
from tocsin.model import HOUR, MINUTE, Instant, Millis, instant
from tocsin.work.whatif.explain import Asked

HOURS = 3
PEOPLE = ("ana", "bo", "grace", "chen", "dora")
CHANNELS = ("sms", "voice", "hook", "second")
LIMITLESS = "{sms: [1000/1m], voice: [1000/1m]}"
COUNT, TOWNS, LIMITED = 200, 4, 40
ACTIONS = frozenset({"open", "hold", "join", "update"})


# ------------------------------------------------------------------------------ random configurations


class Draw:
    """A random configuration, as YAML."""

    def __init__(self, seed: int, now: Instant, throttle: str = LIMITLESS, contacts: int = 3) -> None:
        self.chance, self.throttle, self.contacts = random.Random(seed), throttle, contacts
        self.channels: tuple[str, ...] = CHANNELS
        self.today = datetime.fromtimestamp(now // 1000, UTC).date()

    def one(self, *choices: Any) -> Any:
        return self.chance.choice(choices)

    def some(self, names: tuple[str, ...], most: int) -> list[str]:
        return self.chance.sample(names, self.chance.randint(1, min(most, len(names))))

    def minutes(self, most: int) -> str:
        return f"{self.chance.randint(2, most)}m"

    def text(self) -> str:
        return f"""
server: {{public_url: "https://tocsin.example.org"}}
database: {{url: "sqlite:tocsin.db"}}
integrations: {{apps: {{type: webhook, token: apps-token}}}}
defaults: {{timezone: Europe/Paris{self.one(", policy: default", ", policy: default", ", policy: other", "")}}}
throttle: {self.throttle}
catch_all: [{", ".join(self.some(("user:grace", "user:dora", "channel:ops", "team:platform"), 2))}]
channels:
  sms: {{type: twilio_sms, account_sid: {ACCOUNT}, auth_token: secret, from: "{NUMBER}"}}
  voice: {{type: twilio_voice, account_sid: {ACCOUNT}, auth_token: secret, from: "{NUMBER}"}}
  hook: {{type: webhook, url: "https://hook.example.org/in"}}
  second: {{type: webhook, url: "https://hook.example.org/in"}}
  ops: {{type: webhook, url: "https://hook.example.org/in", to: ops}}
users:
{"".join(self.user(number, key) for number, key in enumerate(PEOPLE))}
teams:
  platform: {{members: [{", ".join(self.some(PEOPLE, 3))}], managers: [{", ".join(self.some(PEOPLE, 2))}]}}
schedules:
{self.schedule("primary")}{self.schedule("second")}
policies:
{self.policy("default")}{self.policy("other")}
services:
  shop: {{impact: {self.one("high", "medium", "low")}{self.support()}{self.one("", ", policy: other")}}}
  cellar: {{impact: {self.one("medium", "low")}}}
rules:
{self.rules()}"""

    def user(self, number: int, key: str) -> str:
        addresses = {"sms": f'"+1500555002{number}"', "voice": f'"+1500555002{number}"'}
        names = self.some(self.channels, self.contacts) if self.chance.random() < 0.9 else []
        contacts = ", ".join(f"{name}: {addresses.get(name, key)}" for name in names)
        notify = ""
        if names and self.chance.random() < 0.6:
            urgencies = self.some(("high", "medium", "low"), 3)
            notify = f", notify: {{{', '.join(f'{urgency}: [{self.ways(names)}]' for urgency in urgencies)}}}"
        return f"  {key}: {{name: {key.title()}, timezone: {self.one('UTC', 'Asia/Tokyo')}, contacts: {{{contacts}}}{notify}}}\n"

    def ways(self, names: list[str]) -> str:
        afters = sorted(self.chance.sample(range(12), self.chance.randint(1, 3)))
        return ", ".join(f"{{by: [{', '.join(self.some(tuple(names), 2))}], after: {after}m}}" for after in afters)

    def schedule(self, name: str) -> str:
        layers = "".join(self.layer(number) for number in range(self.chance.randint(1, 2)))
        overrides = ""
        if self.chance.random() < 0.5:
            first = self.today + timedelta(days=self.chance.randint(-1, 1))
            mode = self.one("", ", mode: add", ", mode: remove")
            window = f"from: {first} 10:00, to: {first + timedelta(days=1)} 15:30"
            overrides = f"    overrides: [{{user: {self.one(*PEOPLE)}, {window}{mode}}}]\n"
        zone = self.one("UTC", "Europe/Paris", "America/Chicago")
        return f"  {name}:\n    timezone: {zone}\n    layers:\n{layers}{overrides}"

    def layer(self, number: int) -> str:
        users = ", ".join(self.some(PEOPLE, 3))
        every, days = self.one(("1h", ""), ("5h", ""), ("1d", ""), ("1d", ", days: Mon-Fri"), ("1w", ""), ("2w", ""))
        rotation = f"rotation: {{every: {every}, start: 2026-01-01 {self.one('00:00', '09:00', '13:30')}{days}}}"
        hours = self.one(
            "", "", ", hours: {from: 08:00, to: 20:00}", ", hours: {days: Mon-Fri, from: 22:00, to: 13:00}"
        )
        return f"      - {{name: layer{number}, users: [{users}], {rotation}{hours}}}\n"

    def policy(self, name: str) -> str:
        steps = "".join(self.step() for _ in range(self.chance.randint(1, 4)))
        repeat = self.one("0", "1", "2", "forever")
        return f"  {name}:\n    steps:\n{steps}    repeat: {repeat}\n"

    def step(self) -> str:
        targets = self.some(
            ("user:ana", "user:bo", "user:chen", "schedule:primary", "schedule:second", "schedule:primary@next",
             "team:platform", "team:platform@oncall", "managers:platform", "channel:ops"), 3
        )  # fmt: skip
        only = self.one("", "", "", ", only: {priority: [P1, P2]}", ", only: {urgency: [low]}", ", only: {hours: off}",
                        ", only: {hours: support}")  # fmt: skip
        pick = self.one("", "", ", pick: one")
        return f"      - {{notify: [{', '.join(targets)}], wait: {self.minutes(20)}{only}{pick}}}\n"

    def support(self) -> str:
        if self.chance.random() < 0.5:
            return ""
        start, end = self.chance.randint(6, 16), self.chance.randint(17, 23)
        return f", support_hours: {{timezone: UTC, days: Mon-Sat, from: '{start:02}:30', to: '{end:02}:00'}}"

    def rules(self) -> str:
        found = ["  - {name: by cluster, match: ['cluster!=\"\"'], group_by: [cluster]}\n"]
        if self.chance.random() < 0.4:
            found.append(f"  - {{name: patience, match: ['label.slow=\"yes\"'], hold: {self.minutes(40)}}}\n")
        if self.chance.random() < 0.3:
            found.append("  - {name: urgent, match: ['service=\"cellar\"'], set: {priority: P2}}\n")
        if self.chance.random() < 0.2:
            found.append("  - {name: again, re_page: any}\n")
        return "".join(found)

    def alert(self, key: str) -> dict[str, Any]:
        labels = {"cluster": self.one("eu", "us")} if self.chance.random() < 0.6 else {}
        labels |= {"slow": "yes"} if self.chance.random() < 0.3 else {}
        return {
            "title": f"trouble {key}", "dedup_key": key, "status": "firing", "labels": labels,
            "severity": self.one("critical", "error", "warning", "info"),
            "service": self.one("shop", "shop", "cellar", "unheard of"),
        }  # fmt: skip


# ----------------------------------------------------------------------------------- both, compared


@pytest.mark.parametrize("part", range(TOWNS))
async def test_the_plan_of_explain_is_what_the_daemon_then_does(part: int, build: Build) -> None:
    town = await build()
    await put_chores_to_rest(town)
    met: Counter[str] = Counter()

    wrong = [difference for seed in range(part, COUNT, TOWNS) for difference in await one_story(town, seed, met)]

    assert not wrong, "\n".join(wrong)
    assert met["pages"] > 1_000
    assert {*ACTIONS, "muted", "unmuted", "retriggered", "nobody", "unreachable", "catch_all"} <= met.keys(), met


async def test_within_limits_too_and_a_summary_where_the_daemon_sends_one(build: Build) -> None:
    town = await build()
    await put_chores_to_rest(town)
    met: Counter[str] = Counter()

    wrong = [difference for seed in range(LIMITED) for difference in await one_limited_story(town, 9_000 + seed, met)]

    assert not wrong, "\n".join(wrong)
    assert met["summary"] > 20
    assert met["bundled"] > 20


async def test_what_goes_another_way_and_keeps_its_place_too(build: Build) -> None:
    town = await build()
    await put_chores_to_rest(town)
    met: Counter[str] = Counter()

    stories = [await one_limited_story(town, 7_000 + seed, met, quiet=True) for seed in range(LIMITED)]

    wrong = [difference for found in stories for difference in found]
    assert not wrong, "\n".join(wrong)
    assert met["summary"] > 10


async def one_limited_story(town: Town, seed: int, met: Counter[str], *, quiet: bool = False) -> list[str]:
    """One alert; what went out before is too long ago to count.

    Everybody has one contact: two channels that wake at the same instant would ask each other for room in either order.
    With `quiet` one of two, which has no limit and so asks nobody.
    """
    await travel(town, Instant(town.clock.now() + 3 * HOUR))
    draw = Draw(seed, town.clock.now(), "{sms: [1/10m, 3/1h], voice: [1/10m, 2/1h], hook: [2/20m]}", 1)
    if quiet:
        draw = Draw(seed, town.clock.now(), "{sms: [1/607s, 3/3667s]}", 2)  # no slot is free when a step is due
        draw.channels = ("sms", draw.one("hook", "second"))
    await reload(town, draw)
    began = town.clock.now()
    number, foreseen, ties = await post_and_foresee(town, draw.alert(f"limited-{seed}"), met)
    await travel(town, Instant(began + HOURS * HOUR))
    told = told_since(town, number or 0, began)
    for incident in await town.incidents():
        if incident.open:
            await town.resolve(incident.number)
    return differences(f"seed {seed}", began, ties, without_step(foreseen), without_step(told))


def without_step(pages: Counter[Page]) -> Counter[Page]:
    """Of pages that are due together in one message, any may be the one that carries the others."""
    found: Counter[Page] = Counter()
    for (when, _, user, channel), times in pages.items():
        found[(when, 0, user, channel)] += times
    return found


async def put_chores_to_rest(town: Town) -> None:
    """What pages nobody: in months of virtual time it takes most of the real one."""
    for task in list(town.daemon.tasks._tasks):
        if task.get_name() in ("chore gaps", "chore gauges", "chore prune", "chore alive", "event loop lag"):
            task.cancel()
    await town.settle()


async def one_story(town: Town, seed: int, met: Counter[str]) -> list[str]:
    """A configuration, a silence or two, one to three alerts: each explained first. At most a first answer comes."""
    draw, wrong = Draw(seed, town.clock.now()), list[str]()
    await reload(town, draw)
    await travel(town, Instant(town.clock.now() // MINUTE * MINUTE + draw.chance.randint(1, 60 * 20) * MINUTE + 17_000))
    for _ in range(draw.one(0, 0, 1, 2)):
        matcher = draw.one('cluster="eu"', 'severity=~"critical|error"', 'service="shop"')
        await town.silence(matcher, minutes=draw.one(37.5, 61.5, 180.5), starts_in=draw.one(-30, 0, 12.5, 100.5))
    for count in range(draw.one(1, 2, 2, 3)):
        began = town.clock.now()
        number, foreseen, ties = await post_and_foresee(town, draw.alert(f"{seed}-{draw.one(count, 0)}"), met)
        span = HOURS * HOUR if draw.chance.random() < 0.5 else draw.chance.randint(1, 90) * MINUTE
        await travel(town, Instant(began + span))
        if number is not None:
            told = told_since(town, number, began)
            met["pages"] += sum(told.values())
            foreseen = Counter({page: times for page, times in foreseen.items() if page[0] <= began + span})
            wrong += differences(f"seed {seed}, alert {count}", began, ties, foreseen, told)
            if draw.chance.random() < 0.3:
                await town.ack(number)
    for incident in await town.incidents():
        if incident.open:
            await town.resolve(incident.number)
    return wrong


async def reload(town: Town, draw: Draw) -> None:
    (town.folder / "tocsin.yaml").write_text(draw.text(), encoding="utf-8")
    await town.daemon.reload(yes=True)
    await town.settle()


Page = tuple[int, int, str, str]  # at, step, user, channel


async def post_and_foresee(
    town: Town, alert: dict[str, Any], met: Counter[str]
) -> tuple[int | None, Counter[Page], set[int]]:
    """The incident it is in; whom it will page, as foretold before it was posted; when it will fall silent."""
    config, now = town.daemon.live.settings.integrations["apps"], town.clock.now()
    parsed = town.daemon.live.sources["webhook"].parse(orjson.dumps(alert), {}, config, now)
    answer = await town.daemon.foresight.explain(Asked(config, parsed, now, Millis(HOURS * HOUR)))
    [one] = answer["alerts"]
    met.update([one["action"], *(note["kind"] for note in one["notes"])])
    town.outside.told.clear()
    taken = await town.post("apps", alert)
    met.update(page["kind"] for page in one["plan"])
    messages = [page for page in one["plan"] if page["kind"] != "bundled"]
    plan = Counter((at(page["at"]), page["step"], page["user"] or "", page["channel"]) for page in messages)
    muted = {at(note["at"]) for note in one["notes"] if note["kind"] == "muted"}
    return (taken.incidents[0] if taken.incidents else None), plan, muted


def told_since(town: Town, number: int, since: int) -> Counter[Page]:
    return Counter(
        (told.at, told.page.step if told.page else -1, told.user, told.channel)
        for told in town.told
        if told.incident == number and told.kind in ("page", "summary") and told.at >= since
    )


def differences(story: str, began: int, ties: set[int], foreseen: Counter[Page], told: Counter[Page]) -> list[str]:
    """What was foretold and did not happen, and what happened unforetold; the first of them.

    Whether a page leaves at the very instant at which a silence takes hold, nobody can know: two tasks wake up then.
    """
    only = [("foreseen", page) for page in sorted((foreseen - told).elements())]
    only += [("happened", page) for page in sorted((told - foreseen).elements())]
    return [
        f"{story}: {which} {(page[0] - began) / MINUTE:g}m {page[1:]}"
        for which, page in only[:6]
        if page[0] not in ties
    ]


def at(text: str) -> int:
    return instant(datetime.fromisoformat(text))


async def travel(town: Town, until: Instant) -> None:
    """From one instant at which something is due to the next; what only looks around meanwhile is skipped."""
    town.expected_errors.add("duty_cut_off")  # one that was under way finds its time over behind such a jump
    while (due := await next_event(town)) is not None and due <= until:
        town.clock.advance_to(due)
        await town.settle()
    town.clock.advance_to(until)
    await town.settle()


async def next_event(town: Town) -> Instant | None:
    now, services = town.clock.now(), town.daemon.live.settings.services.values()
    found = [await town._next_row(), town.daemon.runtime.mutes.next_start(now)]
    found += [next(hours_begin(one.support_hours, now), None) for one in services if one.support_hours is not None]
    return min((moment for moment in found if moment is not None), default=None)
