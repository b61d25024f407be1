"""`tocsin explain`: what would happen to an alert, and who would be woken when."""

from __future__ import annotations

import asyncio
import difflib
import json
import sys
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from tocsin.cli.client import connect
from tocsin.cli.configuration import by_api
from tocsin.cli.oncall import moment_in, settings_without_secrets, this_second
from tocsin.cli.tables import print_json, print_table, say, warn
from tocsin.cli.times import length
from tocsin.cli.trouble import REFUSED, WRONG, Trouble
from tocsin.clock import SystemClock
from tocsin.contracts import ChannelKind, Source
from tocsin.decide.oncall.reach import People
from tocsin.decide.routing.rules import Rulebook
from tocsin.decide.routing.sender_times import on_the_line
from tocsin.errors import BadBody, StoreError
from tocsin.model import SEVERITIES, Alert, Instant, IntegrationConfig, Millis, Parsed, Settings, Severity
from tocsin.model.civil import unix
from tocsin.settings.document.trusted_files import Unreadable, read_whole
from tocsin.settings.plugins import BrokenKind, Kinds
from tocsin.store import Reader, is_absent, open_reader
from tocsin.work.whatif.explain import Asked, Present, answer, limits_of, people_in

LARGEST = 4 << 20  # bytes; as the daemon takes it
PATIENCE = Millis(5_000)
BY_HAND = "by-hand"

T = TypeVar("T")


def explain(
    file: Annotated[
        str | None, typer.Argument(metavar="[FILE]", help="A body as the source would post it; - reads stdin.")
    ] = None,
    integration: Annotated[
        str | None, typer.Option("--integration", "-i", help="Whose alerts these would be; not needed with one alone.")
    ] = None,
    title: Annotated[
        str | None, typer.Option("--title", "-t", help="Instead of FILE: an alert in so many words.")
    ] = None,
    severity: Annotated[str | None, typer.Option("--severity", help="critical, error, warning or info.")] = None,
    service: Annotated[str | None, typer.Option("--service", help="What the alert is about.")] = None,
    label: Annotated[list[str] | None, typer.Option("--label", "-l", help="NAME=VALUE; may be given often.")] = None,
    dedup_key: Annotated[str | None, typer.Option("--dedup-key", help="The alert's identity.")] = None,
    at: Annotated[
        str | None,
        typer.Option(help='As if it arrived then: "Sunday 03:10", "2026-01-05 09:00" (defaults.timezone), RFC 3339.'),
    ] = None,
    ahead: Annotated[
        str | None, typer.Option("--for", help="How far to look, as 6h; without: until the catch-all had its turn.")
    ] = None,
    all_rules: Annotated[bool, typer.Option("--all-rules", help="Show rules that do not apply too, and why.")] = False,
    config: Annotated[Path | None, typer.Option("-c", "--config", help="The main file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a script.")] = False,
) -> None:
    """Show what the rules would make of an alert, and who would be paged when. Sends and stores nothing.

    tocsin explain --title "db down" --severity critical --service shop --at "Sunday 03:10"

    Where there is a database, what is open and silenced now counts; it is only read.
    """
    if by_api(config):
        words = {"title": title, "severity": severity, "service": service, "dedup_key": dedup_key}
        found = _remote(file, integration, words, label or [], at, ahead)
        if as_json:
            print_json(found)
        else:
            _show(found, Settings("", ""), all_rules)
        return
    settings = settings_without_secrets(config)
    now = this_second() if at is None else moment_in(at, settings.defaults.timezone)
    if (file is None) == (title is None):
        raise Trouble('give a FILE (- for stdin) with --integration, or an alert by --title "db down"', WRONG)
    if file is not None:
        if severity or service or label or dedup_key:
            raise Trouble("--severity, --service, --label and --dedup-key go with --title, not with a FILE", WRONG)
        source = _integration(settings, integration)
        parsed = _parsed(file, source, now)
    else:
        source = _integration(settings, integration, by_hand=True)
        parsed = Parsed((_alert(settings, title or "", severity, service, label or [], dedup_key),))
    asked = Asked(source, parsed, now, Millis(int(length(ahead).total_seconds() * 1000)) if ahead else None)
    found = asyncio.run(_answer(settings, asked))
    if as_json:
        print_json(found)
    else:
        _show(found, settings, all_rules)


def _remote(
    file: str | None, integration: str | None, words: dict[str, str | None], labels: list[str], at: str | None,
    ahead: str | None,
) -> dict[str, Any]:  # fmt: skip
    """Ask the daemon at TOCSIN_URL to explain, where no configuration is in reach."""
    if (file is None) == (words["title"] is None):
        raise Trouble('give a FILE (- for stdin) with --integration, or an alert by --title "db down"', WRONG)
    asked: dict[str, Any] = {"integration": integration, "at": at, "for": ahead}
    if file is not None:
        raw = _raw(file)
        try:
            asked["payload"] = json.loads(raw)
        except (ValueError, RecursionError):
            asked["payload"] = raw.decode("utf-8", "replace")
    else:
        alert = {**words, "labels": dict(_pair(text) for text in labels)}
        asked["alert"] = {name: value for name, value in alert.items() if value}
    found: dict[str, Any] = connect().post("/v1/explain", {name: value for name, value in asked.items() if value})
    return found


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise Trouble(f"--label {text!r}: write NAME=VALUE", WRONG)
    return name, value


# ------------------------------------------------------------------------------------ which alerts


def _integration(settings: Settings, name: str | None, *, by_hand: bool = False) -> IntegrationConfig:
    """The one named; the only one there is; for an alert by hand one of no name, which rules may not mean."""
    if name is None and by_hand:
        return IntegrationConfig(BY_HAND, "webhook")
    if name is None:
        if len(settings.integrations) != 1:
            raise Trouble(f"say whose alerts these are: --integration {_choices(settings)}", WRONG)
        return next(iter(settings.integrations.values()))
    found = settings.integrations.get(name)
    if found is None:
        near = difflib.get_close_matches(name, settings.integrations, 1)
        said = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(settings.integrations) or 'none'}"
        raise Trouble(f"no integration {name!r}; {said}", REFUSED)
    return found


def _choices(settings: Settings) -> str:
    return " or ".join(settings.integrations) or "NAME (there is none in this configuration)"


def _alert(
    settings: Settings, title: str, severity: str | None, service: str | None, labels: list[str], key: str | None
) -> Alert:
    if service is not None and service not in settings.services:
        near = difflib.get_close_matches(service, settings.services, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        warn(f"no service {service!r} is configured: it would be kept as text, with the default policy{hint}")
    return Alert(
        "firing",
        key or title,
        severity=_severity(severity),
        title=title,
        service=service,
        labels=dict(_label(text) for text in labels),
    )


def _severity(text: str | None) -> Severity | None:
    if text is None:
        return None
    found = next((one for one in SEVERITIES if one == text.lower()), None)
    if found is None:
        raise Trouble(f"--severity {text!r} is none of {', '.join(SEVERITIES)}", WRONG)
    return found


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise Trouble(f"--label {text!r}: write NAME=VALUE", WRONG)
    return name, value


def _parsed(file: str, integration: IntegrationConfig, now: Instant) -> Parsed:
    source = Kinds().kind("sources", integration.type)
    if source is None or isinstance(source, BrokenKind):
        raise Trouble(f"alerts of type {integration.type!r} cannot be read by this version", REFUSED)
    return _read_by(source, _raw(file), file, integration, now)


def _read_by(source: Source, raw: bytes, file: str, integration: IntegrationConfig, now: Instant) -> Parsed:
    headers = {"content-type": "application/json", "content-length": str(len(raw))}
    try:
        return on_the_line(source.parse(raw, headers, integration, Instant(unix(now))))
    except BadBody as wrong:
        at = f" at {wrong.pointer}" if wrong.pointer else ""
        raise Trouble(f"{file}: cannot be read as {integration.type}{at}: {wrong.detail}", WRONG) from None


def _raw(file: str) -> bytes:
    try:
        raw = sys.stdin.buffer.read(LARGEST + 1) if file == "-" else read_whole(Path(file), LARGEST).raw
    except OSError as wrong:
        raise Trouble(f"{file}: {wrong.strerror or wrong}", WRONG) from None
    except Unreadable as wrong:
        raise Trouble(wrong.of(file), WRONG) from None
    if len(raw) > LARGEST:
        raise Trouble(f"{file}: larger than the 4 MiB the daemon takes", WRONG)
    return raw


# ------------------------------------------------------------------------------ what is open now


async def _answer(settings: Settings, asked: Asked) -> dict[str, Any]:
    """Explain with what the database knows; without it where there is none, or it does not answer at once."""
    clock, rulebook, limits = SystemClock(), Rulebook(settings), limits_of(settings, channel_kinds(settings))

    async def with_facts(reader: Reader) -> dict[str, Any]:
        people = await people_in(reader, settings)
        return await answer(reader, settings, rulebook, Present(people), asked, clock, limits)

    found = await beside(settings, with_facts)
    return (
        found if found is not None else await answer(None, settings, rulebook, Present(People()), asked, clock, limits)
    )


def channel_kinds(settings: Settings) -> dict[str, ChannelKind]:
    """The kinds of the configured channels, as far as they are installed."""
    kinds, found = Kinds(), dict[str, ChannelKind]()
    for channel in settings.channels.values():
        kind = kinds.kind("channels", channel.type)
        if kind is not None and not isinstance(kind, BrokenKind):
            found[channel.type] = kind
    return found


async def beside(settings: Settings, ask: Callable[[Reader], Awaitable[T]], patience: Millis = PATIENCE) -> T | None:
    """Ask the database, which is only read, and give what `ask` finds; None where there is none.

    None, too, where it cannot be read or does not answer in time, which is said on stderr.
    """
    clock, url = SystemClock(), settings.database
    if is_absent(url):
        return None
    try:
        async with clock.timeout(patience):
            reader = await open_reader(url, clock)
            try:
                return await ask(reader)
            finally:
                await reader.close()
    except (StoreError, TimeoutError) as wrong:
        warn(f"what happens now is not known: {wrong or 'the database does not answer'}")
        return None


# ----------------------------------------------------------------------------------- for people


def _show(found: dict[str, Any], settings: Settings, all_rules: bool) -> None:
    say(f"If it arrives on {_clock(found['at'])} ({found['timezone']})")
    for alert in found["alerts"]:
        _show_alert(alert, settings, all_rules)
    for one in found["rejected"]:
        say(f"rejected {one['pointer'] or 'the body'}: {one['detail']}")
    for one in found["not_computed"]:
        say(f"{one['pointer']} is left out: {one['detail']}")
    if found["left_out"]:
        say(f"{found['left_out']} more alerts of this body are left out")
    if not found["alerts"] and not found["rejected"]:
        say("no alerts in this body")


def _show_alert(alert: dict[str, Any], settings: Settings, all_rules: bool) -> None:
    """The answer first, then who is paged, then why: of many rules the few that apply."""
    say(f"\n{alert['status'].upper()} {alert['title'] or '(no title)'}")
    for name in ("dedup_key", "severity", "service", "incident_key", "policy"):
        if alert[name]:
            say(f"  {name.replace('_', ' '):13}{alert[name]}")
    if alert["priority"]:
        say(f"  {'priority':13}{alert['priority']}: {alert['priority_because']}")
    for silence in alert["silences"]:
        who = f"{silence['id']} by {silence['author']} until {_clock(silence['until'])}"
        say(f"  {'silence':13}{who}: {silence['comment']}")
    if alert["hold_until"]:
        say(f"  {'held until':13}{_clock(alert['hold_until'])}")
    say(f"  {'action':13}{alert['action']}: {alert['because']}")
    for error in alert["errors"]:
        say(f"  error in rule {error['rule']!r}: {error['detail']}")
    if alert["plan"] or alert["notes"]:
        say("\nIf nobody answers:")
        _show_plan(alert, settings)
    if alert.get("storm_plan"):
        say(f"\nThe storm INC {alert['storm']} that begins with it pages:")
        _show_plan({"plan": alert["storm_plan"], "notes": []}, settings)
    if alert["rules"]:
        say("")
        _show_rules(alert["rules"], all_rules)


def _show_rules(rules: list[dict[str, Any]], all_rules: bool) -> None:
    shown = [rule for rule in rules if rule["matched"] or all_rules]
    rows = [("yes" if rule["matched"] else "no", rule["name"], rule["because"]) for rule in shown]
    print_table(("applies", "rule", "because"), rows, empty="No rule applies.")
    hidden = len(rules) - len(shown)
    if hidden:
        say(f"{hidden} other rule{' does' if hidden == 1 else 's do'} not apply (--all-rules tells why).")


def _show_plan(alert: dict[str, Any], settings: Settings) -> None:
    lines = sorted([*alert["plan"], *alert["notes"]], key=_place)
    columns = ("at", "after", "step", "who", "by", "their time", "because")
    print_table(columns, _rows(lines, settings), empty="nobody is paged")


def _place(line: dict[str, Any]) -> tuple[datetime, bool]:
    """The sort key of a line: by time; what happens goes before the pages it leads to."""
    return datetime.fromisoformat(line["at"]), bool(line["channel"])


def _rows(lines: list[dict[str, Any]], settings: Settings) -> Iterator[tuple[Any, ...]]:
    for one in lines:
        local = _clock(one["local"]) if one["local"] else ""
        if one["channel"]:
            step = one["step"] or "catch-all"
            yield (
                _clock(one["at"]),
                f"+{one['after']}",
                step,
                _who(one, settings),
                one["channel"],
                local,
                one["because"],
            )
        else:
            yield _clock(one["at"]), f"+{one['after']}", "", "", "", "", one["because"]


def _who(planned: dict[str, Any], settings: Settings) -> str:
    key = planned["user"]
    if key is None:
        return f"channel {planned['channel']}"
    return f"{settings.users[key].name} ({key})" if key in settings.users else key


def _clock(text: str) -> str:
    return datetime.fromisoformat(text).strftime("%a %Y-%m-%d %H:%M:%S").removesuffix(":00")
