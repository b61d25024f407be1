"""Commands by which a person acts on incidents: acknowledge, resolve, escalate, snooze, note, page, trigger, cancel."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from tocsin.cli.client import connect
from tocsin.cli.tables import print_json, say
from tocsin.cli.times import length, local, moment, rfc3339
from tocsin.cli.trouble import WRONG, Trouble

AsJson = Annotated[bool, typer.Option("--json", help="Print the incident as JSON for a script.")]
As = Annotated[str | None, typer.Option("--user", help="Act for this user (an admin's token only).")]
Number = Annotated[int, typer.Argument(min=1, help="The incident's number.")]
Numbers = Annotated[list[int], typer.Argument(min=1, help="One or more numbers of incidents.")]


def ack(numbers: Numbers, user: As = None, as_json: AsJson = False) -> None:
    """Acknowledge: you have it, paging stops. Asks again after the policy's ack timeout unless resolved."""
    _each(numbers, "acknowledge", user, as_json)


def unack(numbers: Numbers, user: As = None, as_json: AsJson = False) -> None:
    """Take an acknowledgement back: paging starts again from the first step."""
    _each(numbers, "unacknowledge", user, as_json)


def resolve(numbers: Numbers, user: As = None, as_json: AsJson = False) -> None:
    """Resolve: it is over. A new firing opens a new incident."""
    _each(numbers, "resolve", user, as_json)


def escalate(numbers: Numbers, user: As = None, as_json: AsJson = False) -> None:
    """Page the next step of the policy now."""
    _each(numbers, "escalate", user, as_json)


def cancel(numbers: Numbers, user: As = None, as_json: AsJson = False) -> None:
    """Close as a mistake: it was never an incident."""
    _each(numbers, "cancel", user, as_json)


def snooze(
    number: Number,
    how_long: Annotated[str, typer.Argument(metavar="LENGTH", help="30m, 2h … or a time: 2026-01-05 09:00.")],
    user: As = None,
    as_json: AsJson = False,
) -> None:
    """Acknowledge until then; page again afterwards unless it is resolved."""
    _print(_act(number, "snooze", user, _until(how_long)), as_json)


def note(
    number: Number,
    text: Annotated[list[str], typer.Argument(help="The note.")],
    user: As = None,
    as_json: AsJson = False,
) -> None:
    """Write a note into the timeline."""
    _print(_act(number, "notes", user, {"text": " ".join(text)}), as_json)


def page(
    number: Number,
    target: Annotated[str, typer.Argument(help="NAME of a user, or schedule:NAME, team:NAME, channel:NAME.")],
    user: As = None,
    as_json: AsJson = False,
) -> None:
    """Page one more person about an incident, now."""
    wanted = target if ":" in target else f"user:{target}"
    named = {"by": user} if user else {}
    _print(done_to(connect().post(f"/v1/incidents/{number}/page", {"target": wanted, **named})), as_json)


def trigger(
    title: Annotated[list[str], typer.Argument(help="What is wrong, in one line.")],
    service: Annotated[str | None, typer.Option(help="What it is about; decides who is paged.")] = None,
    severity: Annotated[str | None, typer.Option(help="critical, error, warning or info.")] = None,
    description: Annotated[str | None, typer.Option(help="More, in plain text.")] = None,
    policy: Annotated[str | None, typer.Option(help="Page by this policy instead of the service's.")] = None,
    user: As = None,
    as_json: AsJson = False,
) -> None:
    """Open an incident by hand and page whoever is on call."""
    asked = {
        "title": " ".join(title),
        "service": service,
        "severity": severity,
        "description": description,
        "policy": policy,
        "user": user,
    }
    _print(done_to(connect().post("/v1/incidents", {name: value for name, value in asked.items() if value})), as_json)


def _each(numbers: list[int], action: str, user: str | None, as_json: bool) -> None:
    """Do `action` to all of them, even when one is refused; the first refusal then decides the exit code."""
    api = connect()
    refused: Trouble | None = None
    done: list[Any] = []
    for number in numbers:
        try:
            done.append(done_to(api.post(f"/v1/incidents/{number}/{action}", _who(user))))
        except Trouble as trouble:
            if len(numbers) == 1:
                raise
            say(f"INC {number}: {trouble}")
            refused = refused or trouble
            continue
        if not as_json:
            _print(done[-1], as_json)
    if as_json:
        print_json(done[0] if len(numbers) == 1 else done)
    if refused is not None:
        raise Trouble(f"{len(numbers) - len(done)} of {len(numbers)} were refused", refused.code)


def _act(number: int, action: str, user: str | None, body: dict[str, Any]) -> Any:
    return done_to(connect().post(f"/v1/incidents/{number}/{quote(action)}", {**_who(user), **body}))


def done_to(answer: Any) -> Any:
    """The answer, which names the incident; whatever else came is not believed."""
    if not isinstance(answer.get("number"), int) or not isinstance(answer.get("status"), str):
        raise TypeError("it names no incident")
    return answer


def _who(user: str | None) -> dict[str, Any]:
    return {"user": user} if user else {}


def _until(text: str) -> dict[str, Any]:
    if text[:1].isdigit() and text[-1:] in "smhdw" and "-" not in text:
        length(text)
        return {"for": text}
    if ":" not in text and "-" not in text:
        raise Trouble(f"{text!r} is neither a length nor a time; write 30m, 2026-01-05 09:00 or Sunday 03:10", WRONG)
    return {"until": rfc3339(moment(text))}


def _print(answer: Any, as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    say(answer.get("said") or f"INC {answer['number']} {answer['status']}.{_next(answer)}")


def _next(incident: dict[str, Any]) -> str:
    at = local(incident.get("next_page_at"))
    return f" Next page {at}." if at else ""
