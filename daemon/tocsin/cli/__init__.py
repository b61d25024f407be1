"""The command line. One file per family of commands; a command's module is imported when it is called.

So a client command starts at once: it never pays for the daemon's libraries.

Exit codes, the same for every command: 0 done, 1 refused or not found, 2 the command line or the configuration is
wrong, 3 the daemon (or its database) cannot be reached, 4 not allowed.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any, cast

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from tocsin.cli.trouble import Trouble

COMMANDS: dict[str, tuple[str, str, str]] = {
    "serve": ("serve", "serve", "Run the daemon."),
    "demo": ("demo", "demo", "Serve the starter configuration, post sample alerts, show the pages."),
    "check": ("check", "check", "Validate and lint the configuration."),
    "schema": ("schema", "schema", "Print the configuration's JSON Schema."),
    "explain": ("explain", "explain", "What would happen to an alert, and who would be paged when."),
    "plan": ("plan", "plan", "What would change if another configuration were in force."),
    "reload": ("reload", "reload", "Have the running daemon read its configuration again."),
    "incidents": ("incidents", "incidents", "List incidents."),
    "show": ("incidents", "show", "One incident with its pages and its timeline."),
    "ack": ("act", "ack", "Acknowledge: paging stops."),
    "unack": ("act", "unack", "Take an acknowledgement back: paging starts again."),
    "resolve": ("act", "resolve", "Resolve."),
    "escalate": ("act", "escalate", "Page the next step now."),
    "snooze": ("act", "snooze", "Acknowledge until a time, then page again."),
    "note": ("act", "note", "Write a note into the timeline."),
    "cancel": ("act", "cancel", "Close as a mistake."),
    "page": ("act", "page", "Page one more person about an incident."),
    "trigger": ("act", "trigger", "Open an incident by hand."),
    "send": ("send", "send", "Post an alert from a script."),
    "oncall": ("oncall", "oncall", "Who is on call, and when."),
    "rules": ("rules", "app", "Tests of your rules: test."),
    "backtest": ("backtest", "backtest", "Recorded alerts through other rules: who would have been paged."),
    "noise": ("noise", "noise", "Which alerts make the noise, and a rule for each."),
    "alerts": ("alerts", "app", "Alerts and what became of them: list; recorded ones as JSON lines: export."),
    "contact": ("contact", "app", "Prove contacts by a code: list, verify, confirm."),
    "test-page": ("testpage", "send_test_page", "Send a marked test page and wait for what becomes of it."),
    "override": ("override", "app", "Somebody else is on call for a while: add, list, remove."),
    "swap": ("swap", "app", "Change shifts with a colleague: ask, accept, decline, withdraw, list."),
    "silence": ("silence", "app", "Mute alerts for a while: add, list, expire."),
    "heartbeat": ("heartbeat", "app", "What must report regularly: list, ping."),
    "maintenance": ("maintenance", "app", "Planned windows without pages: list."),
    "token": ("token", "app", "API tokens: create, list, revoke, rotate-keys."),
    "db": ("db", "app", "The database: migrate, backup, restore, verify."),
}
_LISTING = "tocsin.listing"


class Commands(TyperGroup):
    """Finds commands by the table above, so that `tocsin ack 1` imports nothing but what it needs."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        module, attribute, said = COMMANDS[cmd_name]
        if ctx.meta.get(_LISTING):
            return TyperCommand(cmd_name, help=said)
        return _load(cmd_name, module, attribute, said)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        ctx.meta[_LISTING] = True
        super().format_help(ctx, formatter)


def _load(name: str, module: str, attribute: str, said: str) -> Any:
    found = getattr(importlib.import_module(f"tocsin.cli.{module}"), attribute)
    alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    if isinstance(found, typer.Typer):
        alone.add_typer(found, name=name, help=said)
        return cast(Any, get_command(alone)).commands[name]
    alone.command(name)(found)
    return get_command(alone)


app = typer.Typer(
    cls=Commands,
    help="Tocsin wakes the right person when systems break.\n\n"
    "Client commands talk to the daemon at TOCSIN_URL (http://127.0.0.1:8420) with TOCSIN_TOKEN, else the token in "
    "./.tocsin/token, else in your configuration folder (tocsin/token).\n\n"
    "Exit codes: 0 done, 1 refused or not found, 2 wrong command line or configuration, "
    "3 the daemon cannot be reached, 4 not allowed.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tocsin {importlib.import_module('tocsin').__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    pass


def main() -> None:
    """Run the command of `sys.argv`; a Trouble becomes one line on stderr and its exit code."""
    try:
        cast(Any, app)(prog_name="tocsin")
    except Trouble as trouble:
        sys.stderr.write(f"tocsin: {trouble}\n")
        raise SystemExit(trouble.code) from None
    except BrokenPipeError:
        raise SystemExit(0) from None
    except Exception as bug:  # one line for a person; where it was is for whoever mends it
        if os.environ.get("TOCSIN_TRACEBACK"):
            raise
        told = _stumbled(bug)
        sys.stderr.write(f"tocsin: {told}\n")
        raise SystemExit(told.code) from None


def _stumbled(bug: Exception) -> Trouble:
    """An answer that is none of Tocsin's, where one was asked for; else an error of ours."""
    said = f"{type(bug).__name__}: {' '.join(str(bug).split())[:200]}"
    client = sys.modules.get("tocsin.cli.client")
    if client is not None and client.asked:
        return cast(Trouble, client.strange(client.asked[-1], said))
    return Trouble(f"an error of Tocsin's own: {said}; with TOCSIN_TRACEBACK=1 it says where, please report it")
