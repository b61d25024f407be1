"""Who may write this database file? Whoever holds the lock file beside it.

The lock is taken with flock on `<database>.lock`, never on the database itself, and is given back by
the kernel when its holder dies, however it dies.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from tocsin.errors import StoreBusy, StoreUnavailable


class LockFile:
    """Held from `take` until `release`. Raises StoreBusy while another process, or store, holds it."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor: int | None = descriptor

    @classmethod
    def take(cls, database: Path) -> LockFile:
        path = database.with_name(database.name + ".lock")
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreUnavailable(
                f"{path}: cannot be written ({error.strerror}); does its directory exist, and is it yours?"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise StoreBusy(f"{database}: process {holder} is using it; stop that one first") from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        return cls(path, descriptor)

    def release(self) -> None:
        """The file stays: removing it could hand the same lock to two."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
