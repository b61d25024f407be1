"""`tocsin incidents` and `tocsin show N`: what is going on, and what was done about it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tocsin.cli.client import Api, connect
from tocsin.cli.tables import print_json, print_table, say
from tocsin.cli.times import local, short

MEMBERS = 20  # of a storm, shown with it
WAITS = {  # still, or once
    True: {"muted_by": "waits for", "mutes": "keeps quiet"},
    False: {"muted_by": "waited for", "mutes": "kept quiet"},
}
OPEN = frozenset({"open", "triggered", "acknowledged", "on_hold"})
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a script.")]
Number = Annotated[int, typer.Argument(min=1, help="The incident's number.")]


def incidents(
    status: Annotated[
        str,
        typer.Option(help="open, triggered, acknowledged, on_hold, resolved, closed, canceled; or several."),
    ] = "open",
    everything: Annotated[bool, typer.Option("--all", help="Closed ones too.")] = False,
    service: Annotated[str | None, typer.Option(help="Only this service.")] = None,
    text: Annotated[str | None, typer.Option("--text", "-q", help="Only with this in title, key or number.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="At most so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List incidents. Without options: the open ones, P1 first, unanswered before answered; others newest first."""
    only_open = not everything and set(status.split(",")) <= OPEN
    found = connect().get(
        "/v1/incidents",
        status=None if everything else status,
        sort="priority" if only_open else None,
        service=service,
        q=text,
        limit=limit,
    )
    if as_json:
        print_json(found)
        return
    print_table(
        ("number", "priority", "status", "title", "service", "who", "created", "next page"),
        [_row(incident) for incident in found["incidents"]],
        empty="no incidents" if everything else f"no {status} incidents",
    )
    if found.get("next"):
        say(f"… more: --limit up to 200, or the others by the API (cursor {found['next']})")


def show(number: Number, as_json: AsJson = False) -> None:
    """Show one incident: its facts, its alerts, whom it paged and everything that happened."""
    api = connect()
    facts = _gather(api, number)
    if as_json:
        print_json(facts)
        return
    _print_facts(facts["incident"])
    _print_beside(facts["incident"])
    _print_alerts(facts["alerts"], _no_alerts(facts["incident"]))
    if facts["members"] is not None:
        _print_members(facts["members"])
    _print_pages(facts["pages"])
    _print_timeline(facts["entries"])


def _gather(api: Api, number: int) -> dict[str, Any]:
    here = f"/v1/incidents/{number}"
    incident = api.get(here)
    return {
        "incident": incident,
        "alerts": api.get(f"{here}/alerts")["alerts"],
        "pages": api.every(f"{here}/pages", "pages"),
        "entries": api.every(f"{here}/timeline", "entries"),
        "members": api.get(f"{here}/members", limit=MEMBERS) if incident["key"].startswith("storm/") else None,
    }


def _row(incident: dict[str, Any]) -> tuple[object, ...]:
    return (
        incident["number"],
        incident["priority"],
        _status(incident),
        incident["title"],
        incident["service"],
        incident["acknowledged_by"] if incident["status"] != "triggered" else "",
        short(incident["created_at"]),
        _next_page(incident),
    )


def _status(incident: dict[str, Any]) -> str:
    """A triggered incident that is muted pages nobody, so it does not look as if it did."""
    muted = incident.get("muted_by") and incident["status"] == "triggered"
    return f"{incident['status']}, muted" if muted else str(incident["status"])


def _next_page(incident: dict[str, Any]) -> str:
    """The time at which somebody is paged next, or what keeps the incident from paging."""
    muted = str(incident.get("muted_by") or "")
    kind, _, what = muted.partition(":")
    if muted and incident["status"] == "triggered":
        return f"none: {kind} {what[:12]}"
    return short(incident["next_page_at"])


def _print_facts(incident: dict[str, Any]) -> None:
    say(f"INC {incident['number']}  {incident['priority']}  {incident['status']}  {incident['title']}")
    alerts = incident["alerts"]
    facts = (
        ("service", incident["service"]),
        ("severity", f"{incident['severity']} (impact {incident['impact']}, urgency {incident['urgency']})"),
        ("policy", incident["policy"] or "none: the catch-all"),
        ("alerts", f"{alerts['firing']} firing, {alerts['resolved']} resolved, {alerts['total']} in all"),
        ("opened", local(incident["created_at"])),
        ("acknowledged", _acknowledged(incident)),
        ("resolved", local(incident["resolved_at"])),
        ("next page", _next_step(incident)),
        ("storm", f"taken in by INC {incident['storm']}" if incident.get("storm") else ""),
        ("link", incident["url"]),
    )
    for name, value in facts:
        if value:
            say(f"  {name:<13} {value}")


def _print_beside(incident: dict[str, Any]) -> None:
    """Print why the incident is quiet, what it has to do with, and what was changed shortly before it."""
    if incident.get("muted_by"):
        say(f"  {'muted by':<13} {incident['muted_by']}")
    for other in incident.get("related", ()):
        words = WAITS[bool(other.get("now", True))].get(other["kind"], other["kind"])
        say(f"  {words:<13} INC {other['number']}  {other['status'] or 'gone'}  {other['title'] or ''}")
    if incident.get("changes"):
        say("")
        print_table(
            ("change", "at", "by", "source"),
            [(one["title"], local(one["at"]), one["integration"], one["source"]) for one in incident["changes"]],
            empty="",
        )


def _next_step(incident: dict[str, Any]) -> str:
    if not incident["next_page_at"]:
        return ""
    step = f"step {incident['step']}" if incident["step"] else "the catch-all"
    return f"{local(incident['next_page_at'])}, {step}"


def _acknowledged(incident: dict[str, Any]) -> str:
    """The person who acknowledged it and since when; an incident that is triggered again is nobody's."""
    if not incident["acknowledged_at"]:
        return ""
    over = "; not any more" if incident["status"] == "triggered" else ""
    return f"{local(incident['acknowledged_at'])} by {incident['acknowledged_by']}{over}"


def _no_alerts(incident: dict[str, Any]) -> str:
    """The reason why no alert is shown."""
    if str(incident["key"]).startswith("storm/"):
        return "no alerts of its own: a storm, which pages for the incidents that it took in"
    return "no alerts: opened by hand" if not incident["alerts"]["total"] else "no alerts: they are not kept any more"


def _print_alerts(alerts: list[dict[str, Any]], empty: str) -> None:
    say("")
    print_table(
        ("alert", "status", "severity", "title", "integration", "seen", "count", "rules", "because"),
        [
            (
                alert.get("dedup_key"),
                alert.get("status"),
                alert.get("severity"),
                alert.get("title"),
                alert.get("integration"),
                local(alert.get("last_seen_at")),
                alert.get("count"),
                ", ".join(alert.get("rules", ())),
                alert.get("because"),
            )
            for alert in alerts
        ],
        empty=empty,
    )


def _print_members(members: dict[str, Any]) -> None:
    """Print the incidents that a storm took in."""
    say("")
    print_table(
        ("number", "priority", "status", "title", "service", "who", "created", "next page"),
        [_row(incident) for incident in members["incidents"]],
        empty="it took nothing in",
    )
    if members["next"]:
        say(f"… and more: the API's /members, or the first {MEMBERS} by --json")


def _print_pages(pages: list[dict[str, Any]]) -> None:
    say("")
    print_table(
        ("cycle", "round", "step", "who", "channel", "outcome", "attempts", "because"),
        [
            (
                page.get("cycle"),
                page.get("round"),
                page.get("step"),
                page.get("user") or page.get("target"),
                page.get("channel"),
                page.get("outcome"),
                len(page.get("attempts", ())),
                _why(page),
            )
            for page in pages
        ],
        empty="nobody was paged",
    )


def _why(page: dict[str, Any]) -> str:
    """The reason why this person was paged, and why late."""
    delayed = page.get("delayed")
    return f"{page.get('because')}; late: {delayed}" if delayed else str(page.get("because") or "")


def _print_timeline(entries: list[dict[str, Any]]) -> None:
    say("")
    print_table(
        ("at", "kind", "actor", "via", "channel", "because"),
        [
            (
                local(entry["at"]),
                entry["kind"],
                entry["actor"],
                entry.get("via"),
                entry.get("channel"),
                entry.get("because"),
            )
            for entry in entries
        ],
        empty="no timeline",
    )
