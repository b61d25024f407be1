"""Which files make up a configuration: the main file, its includes, and whether they can be trusted."""

from __future__ import annotations

import glob
import grp
import os
import pwd
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tocsin import shipped
from tocsin.model import Problem, Where
from tocsin.settings.nodes import MAX_BYTES, Scalar, Sequence, Tree, read_tree

MOST_FILES = 1000
SHIPPED = "shipped:"  # of an include: what Tocsin brings, wherever it is installed


@dataclass(frozen=True, slots=True)
class File:
    """One file of a configuration, as it was read."""

    path: Path  # absolute
    shown: str  # as problems name it
    raw: bytes
    tree: Tree


@dataclass(slots=True)
class Gathered:
    """All files in the order their rules are walked: each include as listed, the main file last."""

    files: list[File] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    incomplete: bool = False

    def trouble(self, where: Where, code: str, message: str) -> None:
        self.problems.append(Problem(where, "error", code, message))
        self.incomplete = True


def gather(main: Path) -> Gathered:
    """Reads `main` and what it includes. Never raises; what cannot be read is a problem."""
    gathered = Gathered()
    start = Where(str(main), 1, 1)
    first = _read(main, str(main), start, gathered)
    if first is None:
        gathered.problems.append(Problem(start, "info", "file", "the main file is given by -c or $TOCSIN_CONFIG"))
        return gathered
    taken = {_identity(main)}
    for where, path in _included(first, main, gathered):
        identity = _identity(path)
        if identity in taken:
            continue
        taken.add(identity)
        file = _read(path, _shown(path), where, gathered)
        if file is not None:
            gathered.files.append(file)
    gathered.files.append(first)
    return gathered


def parsed(path: Path, shown: str, raw: bytes) -> File:
    """A file whose bytes are known already."""
    return File(path, shown, raw, read_tree(raw, shown))


def _read(path: Path, shown: str, named_at: Where, gathered: Gathered) -> File | None:
    """One file, or a problem at the place that names it."""
    try:
        with path.open("rb") as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode):
                gathered.trouble(named_at, "file", f"{shown} is not a file")
                return None
            raw = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        because = getattr(error, "strerror", None) or str(error)
        gathered.trouble(named_at, "file", f"cannot read {shown}: {because}")
        return None
    if others_can_write(about):
        message = f"others can write this file (mode {stat.S_IMODE(about.st_mode):o}); run chmod go-w {shown}"
        gathered.problems.append(Problem(Where(shown, 1, 1), "error", "permission", message))
    return parsed(path.absolute(), shown, raw)


def others_can_write(about: os.stat_result) -> bool:
    """World-writable, or writable by a group of others. A group that holds its owner alone (as distributions
    with umask 002 give every user) adds nobody."""
    if about.st_mode & stat.S_IWOTH:
        return True
    return bool(about.st_mode & stat.S_IWGRP) and not _private_group(about)


def _private_group(about: os.stat_result) -> bool:
    try:
        owner, group = pwd.getpwuid(about.st_uid), grp.getgrgid(about.st_gid)
    except KeyError:
        return False
    alone = not [member for member in group.gr_mem if member != owner.pw_name]
    return about.st_uid != 0 and owner.pw_gid == about.st_gid and owner.pw_name == group.gr_name and alone


def _identity(path: Path) -> str:
    return os.path.realpath(path)


def _shown(path: Path) -> str:
    """Without `x/..` in it where that is the same file."""
    short = os.path.normpath(path)
    try:
        return short if os.path.samefile(short, path) else str(path)
    except (OSError, ValueError):
        return str(path)


# --------------------------------------------------------------------------------------- includes


def _included(main: File, path: Path, gathered: Gathered) -> Iterator[tuple[Where, Path]]:
    """Each included file with the place of the pattern that led to it. Wrong shapes are reported when
    the section is read."""
    node = main.tree.top.entries.get("include") if main.tree.top else None
    for item in node.items if isinstance(node, Sequence) else []:
        if isinstance(item, Scalar) and not item.empty:
            yield from _matching(item, path.parent, gathered)


def _matching(item: Scalar, folder: Path, gathered: Gathered) -> Iterator[tuple[Where, Path]]:
    text = item.text
    if "\0" in text:
        return
    if text.startswith(SHIPPED):
        text = text.removeprefix(SHIPPED)
        try:
            folder = shipped.folder(text.partition("/")[0]).parent
        except FileNotFoundError:
            message = f"include: nothing is shipped as '{text}'; write {SHIPPED}rules/NAME.yaml"
            gathered.trouble(item.at, "include", message)
            return
    if not glob.has_magic(text):
        yield item.at, folder / text
        return
    names = sorted(glob.glob(text, root_dir=folder))[:MOST_FILES]
    found = [folder / name for name in names if (folder / name).is_file()]
    if not found:
        gathered.trouble(item.at, "include", f"include: no file matches '{item.text}' (looked in {folder or '.'})")
    for path in found:
        yield item.at, path
