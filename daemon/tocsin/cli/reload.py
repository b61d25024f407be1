"""`tocsin reload`: have the running daemon read its configuration again, and hear what came of it.

The daemon judges, not this command: it alone may have the secrets.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tocsin.cli.configuration import control_socket, locate
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
    answer = ask_daemon(main, {"do": "reload", "yes": yes})
    if answer is None:
        raise Trouble(f"no daemon listens at {control_socket(main)}; is `tocsin serve` running?", UNREACHABLE)
    problems = [str(problem) for problem in answer.get("problems", ())]
    if problems:
        raise Trouble("\n".join([*problems, "nothing was changed"]), WRONG)
    if answer.get("ok") is not True:
        raise Trouble(str(answer.get("because")), REFUSED)
    say(str(answer["said"]))
