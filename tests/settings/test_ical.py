"""`ical:` of a schedule: where its shifts come from."""

from __future__ import annotations

import pytest

from tests.settings.conftest import Folder
from tocsin.model import MINUTE, Ical, Millis, Secret
from tocsin.settings.reload_diff import difference

USERS = "users: {ana: {}, bo: {}}\n"


def config(ical: str) -> str:
    return f"{USERS}schedules: {{primary: {{ical: {ical}}}}}\n"


def ical(folder: Folder, written: str) -> Ical:
    found = folder.write({"tocsin.yaml": config(written)}).settings().schedules["primary"].ical
    assert found is not None
    return found


def test_a_feed_needs_its_address_alone(folder: Folder) -> None:
    assert ical(folder, '{url: "https://a.example/x.ics?token=1"}') == Ical(
        Secret(("https://a.example/x.ics?token=1",)), Millis(5 * MINUTE)
    )
    assert folder.said(folder.load()) == []


def test_an_address_is_a_secret_and_a_calendar_programs_form_of_it_will_do(folder: Folder) -> None:
    folder.env["FEED"] = "webcal://a.example/x.ics"
    folder.write({"feed": "https://b.example/y.ics\n"})
    assert (
        ical(folder, "{url: {env: FEED}, every: 1h, people: {Zoe Zed: ana, z@x.example: bo}}").url.first
        == "https://a.example/x.ics"
    )
    found = ical(folder, "{url: {file: feed}, allow_private: true}")
    assert (found.url.first, found.allow_private) == ("https://b.example/y.ics", True)
    assert "b.example" not in repr(folder.settings())


def test_beside_a_feed_a_schedule_may_have_no_layers(folder: Folder) -> None:
    with_feed = f"{USERS}schedules: {{primary: {{layers: [], ical: {{url: 'https://a.example/x.ics'}}}}}}\n"
    assert folder.write({"tocsin.yaml": with_feed}).settings().schedules["primary"].layers == ()
    assert folder.errors(f"{USERS}schedules: {{primary: {{layers: []}}}}\n") == [
        "2:31: layers: is an empty list; write at least one entry"
    ]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("{}", "2:23: ical: 'url' is missing (the address of the iCalendar feed; it may be a secret)"),
        ("{url: calendar.example}", "2:35: url: 'calendar.example' is not a web address; write for example https://tocsin.example.org"),
        ("{url: {env: FEED}}", "2:41: env: the environment variable FEED is not set"),
        ("{url: {env: BAD}}", "2:35: url: what it names is not a web address; write for example https://calendar.example.org/oncall.ics"),
        ("{url: 'https://x', every: 10s}", "2:55: every: '10s' is too often for somebody else's server; write 1m or more"),
        ("{url: 'https://x', people: {Zoe: anna}}", "2:62: Zoe: no such user 'anna' (did you mean 'ana'?)"),
        ("{url: 'https://x', refresh: 5m}", "2:48: ical: unknown key 'refresh'; known here: url, every, people, allow_private"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_at_its_place(folder: Folder, written: str, said: str) -> None:
    folder.env["BAD"] = "/etc/passwd"
    assert folder.errors(config(written)) == [said]


def test_a_private_address_is_told_before_it_is_refused(folder: Folder) -> None:
    loaded = folder.write({"tocsin.yaml": config("{url: 'http://10.0.0.7/x.ics'}")}).load()
    (warning,) = folder.said(loaded, "warning")
    assert warning.endswith(
        "'10.0.0.7' is a private address, so it will not be fetched; write allow_private: true if it is meant"
    )


def test_a_reload_counts_a_schedule_whose_feed_moved(folder: Folder) -> None:
    before = folder.write({"tocsin.yaml": config("{url: 'https://x'}")}).settings()
    after = folder.write({"tocsin.yaml": config("{url: 'https://y'}")}).settings()
    assert str(difference(before, after)) == "schedules ~1"
