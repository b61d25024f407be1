"""`tocsin send`: post an alert from a script, a cron job, a deploy hook."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from tocsin.cli.client import DEFAULT_URL, Answer, problem_text
from tocsin.cli.client import send as request
from tocsin.cli.tables import print_json, say
from tocsin.cli.trouble import FORBIDDEN, REFUSED, UNREACHABLE, WRONG, Trouble


def send(
    integration: Annotated[str, typer.Option("--integration", "-i", help="Its name in the configuration.")],
    title: Annotated[str, typer.Option("--title", "-t", help="What is wrong, in one line.")] = "",
    severity: Annotated[str | None, typer.Option(help="critical, error, warning or info.")] = None,
    service: Annotated[str | None, typer.Option(help="What it is about.")] = None,
    dedup_key: Annotated[str | None, typer.Option(help="Identity: the same key again is the same alert.")] = None,
    description: Annotated[str | None, typer.Option(help="More, in plain text.")] = None,
    label: Annotated[list[str] | None, typer.Option("--label", "-l", help="NAME=VALUE; may be repeated.")] = None,
    resolve: Annotated[bool, typer.Option("--resolve", help="It is over; needs --dedup-key.")] = False,
    token: Annotated[
        str | None,
        typer.Option(envvar="TOCSIN_INTEGRATION_TOKEN", help="The integration's token; else the configuration's."),
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Configuration to read the token from.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a script.")] = False,
) -> None:
    """Post an alert to the daemon. Done means it is stored: the pages go out whatever happens to this script."""
    if not title and not resolve:
        raise Trouble("--title is needed (or --resolve with --dedup-key)", WRONG)
    if resolve and not dedup_key:
        raise Trouble("--resolve needs the --dedup-key of the alert that is over", WRONG)
    body = _alert(title, severity, service, dedup_key, description, label or [], resolve)
    url = (os.environ.get("TOCSIN_URL") or DEFAULT_URL).rstrip("/")
    secret = token or _token_of(integration, config)
    answer = request("POST", f"{url}/v1/webhooks/{quote(integration, safe='')}", body, secret)
    if answer.status >= 400:
        raise _refused(answer, integration)
    _print(answer.body_of(url), as_json)


def _alert(
    title: str,
    severity: str | None,
    service: str | None,
    dedup_key: str | None,
    description: str | None,
    labels: list[str],
    resolve: bool,
) -> dict[str, Any]:
    alert = {
        "status": "resolved" if resolve else "firing",
        "title": title,
        "severity": severity,
        "service": service,
        "dedup_key": dedup_key,
        "description": description,
        "labels": dict(_label(text) for text in labels),
    }
    return {name: value for name, value in alert.items() if value}


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise Trouble(f"--label {text!r}: write NAME=VALUE", WRONG)
    return name, value


def _token_of(integration: str, config: Path | None) -> str:
    """The integration's own token, as the configuration in reach has it."""
    try:
        return str(importlib.import_module("tocsin.cli.configuration").integration_token(integration, config))
    except Trouble as trouble:
        raise Trouble(
            f"no token for integration {integration!r}: give --token or TOCSIN_INTEGRATION_TOKEN ({trouble})", FORBIDDEN
        ) from None


def _refused(answer: Answer, integration: str) -> Trouble:
    said = problem_text(answer)
    if answer.status in (401, 403, 404):
        return Trouble(f"integration {integration!r} or its token is not accepted: {said}", FORBIDDEN)
    if answer.status in (429, 503):
        return Trouble(f"the daemon cannot take alerts now, try again: {said}", UNREACHABLE)
    return Trouble(said, WRONG if answer.status in (400, 422) else REFUSED)


def _print(answer: Any, as_json: bool) -> None:
    if not isinstance(answer.get("accepted"), int):
        raise TypeError("accepted is missing")
    if as_json:
        print_json(answer)
        return
    numbers = ", ".join(f"INC {number}" for number in answer.get("incidents", ()))
    say(f"accepted {answer.get('accepted', 0)}" + (f": {numbers}" if numbers else ""))
