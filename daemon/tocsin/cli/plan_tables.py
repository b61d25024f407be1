"""The answer of `tocsin plan` for people: a table each for what would change, and a summary at the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from tocsin.cli import turnover
from tocsin.cli.tables import print_table, say
from tocsin.model import Settings

Answer = Mapping[str, Any]
MOST_ROWS = 40


def show(answer: Answer, after: Settings, before: Settings) -> None:
    say(f"now:  {answer['before']}\nthen: {answer['after']}")
    if answer["shifts"]:
        _title("Shifts, for the next 30 days")
        turnover.show(answer["shifts"], {**after.users, **before.users})
    _lines("Policies", "policy", answer["policies"])
    if answer["users"]:
        _title("People")
        print_table(("user", "what"), _people(answer["users"]), empty="")
    _lines("Rules", "rule", answer["rules"])
    _removals(answer)
    if answer["alerts"] is not None:
        _alerts(answer["alerts"])
    if answer["incidents"] is not None and answer["incidents"]["affected"]:
        _incidents(answer["incidents"])
    _title("In short")
    for line in summary(answer):
        say(line)


def summary(answer: Answer) -> Iterator[str]:
    """Yield what would change, a line a matter."""
    if not answer["changes"]:
        yield "Nothing would change."
    for name, names in answer["sections"].items():
        signs = (("+", names["added"]), ("-", names["removed"]), ("~", names["changed"]))
        yield f"{name}: " + ", ".join(f"{sign}{one}" for sign, every in signs for one in every)
    if answer["rules_moved"]:
        yield "rules: walked in another order"
    if answer["other"]:
        yield f"also changed: {', '.join(answer['other'])}"
    yield from answer["in_words"]
    yield from _of_alerts(answer["alerts"])
    yield from _of_incidents(answer["incidents"])
    if answer["needs_restart"]:
        yield f"needs a restart: {', '.join(answer['needs_restart'])}"
    if answer["empties"]:
        yield f"leaves nothing of: {', '.join(answer['empties'])}; a reload needs: tocsin reload --yes"
    if answer["removes_most"]:
        yield f"removes more than half of: {', '.join(answer['removes_most'])}; a reload needs: tocsin reload --yes"


def _of_alerts(alerts: Answer | None) -> Iterator[str]:
    if alerts is None:
        yield "alerts: there is no database here to ask"
        return
    of = f"{alerts['alerts']:,} since {_clock(alerts['since'])}"
    yield f"alerts: {alerts['differ']:,} of {of} would be treated differently"
    keys = alerts["incident_keys"]
    if keys["before"] != keys["after"]:
        yield f"incident keys among them: {keys['before']:,} now, {keys['after']:,} then"
    if alerts["unread"]:
        yield f"{alerts['unread']:,} of {alerts['posts']:,} bodies can be read by neither"


def _of_incidents(incidents: Answer | None) -> Iterator[str]:
    if incidents is None:
        return
    affected = incidents["affected"]
    others = sum(one["next_before"] != one["next_after"] for one in affected)
    yield f"open incidents: {others} of {incidents['open']:,} would page otherwise"
    frozen = sum(one["policy_frozen"] for one in affected)
    if frozen:
        run = "1 runs under its" if frozen == 1 else f"{frozen} run under their"
        yield f"{run} policy as frozen: the change of it counts from the next cycle on"


# ---------------------------------------------------------------------------------------- tables


def _title(text: str) -> None:
    say(f"\n{text}")


def _lines(title: str, what: str, found: Sequence[Answer]) -> None:
    if not found:
        return
    _title(title)
    rows = [row for one in found for row in _differing(one)]
    print_table((what, "now", "then"), rows, empty="")


def _differing(one: Answer) -> Iterator[tuple[str, str, str]]:
    before, after = one["before"], one["after"]
    if not before or not after:
        yield one["name"], "" if not before else "is there", "is new" if not before else "is gone"
    width = max(len(before), len(after))
    was, will = ([*lines, *[""] * (width - len(lines))] for lines in (before, after))
    for old, new in zip(was, will, strict=True):
        if old != new:
            yield one["name"], old, new


def _people(users: Sequence[Answer]) -> Iterator[tuple[str, str]]:
    for one in users:
        for change in one["changes"]:
            yield one["user"], change


def _removals(answer: Answer) -> None:
    sections = answer["sections"]
    gone = [
        *((name, "answers 404; its open alerts stay") for name in _removed(sections, "integrations")),
        *((name, "what is planned for it goes another way") for name in _removed(sections, "channels")),
    ]
    if gone:
        _title("Integrations and channels that go")
        print_table(("name", "what that means"), gone, empty="")


def _removed(sections: Answer, name: str) -> Sequence[str]:
    found: Sequence[str] = sections.get(name, {}).get("removed", ())
    return found


def _alerts(alerts: Answer) -> None:
    if alerts["rules"]:
        _title(f"Rules hit by the alerts since {_clock(alerts['since'])}")
        rows = [(one["name"], one["before"], one["after"]) for one in alerts["rules"]]
        print_table(("rule", "now", "then"), rows, empty="")
    if alerts["groups"]:
        _title("Alerts that would be treated differently")
        print_table(("alerts", "now", "then", "the last of them"), list(_groups(alerts)), empty="")
        more = len(alerts["groups"]) - MOST_ROWS
        if more > 0:
            say(f"… and {more} more ways; --json has them")


def _groups(alerts: Answer) -> Iterator[tuple[Any, ...]]:
    for one in alerts["groups"][:MOST_ROWS]:
        example = one["example"]
        last = f"{_clock(example['at'])} {example['integration']}: {example['title']}"
        yield one["count"], _words(one["before"]), _words(one["after"]), last


def _words(treated: Mapping[str, str]) -> str:
    if "outcome" in treated:
        return treated["outcome"]
    return ", ".join(f"{name} {value}" for name, value in treated.items())


def _incidents(incidents: Answer) -> None:
    _title("Open incidents")
    rows = []
    for one in incidents["affected"][:MOST_ROWS]:
        note = "policy frozen until its next cycle" if one["policy_frozen"] else ""
        who = _next(one["next_before"]), _next(one["next_after"])
        rows.append((one["number"], one["status"], one["priority"], one["title"], *who, note))
    print_table(("number", "status", "prio", "title", "pages next", "then would", ""), rows, empty="")
    more = len(incidents["affected"]) - MOST_ROWS
    if more > 0:
        say(f"… and {more} more; --json has them")


def _next(pages: Sequence[Answer]) -> str:
    if not pages:
        return "nobody"
    who = ", ".join(f"{page['user'] or 'channel'} by {page['channel']}" for page in pages)
    return f"{_clock(pages[0]['at'])} {who}"


def _clock(text: str) -> str:
    return datetime.fromisoformat(text).strftime("%a %Y-%m-%d %H:%M")
