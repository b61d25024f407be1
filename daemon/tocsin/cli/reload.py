"""`tocsin reload`: have the running daemon read its configuration again, and hear what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tocsin.cli.configured import control_socket, errors_in, load, locate, print_problems
from tocsin.cli.tables import say
from tocsin.cli.token import ask_daemon
from tocsin.cli.trouble import REFUSED, UNREACHABLE, WRONG, Trouble


def reload(
    config: Annotated[Path | None, typer.Option("--config", "-c", help="The daemon's configuration.")] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Also when more than half of the users, services or rules would go.")
    ] = False,
) -> None:
    """Read the configuration again. All of it or nothing: a mistake changes nothing and exits with 2."""
    main = locate(config)
    loaded = load(main)
    if loaded.settings is None:
        print_problems(loaded.problems)
        raise Trouble(f"{errors_in(loaded.problems)}: nothing was changed", WRONG)
    answer = ask_daemon(main, {"do": "reload", "yes": yes})
    if answer is None:
        raise Trouble(f"no daemon listens at {control_socket(main)}; is `tocsin serve` running?", UNREACHABLE)
    if answer.get("ok") is not True:
        code = WRONG if answer.get("problems") else REFUSED
        raise Trouble("\n".join([str(answer.get("because")), *answer.get("problems", ())]), code)
    say(str(answer["said"]))
