"""Exclusive ownership of a SQLite database file, and whether the file is still where it was opened.

Two locks, since either alone can be got around: flock on `<database>.lock` beside the resolved path, so that a
second process stops before it touches anything; and a lock on one byte of the database file itself, far behind
SQLite's own, which belongs to the file under whatever name (a hard link, or after the lock file was removed).
The database itself is never flocked. Both are given back by the kernel when their holder dies, however it dies.
"""

from __future__ import annotations

import fcntl
import os
import stat
import struct
from pathlib import Path

from tocsin.errors import StoreBusy, StoreError, StoreUnavailable

FAR = 1 << 62
"""The byte of the database that is locked: SQLite's own locks lie at 1 GiB, and no database grows this long."""

MAGIC = b"SQLite format 3\0"
MAKING = "making"  # in the lock file while a new database has no schema yet: what a crash leaves then is no surprise
SERVED = "served"  # there from then on: a database belongs beside this lock file
Identity = tuple[int, int]


class LockFile:
    """Held from `take` until `release`. Raises StoreBusy while another process, or store, holds it."""

    def __init__(self, path: Path, descriptor: int, *, interrupted: bool, served: bool) -> None:
        self.path = path
        self.interrupted = interrupted  # a process died while it made the database, or this one makes it
        self.served = served  # there was a database here before
        self.missing = False  # and it is gone
        self._descriptor: int | None = descriptor

    @classmethod
    def take(cls, database: Path) -> LockFile:
        """Lock the file that `database` leads to, through whatever symbolic links."""
        resolved = database.resolve()
        path = resolved.with_name(resolved.name + ".lock")
        descriptor, said = locked(path, database)
        words = said.split()[1:]
        lock = cls(path, descriptor, interrupted=MAKING in words, served=SERVED in words)
        lock.say(*words)
        return lock

    def say(self, *words: str) -> None:
        """Write into the file which process it is, and what it is about to do."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, "\n".join([str(os.getpid()), *words, ""]).encode(), 0)

    def is_held(self) -> bool:
        """Whether the path still leads to the file that is locked."""
        return self._descriptor is not None and identity_at(self.path) == identity_of(self._descriptor)

    def take_again(self) -> None:
        """Make the lock file anew after somebody removed it. Raises StoreBusy when another process was faster."""
        descriptor, _ = locked(self.path, self.path)
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = descriptor
        self.say(SERVED)

    def release(self) -> None:
        """The file stays: removing it could hand the same lock to two."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def locked(path: Path, database: Path) -> tuple[int, str]:
    """An open and locked lock file, and what stood in it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreUnavailable(
            f"{path}: cannot be written ({error.strerror}); does its directory exist, and is it yours?"
        ) from error
    said = os.pread(descriptor, 64, 0).decode("ascii", "replace")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        holder = said.partition("\n")[0].strip() or "unknown"
        raise StoreBusy(f"{database}: process {holder} is using it; stop that one first") from error
    return descriptor, said


class DatabaseFile:
    """The database file, held open and locked from `hold` until `release`.

    `release` must come after SQLite's last connection is closed: closing any descriptor of the file drops the locks
    SQLite has on it (sqlite.org/howtocorrupt.html, 2.2).
    """

    def __init__(self, path: Path, descriptor: int, lock: LockFile) -> None:
        self.path = path
        self._descriptor: int | None = descriptor
        self._lock = lock
        self._identity = identity_of(descriptor)
        self._log = f"{path}-wal"
        self._log_identity: Identity | None = None
        self._name = str(path)  # looked at behind each commit
        self._watched = identity_at(path) == self._identity  # some network file systems never say the same twice

    @classmethod
    def hold(cls, path: Path, lock: LockFile) -> DatabaseFile:
        """Open the resolved `path`, which is made where there is none, and lock it.

        Raises StoreBusy when another process has locked the same file under another name; StoreError for a file that
        is empty or no database, where no crash during its making explains that.
        """
        make_new(path, lock)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise StoreUnavailable(f"{path}: cannot be opened ({error.strerror}); is it yours?") from error
        try:
            lock_byte(descriptor, path)
            refuse_what_is_none(descriptor, path, lock)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(path, descriptor, lock)

    def lost(self) -> str:
        """The reason why what is written now would be gone at the next start, or "". Takes some microseconds."""
        if not self._watched or self._descriptor is None:
            return ""
        try:
            return self._lost()
        except OSError:  # a disk that does not answer: the next commit tells
            return ""

    def _lost(self) -> str:
        found = identity_at(self._name)
        if found != self._identity:
            what = "was deleted" if found is None else "was replaced by another file"
            return f"{self.path} {what} while Tocsin was running on it"
        log = identity_at(self._log)
        if self._log_identity is None:
            self._log_identity = log
        elif log != self._log_identity:
            what = "was deleted" if log is None else "was replaced by another file"
            return f"{self._log} {what} while Tocsin was running on it"
        return ""

    def keep_lock(self) -> bool:
        """Whether the lock file had to be made anew. Raises StoreBusy when another process has it now."""
        if not self._watched or self._lock.is_held():
            return False
        self._lock.take_again()
        return True

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def make_new(path: Path, lock: LockFile) -> None:
    """An empty file where there is none, its owner's alone, whatever the umask: it will hold the keys of links, and
    people's numbers. SQLite gives its log the same mode."""
    log = path.with_name(path.name + "-wal")
    if path.exists():
        return
    if log.exists() and log.stat().st_size:
        raise StoreError(
            f"{path}: is missing, and its log {log.name} is there; put the database back beside it, "
            f"or restore a backup with `tocsin db restore FILE`, or move {log.name} away to begin with nothing"
        )
    lock.say(MAKING)
    lock.interrupted, lock.missing = True, lock.served
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError as error:
        raise StoreUnavailable(
            f"{path}: cannot be made ({error.strerror}); does its directory exist, and is it yours?"
        ) from error


def lock_byte(descriptor: int, path: Path) -> None:
    """Lock one byte of the file for this open description: no other file descriptor that is closed drops it."""
    set_lock = getattr(fcntl, "F_OFD_SETLK", None)  # Linux; elsewhere the lock file is all there is
    if set_lock is None:
        return
    try:
        fcntl.fcntl(descriptor, set_lock, struct.pack("@hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, FAR, 1, 0))
    except (BlockingIOError, PermissionError) as error:
        raise StoreBusy(
            f"{path}: another process is using this very file, under another name (a hard link) or after its lock "
            "file was removed; stop that one first"
        ) from error
    except OSError:
        return  # a file system without such locks


def refuse_what_is_none(descriptor: int, path: Path, lock: LockFile) -> None:
    """Raises StoreError for an empty or foreign file."""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise StoreError(f"{path}: is no file; write the path of one in database.url")
    begins = os.pread(descriptor, len(MAGIC), 0)
    if not begins and not lock.interrupted:
        raise StoreError(empty(path))
    if begins and begins != MAGIC:
        raise StoreError(
            f"{path}: is not an SQLite database, and is left as it is; restore a backup with "
            "`tocsin db restore FILE`, or write another path in database.url"
        )


def empty(path: Path) -> str:
    return (
        f"{path}: is empty where a database should be, so all that was stored is gone; restore a backup with "
        "`tocsin db restore FILE`, or remove this file to begin with nothing"
    )


def identity_of(descriptor: int) -> Identity:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino


def identity_at(path: Path | str) -> Identity | None:
    """Device and inode of what the path leads to; None where nothing is."""
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino
