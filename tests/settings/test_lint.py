"""What `tocsin check` finds in a configuration that is valid."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.settings.conftest import Folder
from tocsin.model import instant
from tocsin.settings import load
from tocsin.settings.lint import lint
from tocsin.settings.review import review

NOW = instant(datetime(2026, 11, 23, 8, 0, tzinfo=UTC))  # a Monday

SOUND = """\
channels: {terminal: {type: console}}
users: {ana: {contacts: {terminal: ana}}}
schedules: {primary: {layers: [{users: ana}]}}
policies: {default: {steps: [{notify: schedule:primary}]}}
defaults: {policy: default}
catch_all: [user:ana]
"""


def findings(folder: Folder, content: str) -> list[str]:
    loaded = folder.write({"tocsin.yaml": content}).load()
    assert loaded.settings is not None, folder.said(loaded)
    found = lint(loaded, NOW)
    assert {problem.level for problem in found} <= {"warning"}
    return [str(problem).replace(f"{folder.path}/tocsin.yaml:", "") for problem in found]


FINDINGS = [
    # the server
    ("server: {listen: '0.0.0.0:8420'}", "7:18: listen: listens on 0.0.0.0 and has no admin_listen, so everyone who reaches it reads /metrics"),
    # names nobody uses
    ("teams: {idle: {members: [ana]}}", "7:9: teams: nothing uses 'idle'"),
    # rules
    ("rules: [{name: a, stop: true}, {name: b, match: 'x=\"y\"'}]", "7:32: b: is never reached: 'a' (7:9) ends the walk for all that it matches"),
    ("rules: [{name: a, match: 'x=\"y\"', drop: true}, {name: b, match: ['x=\"y\"', 'z=\"y\"']}]", "7:48: b: is never reached: 'a' (7:9) drops all that it matches"),
    ("rules: [{name: a, match: 'severity=\"page\"'}]", "7:26: a: severity=\"page\": only a label can have this value, a severity is one of critical, error, warning, info"),
    ("rules: [{name: a, match: 'host=\"web*\"'}]", "7:26: a: host=\"web*\" compares with the text 'web*' itself; it is no pattern"),
    ("rules: [{name: a, match: 'env!=\"dev|test\"'}]", "7:26: a: env!=\"dev|test\" compares with the text 'dev|test' itself; it is no pattern"),
    ("services: {shop: {}}\nrules: [{name: a, match: 'field.service=\"shopp\"'}]", "8:26: a: field.service=\"shopp\": there is no service 'shopp' (did you mean 'shop'?)"),
    ("rules: [{name: a, group_by: 'cluster alertname'}]", "7:29: a: 'cluster alertname' is one name here, and no label is called that: nothing is grouped"),
    ("rules: [{name: a, group_by: [trace_id]}]", "7:30: a: 'trace_id' changes from post to post, so each would open an incident of its own"),
    ("rules: [{name: a, group_by: [cluster, timestamp]}]", "7:39: a: 'timestamp' changes from post to post, so each would open an incident of its own"),
    ("rules: [{name: a, set: {dedup_key: '{{ labels.value }}'}}]", "7:36: a: 'value' changes from post to post, so each would open an incident of its own"),
]  # fmt: skip


@pytest.mark.parametrize(("more", "said"), FINDINGS, ids=[said for _, said in FINDINGS])
def test_what_is_worth_a_second_look_is_told_at_its_place(folder: Folder, more: str, said: str) -> None:
    assert findings(folder, SOUND + more + "\n") == [said]


FINE = [
    "",
    "server: {listen: '0.0.0.0:8420', admin_listen: 127.0.0.1:8421}",
    # the value that `a` looks at may be another one by the time `c` is asked
    "rules: [{name: a, match: 'x=\"y\"', stop: true}, {name: b, set: {labels: {x: y}}}, {name: c, match: 'x=\"y\"'}]",
    "rules: [{name: a, match: 'x=\"y\"', stop: true}, {name: b, match: 'x=\"z\"'}]",
    "rules: [{name: a, match: 'label.severity=\"page\"'}]",
    "rules: [{name: a, match: 'severity=~\"page|critical\"'}]",
]


@pytest.mark.parametrize("more", FINE)
def test_a_sound_configuration_is_left_alone(folder: Folder, more: str) -> None:
    assert findings(folder, SOUND + more + "\n") == []


def test_hours_without_anybody_are_told_with_the_first_gap(folder: Folder) -> None:
    content = SOUND.replace("{users: ana}", "{users: ana, hours: {days: Mon-Fri, from: 09:00, to: 17:00}}")

    found = findings(folder, content)

    assert found == [
        "3:13: primary: nobody is on call from Mon 2026-11-23 08:00 to Mon 2026-11-23 09:00, Mon 2026-11-23 17:00 to "
        "Tue 2026-11-24 09:00, Tue 2026-11-24 17:00 to Wed 2026-11-25 09:00 and 20 times more (UTC; in the next 30 days "
        "23 gaps, 544 h in all)"
    ]


def test_a_gap_in_a_schedule_that_nobody_asks_is_no_matter_but_its_uselessness_is(folder: Folder) -> None:
    content = SOUND.replace(
        "schedules: {primary", "schedules: {spare: {layers: [{users: ana, hours: {days: Sat}}]}, primary"
    )

    assert findings(folder, content) == ["3:13: schedules: nothing uses 'spare'"]


def test_a_person_who_may_be_paged_needs_a_contact(folder: Folder) -> None:
    content = SOUND.replace("users: {ana", "users: {bo: {}, ana").replace("[user:ana]", "[user:ana, user:bo]")

    assert findings(folder, content) == ["2:9: bo: may be paged and has no usable contact"]


def test_a_step_that_can_reach_nobody_is_told(folder: Folder) -> None:
    content = SOUND.replace("users: {ana", "users: {bo: {}, ana").replace(
        "steps: [{notify: schedule:primary}]", "steps: [{notify: schedule:primary}, {notify: user:bo}]"
    )

    assert findings(folder, content) == [
        "2:9: bo: may be paged and has no usable contact",
        "4:67: default: step 2 can reach nobody",
    ]


NOBODY = [
    "schedule:primary@next",  # ana is always on call, so nobody is ever next
    "team:web@oncall",  # bo is in no schedule
    "managers:web",
]


@pytest.mark.parametrize("target", NOBODY)
def test_a_step_whose_target_can_never_lead_to_anybody_is_told(folder: Folder, target: str) -> None:
    content = SOUND.replace("{ana:", "{bo: {contacts: {terminal: bo}}, ana:").replace(
        "{notify: schedule:primary}]", f"{{notify: schedule:primary}}, {{notify: '{target}'}}, {{notify: team:web}}]"
    )

    assert findings(folder, f"{content}teams: {{web: {{members: [bo]}}}}\n") == [
        "4:67: default: step 2 can reach nobody"
    ]


SILENT = [
    ("only: {priority: [P1, P2]}", "", "P3, P4; only the catch-all is paged"),
    ("only: {urgency: high}", "", "P3, P4; only the catch-all is paged"),
    ("only: {urgency: high}", "priorities: {medium: {medium: P2}}", "P2 of medium urgency, P4; only the catch-all is paged"),
    ("only: {hours: support}", "services: {shop: {support_hours: {days: Mon-Fri}}}",
     "P2 outside support hours, P4 outside support hours; only the catch-all is paged"),
]  # fmt: skip


@pytest.mark.parametrize(("only", "more", "said"), SILENT)
def test_a_policy_that_pages_nobody_for_some_incidents_is_told(folder: Folder, only: str, more: str, said: str) -> None:
    content = SOUND.replace("notify: schedule:primary", f"notify: schedule:primary, {only}") + more + "\n"

    assert findings(folder, content) == [f"4:12: default: no step applies to {said}"]


def test_a_policy_that_ends_without_a_catch_all_ends_in_silence(folder: Folder) -> None:
    content = SOUND.replace("catch_all: [user:ana]\n", "")

    assert findings(folder, content) == ["4:12: default: ends in silence after its last round"]
    assert findings(folder, content.replace("{steps", "{repeat: forever, steps")) == []


def test_a_policy_that_a_template_may_name_is_no_unused_one(folder: Folder) -> None:
    content = SOUND.replace("policies: {default", "policies: {night: {steps: [{notify: user:ana}]}, default")

    assert findings(folder, content) == ["4:12: policies: nothing uses 'night'"]
    assert findings(folder, content + "rules: [{name: a, set: {policy: '{{ labels.policy }}'}}]\n") == []


STARTER = Path(__file__).parents[2] / "config" / "tocsin.yaml"


def test_the_starter_is_without_any_finding() -> None:
    loaded = load(STARTER, env={})

    assert loaded.settings is not None
    assert loaded.problems == ()
    assert lint(loaded, NOW) == ()


# -------------------------------------------------------------------- what must not be told

NO_MATTER = [
    # hours that another target of the step covers, or for which the step does not ask
    ("schedules: {day: {layers: [{users: ana, hours: {from: 08:00, to: 20:00}}]}, night: {layers: [{users: ana, hours: {from: 20:00, to: 08:00}}]}}\n"
     "policies: {default: {steps: [{notify: [schedule:day, schedule:night]}]}}"),
    ("schedules: {day: {layers: [{users: ana, hours: {from: 08:00, to: 20:00}}]}}\n"
     "policies: {default: {steps: [{notify: [schedule:day, user:ana]}]}}"),
    ("schedules: {day: {layers: [{users: ana, hours: {days: Mon-Fri, from: 08:00, to: 20:00}}]}}\n"
     "services: {shop: {policy: office, support_hours: {days: Mon-Fri, from: 09:00, to: 17:00}}}\n"
     "policies: {default: {steps: [{notify: user:ana}]}, office: {steps: [{notify: schedule:day, only: {hours: support}}, {notify: user:ana}]}}"),
    # a single person cannot do better
    "policies: {default: {steps: [{notify: schedule:primary}, {notify: user:ana}]}}",
    # the rest of a list of exceptions
    "rules: [{name: a, match: 'team=\"web\"', stop: true}, {name: b, drop: true}]",
    # an earlier rule that depends on more than its matchers, or whose view may have changed
    "rules: [{name: a, match: 'x=\"y\"', drop: true, when: 'has(labels.y)'}, {name: b, match: 'x=\"y\"'}]",
    "rules: [{name: a, match: 'x=\"y\"', drop: true, when: 'true'}, {name: b, match: 'x=\"y\"'}]",
    "rules: [{name: a, match: 'x=~\".+\"', stop: true}, {name: b, match: 'x!=\"\"'}]",  # a value of two lines gets by
    # patterns that look odd and are meant
    "rules: [{name: a, match: ['x=~\"a|b\"', 'y=~\"10.0.0.*\"', 'z=~\"colou?r\"', 'w=~\"a*b\"', 'v=~\".*foo\"']}]",
    "rules: [{name: a, match: ['x=~\"a.*\"', 'x!~\"ab.*\"']}]",
    "rules: [{name: a, match: 'integration=\"elsewhere\"'}]",
    # a policy by a template may be any
    "services: {shop: {impact: high}}\npolicies: {default: {steps: [{notify: schedule:primary}, {notify: user:ana, only: {priority: P1}}]}}",
    "rules: [{name: a, set: {priority: P1}}]\npolicies: {default: {steps: [{notify: schedule:primary}, {notify: user:ana, only: {priority: P1}}]}}",
    # planned ahead
    "schedules: {primary: {layers: [{users: ana}, {users: ana, rotation: {every: 1w, start: 2027-01-04 09:00}}]}}",
    # somewhat long, and no mistake
    "rules: [{name: a, match: 'x=\"y\"', hold: 1h, group_by: [x]}]",
    "throttle: {sms: [3/1h], voice: [1/15m]}",
    "inhibitions: [{source: 'a=\"Down\"', target: 'a=~\"Down|Slow\"'}]\nmaintenance: [{name: m, match: [], every: 'Mon-Fri 02:00', for: 1d}]",
]  # fmt: skip


@pytest.mark.parametrize("content", NO_MATTER)
def test_what_may_well_be_meant_is_left_alone(folder: Folder, content: str) -> None:
    own = {line.partition(":")[0] for line in content.splitlines()}
    rest = [line for line in SOUND.splitlines() if line.partition(":")[0] not in own]
    if "schedules" in own and "schedule:primary" not in content and "policies" in own:
        rest = [line for line in rest if not line.startswith("schedules")]

    assert findings(folder, "\n".join([content, *rest]) + "\n") == []


# ------------------------------------------------------------------------ beside errors


BESIDE = [
    # what an error may explain is not told
    ("catch_all: [user:anna]", ["1:13: catch_all: no such user 'anna' (did you mean 'ana'?)"]),
    ("channels: {terminal: {type: consle}}", ["1:29: type: no such channel type 'consle' (did you mean 'console'?)"]),
    ("schedules: {primary: {layers: [{users: anna}]}}", ["1:40: users: no such user 'anna' (did you mean 'ana'?)"]),
    ("schedules: {primary: {layers: [{users: [ana, ana], rottion: {every: 1w, start: 2026-01-05 09:00}}]}}",
     ["1:52: layers: unknown key 'rottion' (did you mean 'rotation'?)"]),
    ("defaults: {polcy: default}", ["1:12: defaults: unknown key 'polcy' (did you mean 'policy'?)"]),
    ("servces: {shop: {policy: default}}", ["1:1: unknown section 'servces' (did you mean 'services'?)"]),
    ("policies: {default: {steps: [{notify: 'schedul:primary'}]}}", ["1:39: notify: 'schedul:primary' is not a target; write schedule:primary"]),
    ("schedules: {primary: {layers: [{users: ana}]}, nights: {layers: [{users: ana}]}}\n"
     "policies: {default: {steps: [{notify: schedule:primary}, {notify: schedule:night}]}}",
     ["2:67: notify: no such schedule 'night' (did you mean 'nights'?)"]),
    # names of what could not be read are neither missed nor unused, and nobody is missing on call for it
    ("usres: {ana: {contacts: {terminal: ana}}}", ["1:1: unknown section 'usres' (did you mean 'users'?)"]),
    ("users:\n  - {name: ana, contacts: {terminal: ana}}", ["2:3: users: a list stands where a mapping of names is expected"]),
    ("schedule: {primary: {layers: [{users: ana}]}}", ["1:1: unknown section 'schedule' (did you mean 'schedules'?)"]),
    # what it does not explain is told all the same
    ("retention: {alerts: 5}\nteams: {idle: {members: [ana]}}",
     ["1:21: alerts: '5' has no unit; write 5s, 5m, 5h or 5d", "2:9: teams: nothing uses 'idle'"]),
]  # fmt: skip


@pytest.mark.parametrize(("content", "said"), BESIDE)
def test_beside_an_error_no_finding_is_told_that_it_may_explain(folder: Folder, content: str, said: list[str]) -> None:
    own = {line.partition(":")[0] for line in content.splitlines()}
    rest = [line for line in SOUND.splitlines() if line.partition(":")[0] not in own]
    loaded = folder.write({"tocsin.yaml": "\n".join([content, *rest]) + "\n"}).load()

    told = [str(one).replace(f"{folder.path}/tocsin.yaml:", "") for one in review(loaded, NOW).problems]

    assert told == said


def test_broken_yaml_leaves_what_came_before_it_to_be_linted(folder: Folder) -> None:
    content = (
        SOUND.replace("{users: ana}", "{users: ana}, {users: ana, end: 2020-06-01 09:00}")
        + "rules: [{name: a: b}]\nteams: {idle: {members: [ana]}}\n"
    )
    loaded = folder.write({"tocsin.yaml": content}).load()

    assert [problem.code for problem in review(loaded, NOW).problems] == ["past-layer", "syntax"]


def test_what_a_broken_file_may_hold_is_not_missed(folder: Folder) -> None:
    files = {
        "tocsin.yaml": "include: [people.yaml]\n" + SOUND.replace("users: {ana: {contacts: {terminal: ana}}}\n", "")
    }
    loaded = folder.write(
        {**files, "people.yaml": "users:\n  bo: {contacts: }}\n  ana: {contacts: {terminal: ana}}\n"}
    ).load()

    assert [problem.code for problem in review(loaded, NOW).problems] == ["syntax"]


def test_a_finding_is_one_line_whatever_it_quotes(folder: Folder) -> None:
    content = SOUND + 'rules: [{name: "a\\n\\e[31m", match: [], drop: true}]\n'

    assert findings(folder, content) == [
        "7:46: a\\n\\x1b[31m: drop without a matcher that leaves anything out: no alert opens an incident"
    ]


def test_beside_a_thousand_errors_nothing_is_linted(folder: Folder) -> None:
    """Not every error is kept then, so that what is damaged is not known."""
    services = "".join(f"  s{number}: {{impct: high}}\n" for number in range(1100))
    loaded = folder.write({"tocsin.yaml": f"{SOUND}teams: {{idle: {{members: [ana]}}}}\nservices:\n{services}"}).load()

    assert {problem.code for problem in review(loaded, NOW).problems} == {"unknown-key"}
