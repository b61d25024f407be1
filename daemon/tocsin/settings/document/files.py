"""Files of a configuration: the main file, its includes, and whether they can be trusted."""

from __future__ import annotations

import glob
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tocsin import shipped
from tocsin.model import Problem, Where
from tocsin.settings.document.nodes import MAX_BYTES, Scalar, Sequence, Tree, read_tree
from tocsin.settings.document.trusted_files import Unreadable, read_whole, stamp, who_else_writes

MOST_FILES = 1000
TRIES = 5  # to read files that somebody is writing meanwhile
SHIPPED = "shipped:"  # of an include: what Tocsin brings, wherever it is installed


@dataclass(frozen=True, slots=True)
class File:
    """A file of a configuration, as it was read."""

    path: Path  # absolute
    shown: str  # as problems name it
    raw: bytes
    tree: Tree
    stamp: tuple[int, ...] = ()  # of the file on the disk, as long as it is the one that was read


@dataclass(slots=True)
class Gathered:
    """The files in the order their rules are walked: each include as listed, the main file last."""

    files: list[File] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    incomplete: bool = False

    def trouble(self, where: Where, code: str, message: str) -> None:
        self.problems.append(Problem(where, "error", code, message))
        self.incomplete = True


def gather(main: Path, owners: Collection[int] | None = None) -> Gathered:
    """Reads `main` and what it includes, all as they stood at one moment. Never raises; what cannot be read is a
    problem. `owners`: whose files are believed; None: anybody's."""
    for _ in range(TRIES):
        gathered = _gather(main, owners)
        if all(stamp(file.path) == file.stamp for file in gathered.files):
            return gathered
    gathered.trouble(Where(str(main), 1, 1), "file", "these files are being changed just now; try again")
    return gathered


def _gather(main: Path, owners: Collection[int] | None) -> Gathered:
    gathered = Gathered()
    start = Where(str(main), 1, 1)
    first = _read(main, str(main), start, gathered, owners)
    if first is None:
        gathered.problems.append(Problem(start, "info", "file", "the main file is given by -c or $TOCSIN_CONFIG"))
        return gathered
    taken = {_identity(main)}
    for where, path in _included(first, main, gathered):
        identity = _identity(path)
        if identity in taken:
            continue
        taken.add(identity)
        file = _read(path, _shown(path), where, gathered, owners)
        if file is not None:
            gathered.files.append(file)
    gathered.files.append(first)
    return gathered


def parsed(path: Path, shown: str, raw: bytes) -> File:
    """A file whose bytes are known already."""
    return File(path, shown, raw, read_tree(raw, shown))


def _read(path: Path, shown: str, named_at: Where, gathered: Gathered, owners: Collection[int] | None) -> File | None:
    """Read a file; None and a problem at the place that names it, where it cannot be read or trusted."""
    try:
        found = read_whole(path, MAX_BYTES)
    except Unreadable as wrong:
        gathered.trouble(named_at, "file", wrong.of(shown))
        return None
    others = who_else_writes(found.about, shown, owners)
    if others:
        gathered.problems.append(Problem(Where(shown, 1, 1), "error", "permission", others))
    return File(path.absolute(), shown, found.raw, read_tree(found.raw, shown), found.stamp)


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
    """Yield each included file with the place of the pattern that led to it. Wrong shapes are reported when the section
    is read.
    """
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
    found = [folder / name for name in names if os.path.isfile(folder / name)]
    if not found:
        gathered.trouble(item.at, "include", f"include: no file matches '{item.text}' (looked in {folder or '.'})")
    for path in found:
        yield item.at, path
