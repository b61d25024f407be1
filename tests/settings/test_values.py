"""What a sound configuration becomes: the frozen values of tocsin.model."""

from __future__ import annotations

import pytest

from tests.settings.conftest import Folder
from tocsin.model import (
    DAY,
    DEFAULT_THROTTLE,
    HOUR,
    MINUTE,
    Contact,
    Hours,
    Inhibition,
    Limit,
    Maintenance,
    Millis,
    NotifyRule,
    Only,
    Override,
    Rotation,
    Secret,
    StormLimit,
    Support,
    Target,
)
from tocsin.settings.document import scalars
from tocsin.settings.document.scalars import Mistake

DURATIONS = [
    ("0s", 0), ("30s", 30_000), ("5m", 5 * MINUTE), ("1h30m", 90 * MINUTE), ("2d", 2 * DAY), ("1w", 7 * DAY),
    ("3y", 3 * 365 * DAY), ("1w2d3h4m5s", 9 * DAY + 3 * HOUR + 4 * MINUTE + 5_000), ("90m", 90 * MINUTE),
]  # fmt: skip


@pytest.mark.parametrize(("written", "length"), DURATIONS)
def test_a_duration_is_milliseconds(written: str, length: int) -> None:
    assert scalars.duration(written) == length


@pytest.mark.parametrize("length", [0, 1000, 90_000, 5 * MINUTE, 90 * MINUTE, 25 * HOUR, 7 * DAY, 8 * DAY, 366 * DAY])
def test_a_spelt_duration_reads_as_itself(length: int) -> None:
    assert scalars.duration(scalars.spell(Millis(length))) == length


@pytest.mark.parametrize(
    "written", ["", "5", "5 m", "m5", "1m1h", "1m1m", "-5m", "1.5h", "٥m", "5M", "1h ", "9" * 30 + "m"]
)
def test_what_is_no_duration_is_refused(written: str) -> None:
    with pytest.raises(Mistake):
        scalars.duration(written)


DAYS = [("Sat", {5}), ("Mon-Fri", {0, 1, 2, 3, 4}), ("Fri-Mon", {4, 5, 6, 0}), ("Sun-Sun", {6})]


@pytest.mark.parametrize(("written", "days"), DAYS)
def test_days_are_numbers_from_monday_and_wrap(written: str, days: set[int]) -> None:
    assert scalars.days(written) == days


PHONES = ["+351912345678", "+351 912 345 678", "+351 (912) 345-678", "+351.912.345.678"]


@pytest.mark.parametrize("written", PHONES)
def test_a_phone_number_becomes_e164(written: str) -> None:
    assert scalars.phone(written) == "+351912345678"


LISTENS = [("127.0.0.1:8420", ("127.0.0.1", 8420)), ("[::1]:80", ("::1", 80)), ("localhost:0", ("localhost", 0))]


@pytest.mark.parametrize(("written", "address"), LISTENS)
def test_an_address_to_listen_on_is_host_and_port(written: str, address: tuple[str, int]) -> None:
    assert scalars.listen(written) == address


TARGETS = [
    ("user:ana", Target("user", "ana")),
    ("user:ana/mail", Target("user", "ana", "mail")),
    ("schedule:primary@next", Target("schedule", "primary", "next")),
    ("team:x@oncall", Target("team", "x", "oncall")),
    ("managers:x", Target("managers", "x")),
    ("channel:ops", Target("channel", "ops")),
]


@pytest.mark.parametrize(("written", "target"), TARGETS)
def test_a_target_is_read_and_written_alike(written: str, target: Target) -> None:
    assert scalars.target(written) == target
    assert str(target) == written


WHOLE = """\
server: {listen: "0.0.0.0:80", admin_listen: 127.0.0.1:81, public_url: "https://t.example.org/x/", trusted_proxies: 10.0.0.0/8}
defaults: {timezone: Europe/Paris, policy: default, reopen_within: 10m, notify_resolved: false}
catch_all: user:grace
channels:
  sms: {type: twilio_sms, account_sid: AC1, auth_token: [new, old], from: "+1 500 555 0006"}
  sms-b: {type: twilio_sms, account_sid: AC2, auth_token: t, messaging_service_sid: MG1}
  mail: {type: smtp, host: h, from: a@b.c, to: ops@example.org}
  terminal: {type: console}
fallbacks: {sms: sms-b}
users:
  ana:
    name: Ana Pires
    timezone: Europe/Lisbon
    contacts: {sms: "+351912345678", second: {channel: sms, to: "+351962345678"}, terminal: no}
    notify: {high: [{by: [sms, terminal]}, {after: 2m, by: second}], low: {by: terminal}}
  bo: {contacts: {mail: bo@example.org}}
  grace: {role: admin, contacts: {terminal: 0755}}
teams: {platform: {members: [ana, bo], managers: [grace]}}
schedules:
  primary:
    layers:
      - users: [ana, [bo, grace]]
        rotation: {every: 2w, start: 2026-01-05 09:00, days: [Mon, Wed-Fri]}
        hours: {days: Mon-Fri, from: 17:00, to: 09:00}
      - {name: all year, users: grace}
    overrides:
      - {user: grace, replaces: ana, from: 2026-12-24 09:00, to: 2026-12-25 09:00}
      - {mode: remove, from: 2026-12-31 00:00, to: 2027-01-01 00:00}
policies:
  default:
    steps:
      - {notify: schedule:primary}
      - {notify: [user:ana/second, channel:mail], wait: 0s, only: {priority: P1, hours: off}, pick: one}
    repeat: forever
    ack_timeout: never
services:
  shop: {owner: platform, policy: default, impact: high, support_hours: {days: Mon-Fri, from: 08:00, to: 18:00}}
integrations:
  apps: {type: pagerduty, routing_keys: {a: {key: k1, service: shop}, b: {key: k2}}}
  prom: {type: alertmanager, token: x, service: shop, defaults: {labels: {env: prod}}, set: {severity: error}, may_resolve: false}
priorities: {high: {high: P2}}
rules:
  - {name: one, match: 'a="b"', set: {severity: error, labels: {x: "{{ labels.y }}"}}, group_by: cluster, hold: 2m, stop: true}
throttle: {voice: 2/1h, sms-b: [1/1m]}
answers: {sms: code}
"""


def test_a_whole_configuration_becomes_typed_values(folder: Folder) -> None:
    settings = folder.write({"tocsin.yaml": WHOLE}).settings()

    server = settings.server
    assert (server.host, server.port, server.admin_host, server.admin_port) == ("0.0.0.0", 80, "127.0.0.1", 81)
    assert (server.public_url, server.trusted_proxies) == ("https://t.example.org/x", ("10.0.0.0/8",))
    assert (settings.defaults.reopen_within, settings.defaults.notify_resolved) == (10 * MINUTE, False)
    assert settings.catch_all == (Target("user", "grace"),)
    assert settings.fallbacks == {"sms": ("sms-b",)}
    assert settings.answers == {"sms": "code"}
    assert settings.priorities["high"] == {"high": "P2", "medium": "P2", "low": "P3"}
    assert settings.throttle == {**DEFAULT_THROTTLE, "voice": (Limit(2, HOUR),), "sms-b": (Limit(1, MINUTE),)}
    assert settings.without_effect == ()


def test_people_are_read_with_their_contacts_in_the_order_written(folder: Folder) -> None:
    users = folder.write({"tocsin.yaml": WHOLE}).settings().users

    ana = users["ana"]
    assert list(ana.contacts.values()) == [
        Contact("sms", "sms", "+351912345678"),
        Contact("second", "sms", "+351962345678"),
        Contact("terminal", "terminal", "no"),
    ]
    assert ana.notify == {
        "high": (NotifyRule(("sms", "terminal")), NotifyRule(("second",), Millis(2 * MINUTE))),
        "low": (NotifyRule(("terminal",)),),
    }
    assert (ana.timezone, ana.role) == ("Europe/Lisbon", "responder")
    assert (users["grace"].timezone, users["grace"].name, users["grace"].contacts["terminal"].to) == (
        "Europe/Paris",
        "grace",
        "0755",
    )


def test_schedules_and_policies_are_read_as_the_resolver_wants_them(folder: Folder) -> None:
    settings = folder.write({"tocsin.yaml": WHOLE}).settings()

    schedule = settings.schedules["primary"]
    night, year = schedule.layers
    assert schedule.timezone == "Europe/Paris"
    assert night.users == (("ana",), ("bo", "grace"))
    assert night.rotation == Rotation(2, "weeks", "2026-01-05T09:00", frozenset({0, 2, 3, 4}))
    assert night.hours == (Hours(frozenset(range(5)), 17 * 60, 9 * 60),)
    assert (year.name, year.users, year.rotation) == ("all year", (("grace",),), None)
    assert schedule.overrides == (
        Override(("grace",), "2026-12-24T09:00", "2026-12-25T09:00", replaces="ana"),
        Override((), "2026-12-31T00:00", "2027-01-01T00:00", mode="remove"),
    )
    policy = settings.policies["default"]
    assert (policy.repeat, policy.ack_timeout) == (None, None)
    assert (policy.steps[0].wait, policy.steps[0].only) == (5 * MINUTE, Only())
    assert (policy.steps[1].wait, policy.steps[1].only, policy.steps[1].pick) == (0, Only(("P1",), (), "off"), "one")
    assert [str(target) for target in policy.steps[1].notify] == ["user:ana/second", "channel:mail"]


def test_services_integrations_and_rules_are_read_whole(folder: Folder) -> None:
    settings = folder.write({"tocsin.yaml": WHOLE}).settings()

    assert settings.services["shop"].support_hours == Support(
        "Europe/Paris", (Hours(frozenset(range(5)), 8 * 60, 18 * 60),)
    )
    apps, prom = settings.integrations["apps"], settings.integrations["prom"]
    assert apps.options["routing_keys"] == {
        "a": {"key": Secret(("k1",)), "service": "shop"},
        "b": {"key": Secret(("k2",)), "service": None},
    }
    assert (apps.may_acknowledge, prom.may_acknowledge, prom.may_resolve) == (True, False, False)
    assert (prom.token, prom.overrides) == (Secret(("x",)), {"severity": "error"})
    assert prom.defaults == {"service": "shop", "labels": {"env": "prod"}}
    rule = settings.rules[0]
    assert (rule.match, rule.group_by, rule.hold, rule.stop) == (('a="b"',), ("cluster",), 2 * MINUTE, True)
    assert (rule.set.severity, rule.set.labels) == ("error", {"x": "{{ labels.y }}"})
    assert settings.channels["sms"].options["auth_token"] == Secret(("new", "old"))
    assert settings.channels["sms"].options["from"] == "+15005550006"


def test_the_empty_configuration_is_valid(folder: Folder) -> None:
    settings = folder.write({"tocsin.yaml": ""}).settings()

    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 8420)
    assert settings.database == f"sqlite:{folder.path}/tocsin.db"


def test_the_hash_follows_the_meaning_and_not_the_layout(folder: Folder) -> None:
    first = folder.write({"tocsin.yaml": "defaults: {severity: error, timezone: UTC}\n"}).settings().hash
    laid_out = (
        folder.write({"tocsin.yaml": "# words\ndefaults:\n  severity: 'error'\n  timezone: UTC\n"}).settings().hash
    )
    changed = folder.write({"tocsin.yaml": "defaults: {severity: warning, timezone: UTC}\n"}).settings().hash

    assert first == laid_out != changed
    assert len(first) == 16


def test_what_has_no_effect_yet_is_read_and_said(folder: Folder) -> None:
    content = (
        "channels: {terminal: {type: console}, chat: {type: slack, bot_token: x}}\n"
        "users: {ana: {contacts: {chat: U1, terminal: a}, notify: {high: [{by: chat}, {by: [chat, terminal]}]}}}\n"
        "catch_all: [user:ana, user:ana/chat]\n"
        "services: {a: {sla: {P1: {ack: 15m}}}}\n"
    )
    loaded = folder.write({"tocsin.yaml": content}).load()

    assert folder.said(loaded) == [
        "tocsin.yaml:1:52: type: the channel type 'slack' has no effect yet; 'chat' is left out",
        "tocsin.yaml:2:26: contacts: the contact 'chat' is left out: the channel 'chat' has no effect now",
        "tocsin.yaml:3:23: catch_all: user:ana/chat is left out: its channel has no effect now",
        "tocsin.yaml:4:16: sla: is valid and has no effect yet",
    ]
    assert loaded.settings is not None
    assert list(loaded.settings.channels) == ["terminal"]
    assert loaded.settings.users["ana"].notify == {"high": (NotifyRule(("terminal",)),)}
    assert loaded.settings.catch_all == (Target("user", "ana"),)


def test_heartbeats_and_the_storm_limit_are_read(folder: Folder) -> None:
    content = (
        "defaults: {timezone: Europe/Paris}\n"
        "services: {backups: {}}\n"
        "heartbeats:\n"
        "  nightly: {cron: '0 3 * * mon-fri', grace: 30m, service: backups, severity: warning, token: x}\n"
        "  watchdog: {match: ['alertname=\"Watchdog\"']}\n"
        "storm: {new_incidents: 5, within: 2m, per: all}\n"
    )
    settings = folder.write({"tocsin.yaml": content}).load().settings

    assert settings is not None
    nightly, watchdog = settings.heartbeats["nightly"], settings.heartbeats["watchdog"]
    assert (nightly.every, nightly.cron, nightly.timezone) == (None, "0 3 * * mon-fri", "Europe/Paris")
    assert (nightly.grace, nightly.service, nightly.severity) == (30 * MINUTE, "backups", "warning")
    assert (watchdog.every, watchdog.grace, watchdog.match) == (5 * MINUTE, 0, ('alertname="Watchdog"',))
    assert settings.storm == StormLimit(5, Millis(2 * MINUTE), "all")


def test_without_a_storm_section_thirty_in_a_minute_are_one(folder: Folder) -> None:
    settings = folder.write({"tocsin.yaml": ""}).load().settings

    assert settings is not None
    assert settings.storm == StormLimit(30, MINUTE, "service")


def test_support_hours_may_name_a_calendar(folder: Folder) -> None:
    content = (
        "calendars: {business: {timezone: Europe/Lisbon, days: Mon-Fri, from: 09:00, to: 17:00}}\n"
        "services: {shop: {support_hours: business}}\n"
    )

    hours = folder.write({"tocsin.yaml": content}).settings().services["shop"].support_hours

    assert hours == Support("Europe/Lisbon", (Hours(frozenset(range(5)), 9 * 60, 17 * 60),))
    assert folder.errors(content.replace("{support_hours: business", "{support_hours: busines")) == [
        "2:34: support_hours: no such calendar 'busines' (did you mean 'business'?)"
    ]


def test_a_webhook_to_a_private_address_is_told_before_the_first_page(folder: Folder) -> None:
    content = "catch_all: [channel:hook]\nchannels:\n  hook: {type: webhook, url: 'http://10.0.0.1/'%s}\n"

    loaded = folder.write({"tocsin.yaml": content % ""}).load()

    assert folder.said(loaded) == [
        "tocsin.yaml:3:30: url: '10.0.0.1' is a private address, so pages will be refused; "
        "write allow_private: true if it is meant"
    ]
    assert folder.write({"tocsin.yaml": content % ", allow_private: true"}).load().problems == ()


def test_inhibitions_and_windows_are_read_as_written(folder: Folder) -> None:
    content = (
        "defaults: {timezone: Europe/Lisbon}\n"
        "inhibitions:\n"
        "  - {name: down, source: ['a=\"b\"'], target: ['c=\"d\"', 'e!=\"f\"'], equal: [cluster]}\n"
        "  - {source: 'a=\"b\"', target: 'c=\"d\"'}\n"
        "maintenance:\n"
        "  - {name: patching, match: ['os=\"linux\"'], every: Mon-Fri 02:00, for: 2h, timezone: UTC}\n"
        "  - {name: backup, match: ['job=\"backup\"'], every: 03:30, for: 30m}\n"
        "  - {name: move, match: ['site=\"x\"'], from: 2026-01-05 09:00, to: 2026-01-06 09:00}\n"
    )

    settings = folder.write({"tocsin.yaml": content}).settings()

    assert settings.inhibitions == (
        Inhibition("down", ('a="b"',), ('c="d"', 'e!="f"'), ("cluster",)),
        Inhibition("2", ('a="b"',), ('c="d"',)),
    )
    zone = "Europe/Lisbon"
    assert settings.maintenance == (
        Maintenance("patching", ('os="linux"',), "UTC", frozenset(range(5)), 120, Millis(7_200_000)),
        Maintenance("backup", ('job="backup"',), zone, frozenset(range(7)), 210, Millis(1_800_000)),
        Maintenance("move", ('site="x"',), zone, start="2026-01-05T09:00", end="2026-01-06T09:00"),
    )
    assert settings.without_effect == ()


@pytest.mark.parametrize("begins", ['""', "{}", "[]", "soon", "2030-13-01 10:00"])
def test_a_maintenance_window_whose_beginning_is_no_time_is_told_once(folder: Folder, begins: str) -> None:
    window = f"{{name: w, match: ['a=\"b\"'], from: {begins}, to: 2030-01-01 10:00}}"
    (said,) = folder.errors(f"channels: {{t: {{type: console}}}}\nmaintenance:\n  - {window}\n")
    assert said.startswith("3:")
    assert "from: " in said
