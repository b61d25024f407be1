"""Commands that read the configuration: where it is, what is wrong with it, where the daemon keeps its state."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tocsin import settings
from tocsin.cli.tables import clean
from tocsin.cli.trouble import REFUSED, WRONG, Trouble
from tocsin.control_socket import SOCKET
from tocsin.model import Problem, Secret, Settings


def locate(config: Path | None) -> Path:
    """The main file: -c, $TOCSIN_CONFIG, ./config/tocsin.yaml, ./tocsin.yaml, /etc/tocsin/tocsin.yaml."""
    main = asked_for(config)
    if not os.path.isfile(main):
        raise Trouble(f"{main}: no such file; give the configuration with -c", WRONG)
    return main


def by_api(config: Path | None) -> bool:
    """Whether to ask the daemon at TOCSIN_URL: nobody named a configuration, and none is in reach."""
    named = config is not None or os.environ.get("TOCSIN_CONFIG")
    return bool(os.environ.get("TOCSIN_URL")) and not named and not os.path.isfile(asked_for(None))


def asked_for(config: Path | None) -> Path:
    """The main file asked for, there or not: a daemon whose file is gone still has its last good configuration."""
    return settings.find(str(config) if config is not None else None, os.environ)


def load(main: Path) -> settings.Loaded:
    """The configuration with all its problems; never raises for a mistake in it."""
    return settings.load(main, env=os.environ)


def load_or_fail(config: Path | None) -> tuple[Path, Settings]:
    """The main file and valid settings. Prints every problem and raises Trouble when there are errors.

    A secret that is missing here (it may be the daemon's alone) is no error.
    """
    main = locate(config)
    loaded = settings.load(main, env=os.environ, lenient_secrets=True)
    if loaded.settings is None:
        print_problems(loaded.problems)
        raise Trouble(f"{main}: {errors_in(loaded.problems)}", WRONG)
    return main, loaded.settings


def print_problems(problems: tuple[Problem, ...]) -> None:
    """Like a compiler, on stderr; errors only, `tocsin check` has the rest."""
    for problem in problems:
        if problem.level == "error":
            sys.stderr.write(clean(f"{problem.where}: error: {problem.message}") + "\n")


def errors_in(problems: tuple[Problem, ...]) -> str:
    count = sum(problem.level == "error" for problem in problems)
    return f"{count} error{'' if count == 1 else 's'} in the configuration"


def state_folder(main: Path) -> Path:
    return settings.state_directory(main, os.environ)


def control_socket(main: Path) -> Path:
    """The path of the socket on which the daemon of this configuration listens for the command line."""
    return state_folder(main) / SOCKET


def integration_token(name: str, config: Path | None) -> str:
    """The first token of an integration. Raises Trouble when it cannot be known from here."""
    loaded = settings.load(locate(config), env=os.environ, lenient_secrets=True)
    if loaded.settings is None:
        raise Trouble(f"{loaded.main}: {errors_in(loaded.problems)}", WRONG)
    integration = loaded.settings.integrations.get(name)
    if integration is None:
        raise Trouble(f"{loaded.main}: no integration {name!r}", REFUSED)
    match integration.token:
        case Secret() as secret:
            return secret.first
        case None:
            raise Trouble(f"{loaded.main}: integration {name!r} has no token", REFUSED)


def address_of(settings: Settings) -> str:
    """The URL at which this machine reaches the daemon of these settings."""
    host = settings.server.host
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104  # a comparison
    return f"http://{f'[{reached}]' if ':' in reached else reached}:{settings.server.port}"
