"""Paths of the configuration, the state that belongs to it, and the starter Tocsin brings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

SEARCHED = ("config/tocsin.yaml", "tocsin.yaml", "/etc/tocsin/tocsin.yaml")
_PACKAGE = Path(__file__).resolve().parent.parent
_STARTERS = (_PACKAGE / "shipped" / "config", _PACKAGE.parent.parent / "config")  # of a wheel, of a checkout


def find(given: str | None, env: Mapping[str, str]) -> Path:
    """The main file: -c, $TOCSIN_CONFIG, ./config/tocsin.yaml, ./tocsin.yaml, /etc/tocsin/tocsin.yaml.

    A path that was asked for is returned whether it exists or not; where nothing is found, the first
    place looked at is returned, so that reading it says what is missing.
    """
    asked = given or env.get("TOCSIN_CONFIG")
    if asked:
        return Path(asked)
    found = [Path(place) for place in SEARCHED if os.path.isfile(place)]
    return found[0] if found else Path(SEARCHED[0])


def state_directory(main: Path, env: Mapping[str, str]) -> Path:
    """The folder of the last good configuration, the token and the control socket; it may not exist yet.

    $STATE_DIRECTORY if set; systemd's /var/lib/tocsin for a configuration in /etc/tocsin, so that the command
    line finds what the unit uses; `.tocsin/` of the working directory for the starter that comes with Tocsin,
    which may be installed read-only; else `.tocsin/` beside the main file.
    """
    given = _given(main, env)
    if given is not None:
        return given
    return Path.cwd() / ".tocsin" if is_starter(main) else main.absolute().parent / ".tocsin"


def database_folder(main: Path, env: Mapping[str, str]) -> Path:
    """The folder that a relative sqlite path is relative to: as the state, but beside the main file rather than in
    `.tocsin/`.
    """
    given = _given(main, env)
    if given is not None:
        return given
    return Path.cwd() / ".tocsin" if is_starter(main) else main.absolute().parent


def is_starter(main: Path) -> bool:
    """Whether `main` is the configuration that Tocsin itself brings, in a wheel or in a checkout."""
    return Path(os.path.realpath(main)).parent in _STARTERS


def _given(main: Path, env: Mapping[str, str]) -> Path | None:
    """systemd may name several directories; the first is ours."""
    written = env.get("STATE_DIRECTORY", "").partition(":")[0]
    return Path(os.path.abspath(written)) if written else of_the_unit(main)


def of_the_unit(main: Path, etc: Path = Path("/etc/tocsin"), state: Path = Path("/var/lib/tocsin")) -> Path | None:
    """The state of the systemd unit when `main` is its configuration and the unit was installed."""
    return state if main.absolute().parent == etc and state.is_dir() else None
