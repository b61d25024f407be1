"""Reading a file that a configuration names: never waiting, never half of it, and who else could have written it."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

TRIES = 5
_PIECE = 1 << 20
_KINDS = (
    (stat.S_ISDIR, "a directory"), (stat.S_ISFIFO, "a FIFO"), (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"),
)  # fmt: skip
_PROGRAM = Path(__file__).resolve().parents[2]


class Unreadable(ValueError):
    """The file cannot be read. `of(shown)` says why, with the name under which it is known."""

    def __init__(self, because: str, *, is_no_file: bool = False) -> None:
        super().__init__(because)
        self.because, self.is_no_file = because, is_no_file

    def of(self, shown: object) -> str:
        if self.is_no_file:
            return f"{shown} is not a file but {self.because}"
        return f"cannot read {shown}: {self.because}"


@dataclass(frozen=True, slots=True)
class Content:
    """The contents of a file at one moment; `raw` has at most one byte more than was asked for."""

    raw: bytes
    about: os.stat_result

    @property
    def stamp(self) -> tuple[int, ...]:
        return _stamp(self.about)


def read_whole(path: Path, most: int) -> Content:
    """`path` as it stood at one moment, and no more than `most` + 1 bytes of it. Raises Unreadable.

    A FIFO, a device or a socket is refused, not waited for; a file that somebody writes meanwhile is read again.
    """
    try:
        for _ in range(TRIES):
            found = _read_once(path, most)
            if found is not None:
                return found
    except (OSError, ValueError) as wrong:
        if isinstance(wrong, Unreadable):
            raise
        raise Unreadable(getattr(wrong, "strerror", None) or str(wrong)) from None
    raise Unreadable("it is being written just now; try again")


def _read_once(path: Path, most: int) -> Content | None:
    _refuse_odd(os.stat(path))  # opening some devices does something
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with open(descriptor, "rb", buffering=0) as file:
        before = os.fstat(descriptor)
        _refuse_odd(before)
        raw = bytearray()
        while len(raw) <= most and (piece := file.read(min(_PIECE, most + 1 - len(raw)))):
            raw += piece
        after = os.fstat(descriptor)
    whole = len(raw) > most or len(raw) >= after.st_size
    return Content(bytes(raw), after) if whole and _stamp(before) == _stamp(after) else None


def _refuse_odd(about: os.stat_result) -> None:
    if not stat.S_ISREG(about.st_mode):
        kind = next((name for is_kind, name in _KINDS if is_kind(about.st_mode)), "something else")
        raise Unreadable(kind, is_no_file=True)


def stamp(path: Path) -> tuple[int, ...]:
    """A value that changes when the file is written or replaced; () when there is no file."""
    try:
        return _stamp(os.stat(path))
    except (OSError, ValueError):
        return ()


def _stamp(about: os.stat_result) -> tuple[int, ...]:
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns


# ------------------------------------------------------------------------------- who else can write


def owners_of(state: Path, env: Mapping[str, str]) -> frozenset[int]:
    """User ids whose files are believed: root's, our own, those of whoever called sudo, of the program's owner and the
    state's (the daemon's user, for a check by another one).
    """
    found = {0, os.geteuid()}
    if os.geteuid() == 0 and env.get("SUDO_UID", "").isdecimal():
        found.add(int(env["SUDO_UID"]))
    for path in (_PROGRAM, state):
        try:
            found.add(os.stat(path).st_uid)
        except (OSError, ValueError):
            continue
    return frozenset(found)


def who_else_writes(about: os.stat_result, shown: object, owners: Collection[int] | None) -> str:
    """The reason why others than `owners` can write this file, and what to run; "" when nobody else can."""
    if others_can_write(about):
        return f"others can write this file (mode {stat.S_IMODE(about.st_mode):o}); run chmod go-w {shown}"
    if owners is not None and about.st_uid not in owners:
        return f"this file belongs to {_user(about.st_uid)}, who can write it; run chown {_user(os.geteuid())} {shown}"
    return ""


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


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"
