"""The last good configuration: kept whole, so that a bad file at start does not leave alerts unanswered."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tocsin.errors import is_bug
from tocsin.settings.document.files import File, parsed
from tocsin.settings.document.reading import Reading
from tocsin.settings.document.trusted_files import read_whole
from tocsin.settings.loading import Loaded, compiled
from tocsin.settings.plugins import INSTALLED, Kinds

NAME = "last-good.json"
LONGEST = 1 << 30


class LastGood:
    """Keeps one set of files in `directory`, readable by its owner only. With `main` given, a set that was
    kept for another main file is not used: it would page other people."""

    def __init__(
        self,
        directory: Path,
        main: Path | None = None,
        *,
        env: Mapping[str, str] = os.environ,
        kinds: Kinds = INSTALLED,
    ) -> None:
        self.path = directory / NAME
        self._main = main
        self._env = env
        self._kinds = kinds

    def keep(self, loaded: Loaded) -> None:
        """Replaces what was kept, whole or not at all. Raises OSError when it cannot be written,
        ValueError for a configuration that is not good."""
        if loaded.settings is None:
            raise ValueError("only a good configuration is kept")
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        body = json.dumps(packed(loaded))
        fresh = self.path.with_suffix(f".{os.getpid()}")
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)

    def load(self) -> Loaded | None:
        """Read the kept configuration with today's secrets (a missing one switches off what needs it); None when
        nothing usable was kept.
        """
        try:
            kept = json.loads(read_whole(self.path, LONGEST).raw)
            main = Path(kept["main"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        if self._main is not None and self._main.absolute() != main:
            return None
        return unpacked(kept, Reading(self._env, self._kinds, lenient_secrets=True))


def packed(loaded: Loaded) -> dict[str, Any]:
    """A whole configuration as JSON: its files as they were read, and the tables beside its rules."""
    files = [_packed(shown, loaded.paths[shown], raw) for shown, raw in loaded.files.items()]
    tables = {path: base64.b64encode(raw).decode("ascii") for path, raw in loaded.attached.items()}
    return {"main": str(loaded.main.absolute()), "files": files, "tables": tables}


def unpacked(kept: Mapping[str, Any], reading: Reading) -> Loaded | None:
    """Read again what `packed` made; None when it is not good, or not of this shape."""
    try:
        files = [_unpacked(entry) for entry in kept["files"]]
        for path, raw in kept.get("tables", {}).items():
            reading.attached[path] = base64.b64decode(raw, validate=True)
        loaded = compiled(files, Path(kept["main"]), reading)
    except BaseException as wrong:  # whatever was kept, and whatever reading it meets: it cannot be used
        if not is_bug(wrong):
            raise
        return None
    return loaded if loaded.settings is not None else None


def _packed(shown: str, path: Path, raw: bytes) -> dict[str, str]:
    return {"shown": shown, "path": str(path), "raw": base64.b64encode(raw).decode("ascii")}


def _unpacked(entry: Mapping[str, str]) -> File:
    return parsed(Path(entry["path"]), entry["shown"], base64.b64decode(entry["raw"], validate=True))
