"""`tocsin noise`: which alerts make the noise, and a rule for each that would quieten it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from tocsin.cli.oncall import settings_without_secrets
from tocsin.cli.recorded_alerts import SINCE, reading, since_when
from tocsin.cli.tables import print_json, print_table, say
from tocsin.decide.whatif.noise_report import Counting, Noisy, noisy_view, rules_file, spelt
from tocsin.model import Instant, Settings
from tocsin.work.incidents.self_alerts import OWN


def noise(
    since: Annotated[str, typer.Option(help=SINCE)] = "7d",
    top: Annotated[int, typer.Option(min=1, max=1000, help="So many kinds of alerts.")] = 20,
    config: Annotated[Path | None, typer.Option("-c", "--config", help="The main file.")] = None,
    as_yaml: Annotated[bool, typer.Option("--yaml", help="Print the proposed rules alone, as a file.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a script.")] = False,
) -> None:
    """The alerts that paged and fired most, those that flap, those nobody ever acted on; and a rule for each.

    Kinds with a critical alert or an open incident get no rule, and each rule leaves alone what is critical later on.

    Alerts are told apart by their label alertname (else their title without its numbers) and their service. Reads the
    database beside a running daemon. Try the proposals on the same week before you use them: tocsin backtest.
    """
    settings = settings_without_secrets(config)
    counted = asyncio.run(_count(settings, since_when(since, settings.defaults.timezone)))
    kinds = counted.noisy()
    loudest = kinds[:top]
    if as_yaml:
        sys.stdout.write(rules_file(loudest))
    elif as_json:
        print_json({"alerts": counted.alerts, "kinds": len(kinds), "noisy": [noisy_view(one) for one in loudest]})
    else:
        _show(loudest, counted.alerts, len(kinds))


async def _count(settings: Settings, since: Instant) -> Counting:
    counted = Counting()
    async with reading(settings) as reader:
        async for one in reader.heard_since(since):
            if one.integration != OWN.name:
                counted.add(one)
    return counted


def _show(noisy: tuple[Noisy, ...], alerts: int, kinds: int) -> None:
    say(f"{alerts} alerts of {kinds} kinds" + (f"; the loudest {len(noisy)}:" if kinds > len(noisy) else ":"))
    rows = [
        (one.name, one.service, one.firings, one.incidents, one.pages, one.acted, one.flaps,
         spelt(one.heals_within) if one.heals_within is not None else "", one.because)
        for one in noisy
    ]  # fmt: skip
    print_table(
        ("alert", "service", "firings", "incidents", "pages", "acted on", "flaps", "mostly heals in", "because"),
        rows, empty="no alerts were received in this time",
    )  # fmt: skip
    proposed = rules_file(noisy)
    if proposed:
        say("\nProposed rules (tocsin noise --yaml prints these alone):\n")
        sys.stdout.write(proposed)
