"""What a mistake is told like: the exact place, and what to write instead."""

from __future__ import annotations

import pytest

from tests.settings.conftest import Folder

PEOPLE = """\
channels:
  terminal: {type: console}
users:
  ana: {contacts: {terminal: ana}}
  bo: {contacts: {terminal: bo}}
"""

# One mistake each: what stands at the end of a sound configuration, and what is said about it. Lines count on
# from the five above.
MISTAKES = [
    # keys and sections
    ("policies: {p: {steps: [{notify: 'user:ana'}], ack_timeout: off}}", "6:60: ack_timeout: 'off' is not known; write never"),
    ("policies: {p: {steps: [{notify: 'user:ana'}], repeat: unlimited}}", "6:55: repeat: 'unlimited' is not known; write forever"),
    ("polices: {}", "6:1: unknown section 'polices' (did you mean 'policies'?)"),
    ("server: {lisen: x}", "6:10: server: unknown key 'lisen' (did you mean 'listen'?)"),
    ("server: {zzz: x}", "6:10: server: unknown key 'zzz'; known here: listen, admin_listen, public_url, trusted_proxies"),
    ("server: [1]", "6:9: server: a list stands where server settings { … } is expected"),
    ("rules: {a: b}", "6:8: rules: a mapping stands where a list, each entry begun with '- ' is expected"),
    ("teams: {x: {}}", "6:9: x: 'members' is missing (who belongs to it)"),
    ("teams: {x: {members: []}}", "6:22: members: is an empty list; write at least one entry"),
    ("tokens: {ci: abc}", "6:10: tokens: are not written here; make one by `tocsin token create`"),
    # durations and limits
    ("retention: {alerts: 90}", "6:21: alerts: '90' has no unit; write 90s, 90m, 90h or 90d"),
    ("retention: {alerts: 5 mins}", "6:21: alerts: '5 mins' is not a duration; write 5m"),
    ("retention: {alerts: 1.5h}", "6:21: alerts: '1.5h' is not a duration; write 1h30m"),
    ("retention: {alerts: 30m1h}", "6:21: alerts: '30m1h' is not a duration; write 1h30m"),
    ("retention: {alerts: soon}", "6:21: alerts: 'soon' is not a duration; write for example 30s, 5m, 1h30m or 2d"),
    ("retention: {alerts: 0s}", "6:21: alerts: '0s' is no time at all; write for example 5m"),
    ("retention: {alerts: 200y}", "6:21: alerts: '200y' is longer than 100 years"),
    ("throttle: {sms: [5]}", "6:18: sms: '5' is not a limit; write for example 5/15m: at most five in fifteen minutes"),
    ("throttle: {sns: [1/1m]}", "6:12: throttle: no such channel 'sns' (did you mean 'sms'?)"),
    # words
    ("defaults: {severity: critcal}", "6:22: severity: 'critcal' is not known; write critical"),
    ("defaults: {notify_resolved: yes}", "6:29: notify_resolved: 'yes' is neither true nor false; write true"),
    ("defaults: {timezone: Europe/Pariss}", "6:22: timezone: no such time zone 'Europe/Pariss' (did you mean 'Europe/Paris'?)"),
    ("defaults: {policy: x}", "6:20: policy: no such policy 'x'"),
    ("defaults: {policy: }", "6:20: policy: nothing stands where a name out of policies is expected"),
    ("answers: {sms: cod}", "6:16: sms: 'cod' is not known; write code"),
    # addresses
    ('server: {listen: "127.0.0.1:8420", admin_listen: "127.0.0.1:8420"}', "6:50: admin_listen: port 8420 is that of listen; write another one"),
    ('server: {listen: "0.0.0.0:8420", admin_listen: "127.0.0.1:8420"}', "6:48: admin_listen: port 8420 is that of listen; write another one"),
    ("server: {listen: 8420}", "6:18: listen: '8420' is not an address to listen on; write 127.0.0.1:8420"),
    ("server: {public_url: tocsin.org}", "6:22: public_url: 'tocsin.org' is not a web address; write for example https://tocsin.example.org"),
    ("server: {public_url: 'https://x.org/?a=b'}", "6:22: public_url: 'https://x.org/?a=b' must be a plain base; write https://x.org/"),
    ("server: {trusted_proxies: [10.0.0.1/8]}", "6:28: trusted_proxies: '10.0.0.1/8' is not an IP address or network (10.0.0.1/8 has host bits set); write for example 10.0.0.0/8"),
    ("database: {url: tocsin.db}", "6:17: url: 'tocsin.db' is not a database; write sqlite:tocsin.db or postgresql://user@host/name"),
    ("database: {url: 'sqlite::memory:'}", "6:17: url: 'sqlite::memory:' would forget every incident; write sqlite:tocsin.db"),
    # targets
    ("catch_all: [schedule: primary]", "6:13: catch_all: 'schedule: primary' with a space is a mapping in YAML; write schedule:primary"),
    ("catch_all: [user:anna]", "6:13: catch_all: no such user 'anna' (did you mean 'ana'?)"),
    ("catch_all: [user:ana/sms]", "6:13: catch_all: ana has no contact 'sms'"),
    ("catch_all: [usr:ana]", "6:13: catch_all: 'usr:ana' is not a target; write user:ana"),
    ("catch_all: [ana]", "6:13: catch_all: 'ana' is not a target; write one of user:NAME, schedule:NAME, team:NAME, managers:NAME, channel:NAME"),
    ("catch_all: [channel:terminal@next]", "6:13: catch_all: unknown suffix '@next' in 'channel:terminal@next'; write channel:terminal"),
    ("catch_all: [team:x@on]", "6:13: catch_all: unknown suffix '@on' in 'team:x@on'; write team:x or team:x@oncall"),
    ("policies: {p: {steps: [{notify: [schedule:x]}]}}", "6:34: notify: no such schedule 'x'"),
    ("policies: {p: {steps: []}}", "6:23: steps: is an empty list; write at least one entry"),
    ("policies: {p: {steps: [{wait: 5m}]}}", "6:24: steps: 'notify' is missing (whom it pages)"),
    ("policies: {p: {repeat: forevr, steps: [{notify: user:ana}]}}", "6:24: repeat: 'forevr' is not known; write forever"),
    ("policies: {p: {ack_timeout: 0s, steps: [{notify: user:ana}]}}", "6:29: ack_timeout: '0s' is no time at all; write for example 5m"),
    # rules
    ("rules: [{drop: true}]", "6:9: rules: 'name' is missing (unique; shown wherever the rule acted)"),
    ("rules: [{name: x, set: {severity: high}}]", "6:35: severity: 'high' is not a severity; write critical or error or warning or info"),
    ("rules: [{name: x, set: {service: shop}}]", "6:34: service: no such service 'shop'"),
    ("rules: [{name: x, set: {policy: p}}]", "6:33: policy: no such policy 'p'"),
    ("rules: [{name: x, drop: sure}]", "6:25: drop: 'sure' is neither true nor false; write true or false"),
    ("rules: [{name: x, hould: 5m}]", "6:19: rules: unknown key 'hould' (did you mean 'hold'?)"),
    ("rules: [{name: x}, {name: x}]", "6:27: name: a rule 'x' exists already (tocsin.yaml:6:16); names are unique"),
    ("rules: [{name: x, threshold: {count: 1, within: 5m}}]", "6:38: count: 1 is too small; write 2 or more"),
    ("rules: [{name: x, re_page: always}]", "6:28: re_page: 'always' is not known; write raise or any or never"),
    # integrations and channels
    ("integrations: {a: {token: x}}", "6:16: a: 'type' is missing; write one of alertmanager, alertmanager_api, opsgenie, pagerduty, webhook"),
    ("integrations: {a: {type: webhok, token: x}}", "6:26: type: no such integration type 'webhok' (did you mean 'webhook'?)"),
    ("integrations: {a: {type: webhook}}", "6:16: a: 'token' is missing; anyone could post alerts"),
    ("integrations: {a/b: {type: webhook, token: x}}", "6:16: 'a/b' cannot be a name (letters, digits, '_', '.', '-'); write a-b"),
    ("integrations: {a: {type: webhook, token: x, map: {titel: t}}}", "6:51: map: unknown key 'titel' (did you mean 'title'?)"),
    ("integrations: {a: {type: webhook, token: ''}}", "6:42: token: is an empty secret"),
    ("integrations: {a: {type: webhook, token: {fil: x}}}", "6:43: token: unknown key 'fil' (did you mean 'file'?); write a secret: text, {file: NAME} or {env: NAME}"),
    ("integrations: {a: {type: alertmanager, token: x}, b: {type: alertmanager, token: x}}", "6:51: b: has the same key as the integration 'a' (tocsin.yaml:6:16); give each its own"),
    ("fallbacks: {terminal: [terminal]}", "6:23: terminal: 'terminal' cannot stand in for itself"),
    ("fallbacks: {termnal: [terminal]}", "6:13: fallbacks: no such channel 'termnal' (did you mean 'terminal'?)"),
    # services and others
    ("services: {a: {owner: x}}", "6:23: owner: no such team 'x'"),
    ("services: {a: {depends_on: [a]}}", "6:28: depends_on: 'a' cannot depend on itself"),
    ("services: {a: {support_hours: {from: 09:00}}}", "6:32: support_hours: 'to' is missing; 'from' alone says nothing"),
    ("services: {a: {sla: {P6: {ack: 5m}}}}", "6:22: sla: unknown key 'P6'; known here: P1, P2, P3, P4, P5, calendar"),
    ("maintenance: [{name: x, match: ['a=\"b\"'], every: Sun 02:00}]", "6:15: maintenance: write every: and for: (a repeated window), or from: and to: (once)"),
    ("heartbeats: {x: {grace: 5m}}", "6:14: x: 'every' is missing (how often it must be heard), or 'cron' (at which times)"),
    ("heartbeats: {x: {every: 1d, cron: '0 3 * * *'}}", "6:35: cron: 'every' says something else; write one of them"),
    ("heartbeats: {x: {cron: '0 25 * * *'}}", "6:24: cron: '0 25 * * *': '25' is no hour; write 0 to 23"),
    ("integrations: {heartbeat: {type: webhook, token: x}}", "6:16: heartbeat: is Tocsin's own name; give the integration another one"),
    ("maintenance: [{name: x, match: ['a=\"b\"'], from: 2026-01-05 09:00, to: 2026-01-05 08:00}]", "6:71: to: is not after the window's beginning"),
    ("maintenance: [{name: x, match: ['a=\"b\"'], from: 2026-01-05 09:00, to: 2026-01-05 09:00}]", "6:71: to: is not after the window's beginning"),
    ("maintenance: [{name: x, match: ['a=\"b\"'], from: 2026-03-29 02:10, to: 2026-03-29 02:50, timezone: Europe/Paris}]", "6:71: to: is not after the window's beginning"),
    ("maintenance: [{name: x, match: ['a=\"b\"'], every: Sun 02:00, for: 0m}]", "6:66: for: '0m' is no time at all; write for example 5m"),
    ("maintenance: [{name: x, match: ['a=~\"(\"'], every: 02:00, for: 1h}]", "6:33: match: '(' is not a pattern RE2 knows: missing ): ("),
    ("maintenance: [{name: x, match: ['a=\"b\"'], every: 02:00, for: 1h}, {name: x, match: ['a=\"b\"'], every: 04:00, for: 1h}]", "6:74: name: a maintenance window 'x' exists already (tocsin.yaml:6:22); names are unique"),
    ("services: {a: {depends_on: [b]}, b: {depends_on: [c]}, c: {depends_on: [a]}}", "6:28: depends_on: goes in a circle: a → b → c → a; none of them would page: take one of these out"),
    ("inhibitions: [{source: ['a=\"b\"']}]", "6:15: inhibitions: 'target' is missing (… alerts like this do not page)"),
    ("inhibitions: [{source: ['a'], target: ['b=\"c\"']}]", """6:25: source: 'a' is no matcher; write name="value", name!="value", name=~"pattern" or name!~"pattern\""""),
    ("storm: {new_incidents: 30}", "6:1: storm: 'within' is missing (… in this time become one)"),
    ("priorities: {high: {high: P0}}", "6:27: high: 'P0' is not known; write P1 or P2 or P3 or P4 or P5"),
]  # fmt: skip


@pytest.mark.parametrize(("written", "said"), MISTAKES, ids=[said for _, said in MISTAKES])
def test_a_mistake_is_told_at_its_place_with_what_to_write(folder: Folder, written: str, said: str) -> None:
    errors = folder.errors(PEOPLE + written + "\n")

    assert errors == [said]


ROSTER = """\
channels: {terminal: {type: console}}
users: {ana: {contacts: {terminal: ana}}, bo: {contacts: {terminal: bo}}}
schedules:
  primary:
    timezone: Europe/Paris
    layers:
"""

ROTATIONS = [
    ("- {users: [anna]}", "7:16: users: no such user 'anna' (did you mean 'ana'?)"),
    ("- {users: [[ana, boo]]}", "7:22: users: no such user 'boo' (did you mean 'bo'?)"),
    ("- {users: []}", "7:15: users: is an empty list; write at least one entry"),
    ("- {users: ana, rotation: {every: 1w}}", "7:20: rotation: 'start' is missing (when the first turn begins, in the schedule's zone)"),
    ("- {users: ana, rotation: {every: weekly, start: 2026-01-05 09:00}}", "7:38: every: 'weekly' is not a turn's length; write for example 12h, 1d, 1w, 2w or 1mo"),
    ("- {users: ana, rotation: {every: 0d, start: 2026-01-05 09:00}}", "7:38: every: '0d' is not a turn's length; write for example 12h, 1d, 1w, 2w or 1mo"),
    ("- {users: ana, rotation: {every: 1w, start: 2026-01-05}}", "7:49: start: '2026-01-05' has no clock time; write 2026-01-05 09:00"),
    ("- {users: ana, rotation: {every: 1w, start: 2026-02-30 09:00}}", "7:49: start: '2026-02-30' is not a date of the calendar; write for example 2026-01-05"),
    ("- {users: ana, rotation: {every: 1w, start: 2026-01-05 9:00}}", "7:49: start: '2026-01-05 9:00' is not a local time; write for example 2026-01-05 09:00"),
    ("- {users: ana, rotation: {every: 1w, start: '2026-01-05T09:00:00Z'}}", "7:49: start: '2026-01-05T09:00:00Z' must be a local time of the schedule's zone, to the minute; write for example 2026-01-05 09:00"),
    ("- {users: ana, rotation: {every: 12h, start: 2026-01-05 09:00, days: Mon-Fri}}", "7:68: days: days do not go with turns of hours; write every: 1d or 1w, or cut the layer with hours: {days: …}"),
    ("- {users: ana, rotation: {every: 1mo, start: 2026-01-05 09:00, days: Mon-Fri}}", "7:68: days: days do not go with turns of months; write every: 1d or 1w, or cut the layer with hours: {days: …}"),
    ("- {users: ana, hours: {days: Monday-Fri}}", "7:34: days: 'Monday-Fri' is not a day or range of days; write Mon-Fri"),
    ("- {users: ana, hours: {days: 'Mon, Wed'}}", "7:34: days: 'Mon, Wed' is not a day or range of days; write a list, for example [Mon, Wed-Fri]"),
    ("- {users: ana, hours: {from: 09:00, to: 24:00}}", "7:45: to: '24:00' is refused, it is the next day's beginning; write 00:00"),
    ("- {users: ana, hours: {from: 9:00, to: 17:00}}", "7:34: from: '9:00' is not a clock time; write 09:00"),
    ("- {users: ana, hours: {from: 9am, to: 5pm}}", "7:34: from: '9am' is not a clock time; write 09:00"),
    ("- {users: ana, hours: {from: 09:00}}", "7:28: hours: 'to' is missing; 'from' alone says nothing"),
]  # fmt: skip


@pytest.mark.parametrize(("layer", "said"), ROTATIONS, ids=[said for _, said in ROTATIONS])
def test_a_mistake_in_a_rotation_is_told_at_its_place(folder: Folder, layer: str, said: str) -> None:
    errors = folder.errors(f"{ROSTER}    {layer}\n")

    assert said in errors


OVERRIDES = [
    ("{user: ana, from: 2026-12-25 09:00, to: 2026-12-24 09:00}", "8:49: to: '2026-12-24 09:00' is not after the override's beginning, '2026-12-25 09:00'"),
    ("{user: ana, from: 2026-12-25 09:00, to: 2026-12-25 09:00}", "8:49: to: '2026-12-25 09:00' is not after the override's beginning, '2026-12-25 09:00'"),
    ("{from: 2026-12-24 09:00, to: 2026-12-25 09:00}", "8:9: overrides: 'user' is missing (who takes over)"),
    ("{user: ana, users: [bo], from: 2026-12-24 09:00, to: 2026-12-25 09:00}", "8:21: users: write user or users, not both"),
    ("{user: ana, mode: add, replaces: bo, from: 2026-12-24 09:00, to: 2026-12-25 09:00}", "8:32: replaces: does not go with mode: add; write one or the other"),
    ("{user: ana, mode: swap, from: 2026-12-24 09:00, to: 2026-12-25 09:00}", "8:27: mode: 'swap' is not known; write replace or add or remove"),
]  # fmt: skip


@pytest.mark.parametrize(("override", "said"), OVERRIDES, ids=[said for _, said in OVERRIDES])
def test_a_mistake_in_an_override_is_told_at_its_place(folder: Folder, override: str, said: str) -> None:
    errors = folder.errors(
        f"{ROSTER}    - users: [ana]\n    overrides: [{override}]\n".replace(
            "overrides: [{", "overrides:\n      - {"
        ).replace("}]", "}")
    )

    assert [error.replace("9:", "8:", 1) for error in errors] == [said]


CONTACTS = [
    ("{smss: x}", "3:26: contacts: no such channel 'smss' (did you mean 'sms'?)"),
    ("{sms: 0612345678}", "3:31: sms: '0612345678' is not an international phone number; begin with + and the country code, as in +351912345678"),
    ("{sms: +3519}", "3:31: sms: '+3519' is not a phone number: The string supplied is too short to be a phone number."),
    ("{sms: +35191234567890123}", "3:31: sms: '+35191234567890123' has too few or too many digits for a phone number of its country"),
    ("{sms: +3519123456789}", "3:31: sms: '+3519123456789' has too few or too many digits for a phone number of its country"),
    ("{mail: ana}", "3:32: mail: 'ana' is not a mail address; write for example ana@example.org"),
    ("{x: {channel: sms}}", "3:26: x: 'to' is missing (the address there)"),
    ("{x: {channel: snail, to: y}}", "3:39: channel: no such channel 'snail' (did you mean 'mail'?)"),
]  # fmt: skip


@pytest.mark.parametrize(("contacts", "said"), CONTACTS, ids=[said for _, said in CONTACTS])
def test_a_mistake_in_a_contact_is_told_at_its_place(folder: Folder, contacts: str, said: str) -> None:
    channels = "sms: {type: twilio_sms, account_sid: AC1, auth_token: t, from: +15005550006}, mail: {type: smtp, host: h, from: a@b.c}"
    errors = folder.errors(
        f"channels: {{{channels}}}\ncatch_all: [user:ana]\nusers: {{ana: {{contacts: {contacts}}}}}\n"
    )

    assert errors == [said]


def test_a_phone_belongs_to_one_person(folder: Folder) -> None:
    errors = folder.errors(
        "channels: {sms: {type: twilio_sms, account_sid: AC1, auth_token: t, from: +15005550006}}\n"
        "catch_all: [user:ana]\n"
        "users:\n"
        "  ana: {contacts: {sms: '+351 912 345 678', second: {channel: sms, to: +351912345678}}}\n"
        "  bo: {contacts: {sms: +351912345678}}\n"
    )

    assert errors == [
        "5:24: sms: +351912345678 is ana's phone already (tocsin.yaml:4:25); a phone belongs to one person"
    ]


def test_a_notify_rule_names_contacts_of_its_person(folder: Folder) -> None:
    errors = folder.errors(
        "channels: {terminal: {type: console}}\n"
        "users:\n"
        "  ana: {contacts: {terminal: a}, notify: {high: [{by: [terminl]}]}}\n"
    )

    assert errors == ["3:56: by: ana has no contact 'terminl' (did you mean 'terminal'?)"]


def test_a_channel_that_reaches_further_than_the_terminal_needs_a_catch_all(folder: Folder) -> None:
    errors = folder.errors(
        "users: {ana: {}}\nchannels:\n  terminal: {type: console}\n  mail: {type: smtp, host: h, from: a@b.c}\n"
    )

    assert errors == [
        "4:3: catch_all: is missing, and the channel 'mail' is no console; say who is paged when nobody else "
        "can be, as in catch_all: [user:ana]"
    ]


def test_a_channel_without_a_fixed_destination_is_no_target(folder: Folder) -> None:
    errors = folder.errors("channels: {mail: {type: smtp, host: h, from: a@b.c}}\ncatch_all: [channel:mail]\n")

    assert errors == ["2:13: catch_all: the channel 'mail' has no fixed destination; give it `to:`, or name a user"]


def test_a_fallback_takes_the_same_addresses(folder: Folder) -> None:
    errors = folder.errors(
        "channels: {mail: {type: smtp, host: h, from: a@b.c, to: x@y.z}, terminal: {type: console}}\n"
        "catch_all: [channel:mail]\nfallbacks: {mail: [terminal]}\n"
    )

    assert errors == [
        "3:19: mail: 'terminal' needs a free address and 'mail' a mail address; name a channel of the same kind"
    ]


def test_an_api_base_beyond_this_machine_must_be_meant(folder: Folder) -> None:
    twilio = "type: twilio_sms, account_sid: AC1, auth_token: t, from: +15005550006"
    content = f"catch_all: [user:ana]\nusers: {{ana: {{}}}}\nchannels:\n  sms: {{{twilio}, api_base: 'http://evil.example'}}\n"

    assert folder.errors(content) == [
        "4:90: api_base: 'evil.example' is neither the provider nor loopback; write allow_private: true if that is meant"
    ]
    assert folder.errors(content.replace("evil.example", "127.0.0.1:9")) == []
    assert folder.errors(content.replace("example'", "example', allow_private: true")) == []


def test_ten_mistakes_in_several_files_are_reported_in_one_run(folder: Folder) -> None:
    folder.write(
        {
            "tocsin.yaml": (
                "include: [people.yaml, rules.yaml]\n"
                "defaults: {policy: defalt}\n"  # 1
                "policies:\n"
                "  default:\n"
                "    steps:\n"
                "      - {notify: [schedule: primary], wait: 300}\n"  # 2, 3
            ),
            "people.yaml": (
                "channels: {terminal: {type: consol}}\n"  # 4
                "users:\n"
                "  ana: {contact: {terminal: ana}}\n"  # 5
                "schedules:\n"
                "  primary:\n"
                "    layers: [{users: [anna]}]\n"  # 6
                "    timezone: Europe/Lisboa\n"  # 7
            ),
            "rules.yaml": (
                "rules:\n"
                "  - name: disks\n"
                "    match: ['alertname=~\"(Disk\"']\n"  # 8
                "    hold: 5 mins\n"  # 9
                "  - {name: disks}\n"  # 10
            ),
        }
    )

    said = folder.said(folder.load(), "error")

    assert [line.split(" ")[0] for line in said] == [
        "tocsin.yaml:2:20:",
        "tocsin.yaml:6:19:",
        "tocsin.yaml:6:45:",
        "people.yaml:1:29:",
        "people.yaml:3:9:",
        "people.yaml:6:23:",
        "people.yaml:7:15:",
        "rules.yaml:3:13:",
        "rules.yaml:4:11:",
        "rules.yaml:5:12:",
    ]


def test_a_message_is_one_line_whatever_it_quotes(folder: Folder) -> None:
    errors = folder.errors('defaults: {severity: "\\e[31m\\nred\\u202e"}\n')

    assert errors == [
        "1:22: severity: '\\x1b[31m\\nred\\u202e' is not known; write critical or error or warning or info"
    ]


def test_a_password_in_a_mistaken_database_address_is_not_shown(folder: Folder) -> None:
    errors = folder.errors("database: {url: 'postgre://tocsin:hush@db/tocsin'}\n")

    assert errors == [
        "1:17: url: 'postgre://…@db/tocsin' is not a database; write sqlite:tocsin.db or postgresql://user@host/name"
    ]
