"""Calendars to subscribe to: what they say, what opens them, and that they mean the same when they are imported again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import icalendar
import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from itsdangerous import URLSafeSerializer

from tests.web.conftest import Client
from tests.web.real import running
from tocsin.clock import SeededChance, VirtualClock
from tocsin.decide.oncall import ical_export
from tocsin.decide.oncall.feeds import names_of, shifts_of
from tocsin.decide.oncall.ical import read_feed
from tocsin.decide.oncall.resolver import shifts
from tocsin.model import DAY, HOUR, Ical, Instant, Layer, Override, Rotation, Schedule, Secret, User, instant
from tocsin.model.schedules import Unit
from tocsin.wiring import Daemon, Ports
from tocsin.work.oncall.calendar_links import SALT

NOW = instant(datetime(2026, 3, 25, 12, tzinfo=UTC))
USERS = {
    key: User(key, name, "UTC")
    for key, name in (("ana", "Ana; Pires, née Ō" + "x" * 70), ("bo", "Bo Dahl"), ("chen", "chen"))
}


def schedule(*users: tuple[str, ...], every: Unit = "days", overrides: tuple[Override, ...] = ()) -> Schedule:
    return Schedule(
        "primary", "Europe/Paris", (Layer("week", users, Rotation(7, every, "2025-12-01T09:00")),), overrides
    )


WEEKLY = schedule(("ana",), ("bo", "chen"), ("chen",))


def events(raw: bytes) -> list[Any]:
    return list(icalendar.Calendar.from_ical(raw).walk("VEVENT"))


def entries(plan: Schedule, now: Instant = NOW) -> tuple[ical_export.Entry, ...]:
    return ical_export.entries_of(plan, USERS, now)


# --------------------------------------------------------------------------------------- the file


def test_the_file_is_sound_and_its_events_are_free() -> None:
    raw = ical_export.calendar("On call: primary", entries(WEEKLY), NOW)
    assert all(len(line) <= 75 for line in raw.split(b"\r\n"))
    assert raw.decode().splitlines()[:4] == [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Tocsin//On call//EN",
        "CALSCALE:GREGORIAN",
    ]
    calendar: Any = icalendar.Calendar.from_ical(raw)
    assert calendar["X-WR-CALNAME"] == "On call: primary"
    assert str(calendar["REFRESH-INTERVAL"].to_ical(), "ascii") == "PT1H"
    for event in calendar.walk("VEVENT"):
        assert event.errors == []
        assert (event["TRANSP"], event["STATUS"]) == ("TRANSPARENT", "CONFIRMED")
        assert event["DTSTAMP"].dt == event["LAST-MODIFIED"].dt == datetime(2026, 3, 25, 12, tzinfo=UTC)
    titles = {str(event["SUMMARY"]) for event in calendar.walk("VEVENT")}
    assert titles == {
        f"On Call - {USERS['ana'].name} - primary",
        "On Call - Bo Dahl, chen - primary",
        "On Call - chen - primary",
    }


def test_it_reaches_from_thirty_days_back_to_180_ahead_and_cuts_no_shift() -> None:
    found = entries(WEEKLY)
    assert found[0].start <= NOW - 30 * DAY < found[0].end
    assert found[-1].start < NOW + 180 * DAY <= found[-1].end
    assert {(one.end - one.start) // HOUR for one in found} == {7 * 24, 7 * 24 - 1}  # the night the clocks change


def test_a_shift_keeps_its_uid_through_days_and_changes() -> None:
    today = {one.start: one.uid for one in entries(WEEKLY)}
    later = {one.start: one.uid for one in entries(WEEKLY, Instant(NOW + 9 * DAY))}
    assert {start: uid for start, uid in later.items() if start in today}.items() <= today.items()
    assert len(set(today.values())) == len(today)
    changed = Override(("bo",), "2026-04-01T09:00", "2026-04-02T09:00")
    whole = entries(WEEKLY)
    split = entries(schedule(("ana",), ("bo", "chen"), ("chen",), overrides=(changed,)))
    kept = {one.uid for one in whole} & {one.uid for one in split}
    assert kept == {one.uid for one in whole}  # also the one that now ends earlier
    assert len(split) > len(whole)
    assert {one.start: one.uid for one in whole}.items() <= {one.start: one.uid for one in split}.items()
    forever = Schedule("primary", "UTC", (Layer("always", (("ana",),), None),))
    assert entries(forever)[0].uid == entries(forever, Instant(NOW + 40 * DAY))[0].uid


def test_a_later_version_has_a_higher_sequence() -> None:
    first, second = (events(ical_export.calendar("x", entries(WEEKLY), at))[0] for at in (NOW, Instant(NOW + 60_000)))
    assert 0 < first["SEQUENCE"] < second["SEQUENCE"] < 2**31


def test_a_persons_calendar_has_their_shifts_of_all_schedules() -> None:
    other = Schedule("backup", "UTC", (Layer("always", (("chen",),), None),))
    found = ical_export.entries_for("bo", [(WEEKLY, ()), (other, ())], USERS, NOW)
    assert {one.title for one in found} == {"On call: primary"}
    assert {one.description for one in found} == {"Together with chen"}
    both = ical_export.entries_for("chen", [(WEEKLY, ()), (other, ())], USERS, NOW)
    assert {one.title for one in both} == {"On call: primary", "On call: backup"}


# -------------------------------------------------------------------------------- round and round

KEYS = st.lists(st.sampled_from(["ana", "bo", "chen"]), min_size=1, max_size=2, unique=True).map(tuple)
OVERRIDES = st.lists(
    st.builds(
        lambda who, day, hour, hours, mode: Override(
            who, f"2026-04-{day:02}T{hour:02}:30", f"2026-04-{day + hours // 24:02}T{(hour + hours % 24) % 24:02}:45", None, mode
        ),
        KEYS, st.integers(1, 20), st.integers(0, 11), st.integers(1, 60), st.sampled_from(["replace", "add", "remove"]),
    ),
    max_size=4,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(KEYS, min_size=1, max_size=4), st.sampled_from(["hours", "days", "weeks"]), OVERRIDES)
def test_what_was_exported_means_the_same_when_it_is_imported(
    users: list[tuple[str, ...]], every: Unit, overrides: list[Override]
) -> None:
    plan = schedule(*users, every=every, overrides=tuple(one for one in overrides if one.start < one.end))
    raw = ical_export.calendar("x", entries(plan), NOW)
    start, end = Instant(NOW - 30 * DAY), Instant(NOW + 180 * DAY)
    fed = Schedule("copy", "UTC", (), ical=Ical(Secret(("https://x",))))
    read = shifts_of(read_feed(raw, "UTC", start, end), names_of(fed, USERS))
    copy = Schedule("copy", "UTC", (), feed=read.shifts)
    assert read.unknown == ()
    assert list(plain(copy, start, end)) == list(plain(plan, start, end))


def plain(plan: Schedule, start: Instant, end: Instant) -> Iterator[tuple[Instant, Instant, tuple[str, ...]]]:
    """Who from when to when, whatever the layer."""
    joined: list[tuple[Instant, Instant, tuple[str, ...]]] = []
    for one in shifts(plan, start, end).shifts:
        if joined and joined[-1][1:] == (one.start, one.users):
            joined[-1] = (joined[-1][0], one.end, one.users)
        else:
            joined.append((one.start, one.end, one.users))
    return iter(joined)


# -------------------------------------------------------------------------------------- the doors

CONFIGURATION = """
server: {listen: 127.0.0.1:0, public_url: "https://tocsin.larkspur.example"}
database: {url: "sqlite:tocsin.db"}
channels: {terminal: {type: console}}
users:
  ana: {name: Ana Pires, timezone: UTC, contacts: {terminal: Ana}}
  bo: {name: Bo Lund, timezone: UTC, contacts: {terminal: Bo}}
schedules:
  primary: {timezone: Europe/Paris, layers: [{name: week, users: [ana, bo], rotation: {every: 1w, start: 2026-01-05 09:00}}]}
policies:
  default: {steps: [{notify: [schedule:primary], wait: 5m}]}
"""


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    ports = Ports(VirtualClock(NOW), SeededChance(1), None, None, print, "inline")  # type: ignore[arg-type]  # nothing goes out
    async with running(tmp_path, CONFIGURATION, ports) as daemon:
        yield daemon


async def bearer(daemon: Daemon, role: Any, user: str | None = None) -> dict[str, str]:
    _, token = await daemon.access.create(f"{role}-{user}", role, user)
    return {"Authorization": f"Bearer {token}"}


def local(url: str) -> str:
    """The path and query of a link."""
    assert url.startswith("https://tocsin.larkspur.example/")
    return url.removeprefix("https://tocsin.larkspur.example")


async def link(client: Client, path: str, headers: dict[str, str]) -> str:
    return local((await (await client.get(path, headers=headers)).json())["url"])


async def test_a_link_opens_its_calendar_until_it_is_taken_back_and_nothing_else(
    client: Client, daemon: Daemon
) -> None:
    ana = await bearer(daemon, "responder", "ana")
    url = await link(client, "/v1/schedules/primary/ical-link", ana)
    with structlog.testing.capture_logs() as logs:
        found = await client.get(url)
        token = parse_qs(urlsplit(url).query)["token"][0]
        others = [
            (await client.get(f"/v1/users/ana.ics?token={token}")).status,
            (await client.get("/v1/incidents", headers={"Authorization": f"Bearer {token}"})).status,
            (await client.get(f"/v1/oncall?token={token}")).status,
            (await client.get(f"/v1/schedules/secondary.ics?token={token}")).status,
            (await client.get("/v1/schedules/primary.ics")).status,
            (await client.get(url + "x")).status,
        ]
        renewed = await (await client.delete("/v1/schedules/primary/ical-link", headers=ana)).json()
        dead = await client.get(url)
    assert (found.status, found.content_type) == (200, "text/calendar")
    assert {str(one["X-TOCSIN-USERS"]) for one in events(await found.read())} == {"ana", "bo"}
    assert others == [401, 401, 401, 401, 401, 401]
    assert dead.status == 401
    assert (await client.get(local(renewed["url"]))).status == 200
    assert token not in str(logs)


async def test_a_link_dies_with_the_token_that_asked_for_it(client: Client, daemon: Daemon) -> None:
    token, text = await daemon.access.create("phone", "viewer", "ana")
    headers = {"Authorization": f"Bearer {text}"}
    urls = [await link(client, f"/v1/{path}/ical-link", headers) for path in ("schedules/primary", "users/ana")]
    other = await link(client, "/v1/schedules/primary/ical-link", await bearer(daemon, "viewer"))
    assert [(await client.get(url)).status for url in (*urls, other)] == [200, 200, 200]

    await daemon.access.revoke(token.id)

    assert [(await client.get(url)).status for url in (*urls, other)] == [401, 401, 200]


async def test_a_link_made_before_it_named_its_token_still_opens(client: Client, daemon: Daemon) -> None:
    subscriptions = daemon.subscriptions
    text = URLSafeSerializer(await subscriptions._key(), salt=SALT).dumps(["schedule", "primary", ""])
    assert (await client.get(f"/v1/schedules/primary.ics?token={text}")).status == 200
    assert (await client.get(f"/v1/users/ana.ics?token={text}")).status == 401


async def test_of_links_that_are_taken_back_at_once_none_stays_open(client: Client, daemon: Daemon) -> None:
    admin = await bearer(daemon, "admin", "bo")
    paths = ["/v1/schedules/primary/ical-link", "/v1/users/ana/ical-link", "/v1/users/bo/ical-link"]
    urls = await asyncio.gather(*(link(client, path, admin) for path in paths))
    assert [(await client.get(url)).status for url in urls] == [200, 200, 200]
    await asyncio.gather(*(client.delete(path, headers=admin) for path in paths))
    assert [(await client.get(url)).status for url in urls] == [401, 401, 401]


async def test_an_unchanged_calendar_is_not_sent_again(client: Client, daemon: Daemon) -> None:
    url = await link(client, "/v1/users/bo/ical-link", await bearer(daemon, "viewer", "bo"))
    first = await client.get(url)
    again = await client.get(url, headers={"If-None-Match": first.headers["ETag"]})
    whole = await client.get(url, headers={"If-None-Match": '"other"'})
    assert (first.status, again.status, await again.read()) == (200, 304, b"")
    assert await first.read() == await whole.read()
    assert {str(one["SUMMARY"]) for one in events(await first.read())} == {"On call: primary"}


async def test_a_persons_calendar_is_their_own_and_an_admins_at_every_door(client: Client, daemon: Daemon) -> None:
    ana, admin = await bearer(daemon, "responder", "ana"), await bearer(daemon, "admin", "bo")
    assert (await client.get("/v1/users/ana.ics", headers=ana)).status == 200
    assert (await client.get("/v1/users/ana.ics", headers=admin)).status == 200
    assert (await client.get(f"/v1/users/ana.ics?token={ana['Authorization'][7:]}")).status == 200
    assert (await client.get("/v1/users/bo.ics", headers=ana)).status == 403
    assert (await client.get(f"/v1/users/bo.ics?token={ana['Authorization'][7:]}")).status == 403
    assert (await client.get("/v1/users/bo/ical-link", headers=ana)).status == 403
    assert (await client.get("/v1/users/ana/ical-link", headers=admin)).status == 200
    assert (await client.get("/v1/schedules/primary.ics", headers=ana)).status == 200
    assert (await client.delete("/v1/users/bo/ical-link", headers=ana)).status == 403
    assert (await client.delete("/v1/users/ana/ical-link", headers=ana)).status == 200
    assert (await client.delete("/v1/users/ana/ical-link", headers=admin)).status == 200
    assert (await client.get("/v1/users/zoe.ics", headers=admin)).status == 404
    assert (await client.get("/v1/schedules/nope/ical-link", headers=ana)).status == 404


async def test_an_override_made_at_run_time_is_in_the_calendars_too(client: Client, daemon: Daemon) -> None:
    ana = await bearer(daemon, "responder", "ana")
    asked = {"user": "bo", "from": "2026-03-26 10:00", "to": "2026-03-26 12:00"}
    before = events(await (await client.get("/v1/schedules/primary.ics", headers=ana)).read())
    on_call = {
        str(one["X-TOCSIN-USERS"])
        for one in before
        if one["DTSTART"].dt <= datetime(2026, 3, 26, 10, tzinfo=UTC) < one["DTEND"].dt
    }
    stand_in = "bo" if on_call == {"ana"} else "ana"

    made = await client.post("/v1/schedules/primary/overrides", json={**asked, "user": stand_in}, headers=ana)

    assert made.status in (200, 201)
    after = events(await (await client.get("/v1/schedules/primary.ics", headers=ana)).read())
    inside = [one for one in after if one["DTSTART"].dt == datetime(2026, 3, 26, 9, tzinfo=UTC)]  # 10:00 in Paris
    assert [(str(one["X-TOCSIN-USERS"]), one["DTEND"].dt) for one in inside] == [
        (stand_in, datetime(2026, 3, 26, 11, tzinfo=UTC))
    ]
