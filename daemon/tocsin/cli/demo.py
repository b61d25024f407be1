"""`tocsin demo`: the starter configuration, a few sample alerts over a minute, and how to answer the pages."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from tocsin import shipped
from tocsin.cli.client import problem_text, send
from tocsin.cli.configuration import address_of, locate
from tocsin.cli.serve import run
from tocsin.cli.tables import say
from tocsin.cli.trouble import Trouble
from tocsin.model import IntegrationConfig, Millis
from tocsin.wiring import Daemon

INTEGRATION = "demo"


@dataclass(frozen=True, slots=True)
class Sample:
    """A step of the demo: how long after the step before, what to say, what is posted."""

    after: Millis
    said: str
    alert: dict[str, Any]


_DATABASE = {"dedup_key": "demo-db", "title": "Database primary is down", "severity": "critical", "service": "shop"}
_DISK = {"dedup_key": "demo-disk", "title": "Disk 91 % full on web-3", "severity": "warning", "source": "web-3"}
_SLOW = {"dedup_key": "demo-slow", "title": "Checkout p99 above 2 s", "severity": "error", "service": "shop"}
_CERT = {"dedup_key": "demo-cert", "title": "Certificate of shop.example ends in 12 days", "severity": "info"}

SAMPLES = (
    Sample(Millis(2_000), "something important breaks; whoever is on call is paged:", _DATABASE),
    Sample(Millis(10_000), "something less important:", _DISK),
    Sample(Millis(10_000), "the first alert repeats; it is counted, and nobody is paged twice:", _DATABASE),
    Sample(Millis(12_000), "a second problem of the same service:", _SLOW),
    Sample(Millis(12_000), "the disk is cleaned up; its incident resolves by itself:", _DISK | {"status": "resolved"}),
    Sample(Millis(10_000), "a note for office hours:", _CERT),
)


def demo(
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Another configuration with a webhook integration `demo`.")
    ] = None,
    fast: Annotated[bool, typer.Option("--fast", help="All samples within a second.")] = False,
) -> None:
    """Serve, post sample alerts over about a minute, show the pages. Answer them from another terminal."""
    main = shipped.starter() if config is None else locate(config)
    say("Tocsin demo. The state is kept in ./.tocsin; Ctrl-C ends it.")
    run(main, beside=lambda daemon: _play(daemon, fast), log_level="warning")  # the pages are the story


async def _play(daemon: Daemon, fast: bool) -> None:
    integration = daemon.live.settings.integrations.get(INTEGRATION)
    if integration is None:
        raise Trouble(f"the demo posts to a webhook integration named {INTEGRATION!r}; this configuration has none")
    say("In another terminal, in this folder:  tocsin incidents   tocsin ack 1   tocsin show 1")
    for sample in SAMPLES:
        await daemon.clock.sleep(Millis(100) if fast else sample.after)
        say(f"\n· {sample.said}")
        await _post(daemon, integration, sample.alert)
    say("\nThat was the demo; Tocsin goes on serving. Unanswered pages escalate: tocsin ack N, or tocsin resolve N.")


async def _post(daemon: Daemon, integration: IntegrationConfig, alert: dict[str, Any]) -> None:
    """Post an alert as a monitoring tool would: over HTTP, with the integration's token."""
    url = f"{address_of(daemon.live.settings)}/v1/webhooks/{quote(integration.name, safe='')}"
    bearer = integration.token.first if integration.token is not None else None
    answer = await asyncio.to_thread(send, "POST", url, alert, bearer)
    if answer.status >= 400:
        raise Trouble(f"the sample was refused: {problem_text(answer)}")
