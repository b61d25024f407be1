"""Loading a configuration from its files, once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from tocsin.errors import is_bug
from tocsin.model import Problem, Settings, Where
from tocsin.settings.document.files import File, Gathered, gather
from tocsin.settings.document.reading import Reading, one_line, stumbling
from tocsin.settings.document.trusted_files import owners_of
from tocsin.settings.paths import database_folder, state_directory
from tocsin.settings.plugins import INSTALLED, Kinds
from tocsin.settings.reader import Draft, Read, read_settings


@dataclass(frozen=True, slots=True)
class Loaded:
    """`settings` is None when any problem is an error. `files`: what was read, by shown name, main last.
    `places`: (section, name) → where it is defined. `draft`: what could be read in spite of errors, to lint."""

    settings: Settings | None
    problems: tuple[Problem, ...]
    files: Mapping[str, bytes] = field(repr=False)
    main: Path
    places: Mapping[tuple[str, str], Where] = field(default_factory=dict, repr=False)
    paths: Mapping[str, Path] = field(default_factory=dict, repr=False)
    draft: Draft | None = field(default=None, repr=False)
    attached: Mapping[str, bytes] = field(default_factory=dict, repr=False)  # tables beside the rules, by path


def load(
    main: Path,
    *,
    env: Mapping[str, str] = os.environ,
    lenient_secrets: bool = False,
    made_up_secrets: bool = False,
    kinds: Kinds = INSTALLED,
) -> Loaded:
    """Reads `main` and its includes and finds every problem at once. Never raises for what is written.

    With `lenient_secrets` a missing secret switches only its integration or channel off, with a warning.
    With `made_up_secrets` it is made up, with a warning: for commands that only think.
    """
    gathered, owners = _gathered(main, env, of_anybody=lenient_secrets or made_up_secrets)
    reading = Reading(env, kinds, lenient_secrets, made_up_secrets, owners, gathered.incomplete)
    return compiled(gathered.files, main, reading, gathered.problems)


def _gathered(main: Path, env: Mapping[str, str], *, of_anybody: bool) -> tuple[Gathered, frozenset[int] | None]:
    """The files, and whose are believed."""
    try:
        owners = None if of_anybody else owners_of(state_directory(main, env), env)
        return gather(main, owners), owners
    except Exception as bug:  # noqa: BLE001  # an error of ours is reported, never raised
        gathered = Gathered()
        gathered.trouble(Where(str(main), 1, 1), "internal", one_line(stumbling(bug)))
        return gathered, None


def compiled(files: Sequence[File], main: Path, reading: Reading, problems: Sequence[Problem] = ()) -> Loaded:
    """Files already read, made into settings. An error of ours is a problem of the configuration, whatever it is."""
    try:
        read = read_settings(files, main, database_folder(main, reading.env), reading, problems)
    except BaseException as bug:  # an error of ours is reported at a place, never raised
        if not is_bug(bug):
            raise
        read = _unread(main, bug, dict.fromkeys([*problems, *reading.problems]))
    contents = {file.shown: file.raw for file in files}
    paths = {file.shown: file.path for file in files}
    return Loaded(
        settings=read.settings,
        problems=read.problems,
        files=MappingProxyType(contents),
        main=main,
        places=read.places,
        paths=MappingProxyType(paths),
        draft=read.draft,
        attached=MappingProxyType(reading.attached),
    )


def _unread(main: Path, bug: BaseException, problems: Iterable[Problem]) -> Read:
    problem = Problem(Where(str(main), 1, 1), "error", "internal", one_line(stumbling(bug)))
    return Read(None, (problem, *problems), MappingProxyType({}), None)
