"""Overlay of a configuration: some sections are taken from other files instead."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from tocsin.model import Problem, Where
from tocsin.settings.document.files import File, gather, parsed
from tocsin.settings.document.nodes import MAX_BYTES
from tocsin.settings.document.reading import Reading
from tocsin.settings.document.trusted_files import Unreadable, read_whole
from tocsin.settings.loading import Loaded, compiled
from tocsin.settings.plugins import INSTALLED

PATTERN = "*.yaml"


def load_over(
    main: Path,
    others: Sequence[Path],
    *,
    always: Sequence[str] = (),
    only: Sequence[str] = (),
    env: Mapping[str, str] = os.environ,
) -> Loaded:
    """`main` with every section that `others` hold taken from them alone, and those of `always` in any case.

    `others`: files, and folders whose *.yaml count, by name. `only`: sections they may hold; empty: any but
    `include`. Secrets that are missing are made up. Never raises for what is written.
    """
    gathered = gather(main)
    files, problems = _read(others)
    problems += _strange(files, only)
    taken = {*always, *(name for file in files for name in _sections(file))}
    for file in gathered.files:
        _without(file, taken)
    reading = Reading(env, INSTALLED, made_up_secrets=True, incomplete=gathered.incomplete)
    every = [*gathered.files[:-1], *files, *gathered.files[-1:]]
    return compiled(every, main, reading, [*gathered.problems, *problems])


def load_alone(text: bytes, others: Sequence[Path], *, only: Sequence[str] = ()) -> Loaded:
    """Load `others` over a main file that is nowhere: `text`."""
    main = Path("tocsin.yaml")
    files, problems = _read(others)
    problems += _strange(files, only)
    reading = Reading({}, INSTALLED, made_up_secrets=True)
    return compiled([*files, parsed(main.absolute(), str(main), text)], main, reading, problems)


def _read(others: Sequence[Path]) -> tuple[list[File], list[Problem]]:
    files: list[File] = []
    problems: list[Problem] = []
    for path in others:
        inside = sorted(path.glob(PATTERN)) if os.path.isdir(path) else [path]
        if not inside:
            problems.append(Problem(Where(str(path), 1, 1), "error", "include", f"no file matches {path / PATTERN}"))
        for one in inside:
            try:
                files.append(parsed(one.absolute(), str(one), read_whole(one, MAX_BYTES).raw))
            except Unreadable as wrong:
                problems.append(Problem(Where(str(one), 1, 1), "error", "file", wrong.of(one)))
    return files, problems


def _sections(file: File) -> list[str]:
    return list(file.tree.top.entries) if file.tree.top is not None else []


def _strange(files: Sequence[File], only: Sequence[str]) -> list[Problem]:
    """Sections that do not belong into such a file."""
    return [
        Problem(node.key_at, "error", "section", f"'{name}' does not belong here; write {' or '.join(only)}")
        for file in files
        if file.tree.top is not None
        for name, node in file.tree.top.entries.items()
        if only and name not in only
    ]


def _without(file: File, sections: set[str]) -> None:
    for name in sections & set(_sections(file)):
        assert file.tree.top is not None
        del file.tree.top.entries[name]
