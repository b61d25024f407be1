"""`tocsin explain FILE --integration NAME`: what would happen to an alert, and who would be paged when."""

from __future__ import annotations

import asyncio
import difflib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from tocsin.cli.oncall import moment_in, settings_without_secrets, this_second
from tocsin.cli.tables import print_json, print_table, say
from tocsin.cli.trouble import REFUSED, WRONG, Trouble
from tocsin.clock import SystemClock
from tocsin.contracts import IncidentFilter, Source
from tocsin.decide.explain import Explained, Facts
from tocsin.decide.explain import explain as explained
from tocsin.decide.explained import as_json as explained_json
from tocsin.decide.rules import Rulebook
from tocsin.errors import BadBody, StoreError
from tocsin.model import OPEN, Incident, Instant, IntegrationConfig, Millis, Parsed, Settings, StoredAlert
from tocsin.settings.plugins import Broken, Kinds
from tocsin.store import open_reader
from tocsin.store.reads import Reads

LARGEST = 4 << 20  # bytes; as the daemon takes it
PATIENCE = Millis(3_000)
AT_MOST = 1_000  # incidents, alerts, silences that are read for one answer


def explain(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A body as the source would post it; - reads stdin.")],
    integration: Annotated[str, typer.Option("--integration", "-i", help="Whose alerts these would be.")],
    at: Annotated[str | None, typer.Option(help="As if it arrived then: RFC 3339, or local time.")] = None,
    config: Annotated[Path | None, typer.Option("-c", "--config", help="The main file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a script.")] = False,
) -> None:
    """What the rules would make of the alerts in FILE, and who would be paged when. Sends and stores nothing.

    Where there is a database, what is open and silenced now counts; it is only read.
    """
    settings = settings_without_secrets(config)
    source = _integration(settings, integration)
    now = this_second() if at is None else moment_in(at, settings.defaults.timezone)
    parsed = _parsed(file, source, now)
    rulebook = Rulebook(settings)
    fresh = explained(settings, rulebook, source, parsed, now)
    facts = asyncio.run(_known(settings, source.name, fresh, now))
    answer = explained_json(explained(settings, rulebook, source, parsed, now, facts), parsed, settings, now)
    if as_json:
        print_json(answer)
    else:
        _show(answer, settings)


def _integration(settings: Settings, name: str) -> IntegrationConfig:
    found = settings.integrations.get(name)
    if found is None:
        near = difflib.get_close_matches(name, settings.integrations, 1)
        said = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(settings.integrations) or 'none'}"
        raise Trouble(f"no integration {name!r}; {said}", REFUSED)
    return found


def _parsed(file: str, integration: IntegrationConfig, now: Instant) -> Parsed:
    source = Kinds().kind("sources", integration.type)
    if source is None or isinstance(source, Broken):
        raise Trouble(f"alerts of type {integration.type!r} cannot be read by this version", REFUSED)
    return _read_by(source, _raw(file), file, integration, now)


def _read_by(source: Source, raw: bytes, file: str, integration: IntegrationConfig, now: Instant) -> Parsed:
    headers = {"content-type": "application/json", "content-length": str(len(raw))}
    try:
        return source.parse(raw, headers, integration, now)
    except BadBody as wrong:
        at = f" at {wrong.pointer}" if wrong.pointer else ""
        raise Trouble(f"{file}: cannot be read as {integration.type}{at}: {wrong.detail}", WRONG) from None


def _raw(file: str) -> bytes:
    try:
        raw = sys.stdin.buffer.read(LARGEST + 1) if file == "-" else _whole(Path(file))
    except OSError as wrong:
        raise Trouble(f"{file}: {wrong.strerror or wrong}", WRONG) from None
    if len(raw) > LARGEST:
        raise Trouble(f"{file}: larger than the 4 MiB the daemon takes", WRONG)
    return raw


def _whole(path: Path) -> bytes:
    with path.open("rb") as opened:
        return opened.read(LARGEST + 1)


# ------------------------------------------------------------------------------ what is open now


async def _known(settings: Settings, integration: str, fresh: Sequence[Explained], at: Instant) -> Facts:
    """What the database knows of these alerts: nothing where there is none, or it does not answer at once."""
    clock = SystemClock()
    try:
        async with clock.timeout(PATIENCE):
            reader = await open_reader(settings.database, clock)
            try:
                return await _facts(reader, integration, fresh, at)
            finally:
                await reader.close()
    except (StoreError, TimeoutError):
        return Facts()


async def _facts(reader: Reads, integration: str, fresh: Sequence[Explained], at: Instant) -> Facts:
    incidents: dict[str, Incident] = {}
    firing = await reader.alerts(integration=integration, status="firing", limit=AT_MOST, before=None)
    alerts: dict[str, StoredAlert] = {one.source_key: one for one in firing}
    for key in dict.fromkeys(one.group.key for one in fresh if one.group is not None):
        for incident in await reader.incidents(IncidentFilter(status=tuple(OPEN), text=key), AT_MOST, None):
            if incident.key == key and key not in incidents:
                incidents[key] = incident
    for incident in incidents.values():
        stored = await reader.incident_alerts(incident.number, AT_MOST, None)
        alerts.update(
            {one.source_key: one for one in stored if (one.integration, one.status) == (integration, "firing")}
        )
    return Facts(incidents, alerts, await reader.silences(active_at=at, limit=AT_MOST))


# ----------------------------------------------------------------------------------- for people


def _show(answer: dict[str, Any], settings: Settings) -> None:
    for alert in answer["alerts"]:
        _show_alert(alert, settings)
    for one in answer["rejected"]:
        say(f"rejected {one['pointer'] or 'the body'}: {one['detail']}")
    if not answer["alerts"] and not answer["rejected"]:
        say("no alerts in this body")


def _show_alert(alert: dict[str, Any], settings: Settings) -> None:
    say(f"{alert['status'].upper()} {alert['title'] or '(no title)'}")
    for name in ("dedup_key", "severity", "service", "incident_key", "priority", "policy", "muted_by"):
        if alert[name]:
            say(f"  {name.replace('_', ' '):13}{alert[name]}")
    say(f"  {'action':13}{alert['action']}: {alert['because']}")
    for error in alert["errors"]:
        say(f"  error in rule {error['rule']!r}: {error['detail']}")
    if alert["rules"]:
        say("")
        _show_rules(alert["rules"])
    if alert["plan"] or alert["notes"]:
        say("\nIf nobody answers:")
        _show_plan(alert, settings)
    say("")


def _show_rules(rules: list[dict[str, Any]]) -> None:
    rows = [("yes" if rule["matched"] else "no", rule["name"], rule["because"]) for rule in rules]
    print_table(("applies", "rule", "because"), rows, empty="")


def _show_plan(alert: dict[str, Any], settings: Settings) -> None:
    lines = sorted([*alert["plan"], *alert["notes"]], key=lambda one: one["at"])
    rows = [
        (one["at"], f"+{one['after']}", one["step"] or "catch-all", _who(one, settings), one["channel"], one["because"])
        for one in lines
    ]
    print_table(("at", "after", "step", "who", "by", "because"), rows, empty="nobody is paged")


def _who(planned: dict[str, Any], settings: Settings) -> str:
    key = planned["user"]
    if key is None:
        return f"channel {planned['channel']}" if planned["channel"] else "nobody"
    return f"{settings.users[key].name} ({key})" if key in settings.users else key
