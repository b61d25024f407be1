"""A schedule that is kept in somebody else's calendar: it pages the calendar's people, whatever becomes of the calendar."""

from __future__ import annotations

from tests.walk.conftest import Build
from tests.walk.town import Town

URL = "https://calendar.example.org/secret-of-ours/oncall.ics"
FED = f"""
schedules:
  primary: {{timezone: UTC, ical: {{url: "{URL}", every: 5m}}}}
policies:
  default:
    steps: [{{notify: [schedule:primary], wait: 5m}}]
    repeat: 0
"""


def calendar(*events: tuple[str, str, str]) -> bytes:
    """(title, start, end) each, the times within January 2026 as `05T0900`."""
    lines = [
        f"BEGIN:VEVENT\r\nUID:{n}\r\nSUMMARY:{title}\r\nDTSTART:202601{start}00Z\r\nDTEND:202601{end}00Z\r\nEND:VEVENT\r\n"
        for n, (title, start, end) in enumerate(events)
    ]
    return b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\n" + "".join(lines).encode() + b"END:VCALENDAR\r\n"


BO = calendar(("On Call - Bo - Primary", "05T0900", "05T1800"), ("Ana", "05T1800", "12T0900"))


async def open_town(build: Build, body: bytes | int = BO, config: str = FED, **how: str) -> Town:
    """A town whose feed was there to be fetched when it began."""
    return await build(config, calendars={URL: body}, **how)


def left_out(town: Town) -> tuple[str, ...]:
    return town.daemon.runtime.settings.schedules["primary"].feed_notes


def said(town: Town, event: str) -> list[str]:
    return [str(entry.get("because", "")) for entry in town.logs if entry["event"] == event]


async def test_a_fed_schedule_pages_the_calendars_person_and_follows_its_changes(build: Build) -> None:
    town = await open_town(build)
    await town.alert("db down")
    assert town.pages == ["0m bo sms"]
    town.outside.calendars.bodies[URL] = calendar(("Ana", "05T0900", "12T0900"))
    await town.pass_time(minutes=6)
    await town.alert("cache down")
    assert town.pages_of("cache down") == ["6m ana sms"]
    assert town.outside.calendars.asked == [f"{URL} 200", f"{URL} 200"]


async def test_a_broken_feed_pages_from_its_last_good_copy_and_warns_until_it_is_back(build: Build) -> None:
    town = await open_town(build)
    assert (await town.daemon.health.ready())[1]["status"] == "ready"
    for broken in (404, b"<html>Sign in</html>", BO[:200]):
        town.outside.calendars.bodies[URL] = broken
        await town.pass_time(minutes=20)
        await town.alert(f"while {broken!r}")
        assert town.pages_of(f"while {broken!r}")[0].endswith("bo sms")
        assert town.metric("tocsin_feed_working", schedule="primary") == 0
    assert said(town, "feed_broken") == [
        "is answered 404: there is nothing at this address (any more)",
        "is not a calendar: it begins with '<html>Sign in</html>'",
        "is cut short: END:VCALENDAR is missing",
    ]
    ready, body = await town.daemon.health.ready()
    assert ready
    assert body["status"] == "degraded"
    assert body["checks"]["feeds"]["primary"].startswith("is cut short: END:VCALENDAR is missing since 2026-01-05T12:")
    assert body["checks"]["feeds"]["primary"].endswith("; the copy of 2026-01-05T12:00:00Z is used")
    town.outside.calendars.bodies[URL] = calendar(("Ana", "05T0900", "12T0900"))
    await town.pass_time(minutes=6)
    await town.alert("it is back")
    assert town.pages_of("it is back")[0].endswith("ana sms")
    assert (await town.daemon.health.ready())[1]["status"] == "ready"
    assert town.metric("tocsin_feed_working", schedule="primary") == 1
    assert town.metric("tocsin_feed_last_success_timestamp_seconds", schedule="primary") > town.start / 1000 + 3600
    assert len(said(town, "feed_recovered")) == 1
    assert "secret-of-ours" not in str(town.logs) + str(body)


async def test_the_last_good_copy_is_in_force_before_the_first_page_after_a_restart(build: Build) -> None:
    town = await open_town(build, database="file")
    town.outside.calendars.bodies[URL] = 500
    await town.restart()
    await town.alert("db down")
    assert town.pages == ["0m bo sms"]


async def test_a_feed_that_was_never_there_pages_nobody_and_the_escalation_goes_on(build: Build) -> None:
    town = await open_town(build, 404)
    await town.alert("db down")
    assert town.pages == ["0m grace sms"]  # the catch-all
    assert (await town.daemon.health.ready())[1]["checks"]["feeds"] == {
        "primary": "is answered 404: there is nothing at this address (any more) since 2026-01-05T12:00:00Z; it was never read, so nobody is on call by it"
    }


async def test_an_unknown_name_is_told_and_nobody_else_is_paged_for_it(build: Build) -> None:
    town = await open_town(build, calendar(("Zoe Zed", "05T0900", "12T0900")))
    await town.alert("db down")
    assert town.pages == ["0m grace sms"]
    assert town.metric("tocsin_feed_unknown_names", schedule="primary") == 1
    assert [entry["names"] for entry in town.logs if entry["event"] == "feed_names_unknown"] == [["Zoe Zed"]]
    feeds = (await town.daemon.health.ready())[1]["checks"]["feeds"]
    assert feeds == {"primary": "1 name is nobody's here; `tocsin check` tells which"}
    await town.reload(FED.replace("every: 5m", "every: 5m, people: {Zoe Zed: ana}"))
    await town.alert("cache down")
    assert town.pages_of("cache down")[0].endswith("ana sms")


async def test_an_unchanged_feed_is_asked_for_by_its_mark_and_read_on_as_days_pass(build: Build) -> None:
    weekly = BO.replace(b"DTEND:20260105T180000Z", b"DTEND:20260105T180000Z\r\nRRULE:FREQ=WEEKLY")
    town = await open_town(build, weekly, FED.replace("every: 5m", "every: 12h"))
    await town.pass_quietly(hours=14)
    await town.pass_quietly(hours=14)
    assert town.outside.calendars.asked == [f"{URL} 200", f"{URL} 304", f"{URL} 304"]
    last = town.daemon.runtime.settings.schedules["primary"].feed[-1]
    town.outside.calendars.bodies[URL] = 404
    await town.pass_quietly(hours=8 * 24)
    assert town.daemon.runtime.settings.schedules["primary"].feed[-1].start == last.start + 7 * 86_400_000


async def test_a_reload_brings_takes_and_moves_feeds(build: Build) -> None:
    town = await open_town(build, config="")
    assert town.outside.calendars.asked == []
    await town.reload(FED)
    await town.alert("db down")
    assert town.pages_of("db down") == ["0m bo sms"]
    moved = URL.replace("oncall", "other")
    await town.reload(FED.replace(URL, moved))  # nothing is there: the copy goes on
    assert town.outside.calendars.asked == [f"{URL} 200", f"{moved} 404"]
    await town.pass_time(minutes=2)
    await town.alert("cache down")
    assert town.pages_of("cache down")[0].endswith("bo sms")
    await town.reload("")
    assert (await town.daemon.health.ready())[1]["status"] == "ready"


async def test_replicas_use_the_same_copy_and_fetch_it_once(build: Build, postgres_url: str) -> None:
    one = await open_town(build, database=postgres_url, runner="thread")
    two = await open_town(build, 404, database=postgres_url, runner="thread")
    assert two.outside.calendars.asked == []
    one.outside.calendars.bodies[URL] = calendar(("Ana", "05T0900", "12T0900"))
    await one.pass_time(minutes=6)
    two.clock.advance_to(one.clock.now())
    await two.settle()
    assert two.outside.calendars.asked == []
    feeds = [town.daemon.runtime.settings.schedules["primary"].feed for town in (one, two)]
    assert feeds[0] == feeds[1]
    assert [shift.users for shift in feeds[0]] == [("ana",)]


async def test_one_poisoned_event_costs_itself_and_stays_as_it_was(build: Build) -> None:
    """Bo's event cannot be read any more, Ana's is moved: hers counts as it is, his as it was; for days, and after a restart."""
    town = await open_town(build, database="file")
    assert town.metric("tocsin_feed_doubtful_events", schedule="primary") == 0
    poisoned = BO.replace(b"DTEND:20260105T180000Z", b"DTEND:20260105T180000Z\r\nRRULE:FREQ=FORTNIGHTLY")
    town.outside.calendars.bodies[URL] = poisoned.replace(b"SUMMARY:Ana", b"SUMMARY:Grace")
    await town.pass_time(minutes=6)
    await town.alert("db down")
    assert town.pages_of("db down")[0].endswith("bo sms")
    shifts = town.daemon.runtime.settings.schedules["primary"].feed
    assert [one.users for one in shifts] == [("bo",), ("grace",)]  # grace has taken Ana's
    note = (
        "line 8: the event 'On Call - Bo - Primary' cannot be repeated: its RRULE says 'FREQ=FORTNIGHTLY', which means nothing; "
        "it stays as the copy before has it"
    )
    assert left_out(town) == (note,)
    assert town.metric("tocsin_feed_doubtful_events", schedule="primary") == 1
    assert [entry["notes"] for entry in town.logs if entry["event"] == "feed_left_out"] == [[note]]
    assert (await town.daemon.health.ready())[1]["status"] == "ready"
    await town.restart()
    await town.pass_quietly(hours=30)  # it is read again, as days pass
    assert town.daemon.runtime.settings.schedules["primary"].feed == shifts
    town.outside.calendars.bodies[URL] = BO
    await town.pass_quietly(minutes=10)
    assert left_out(town) == ()
    assert town.metric("tocsin_feed_doubtful_events", schedule="primary") == 0


async def test_a_feed_that_is_poisoned_when_it_is_first_read_pages_by_all_its_other_events(build: Build) -> None:
    body = BO.replace(b"DTSTART:20260105T180000Z", b"DTSTART:soon")
    town = await open_town(build, body)
    await town.alert("db down")
    assert town.pages == ["0m bo sms"]
    assert left_out(town) == ("line 12: the event 'Ana' has no usable start: 'soon' is no time, and is left out",)
