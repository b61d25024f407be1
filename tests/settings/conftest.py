"""A folder to write a configuration into, and to read it from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tocsin.model import Settings
from tocsin.settings import Loaded, load


class Folder:
    """Files of one configuration. Problems are shown with names relative to the folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.env: dict[str, str] = {}

    def write(self, files: Mapping[str, str]) -> Folder:
        for name, content in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
            path.chmod(0o600)
        return self

    def load(self, main: str = "tocsin.yaml", *, lenient_secrets: bool = False) -> Loaded:
        return load(self.path / main, env=self.env, lenient_secrets=lenient_secrets)

    def settings(self) -> Settings:
        loaded = self.load()
        assert loaded.settings is not None, self.said(loaded)
        return loaded.settings

    def said(self, loaded: Loaded, *levels: str) -> list[str]:
        """`file:line:column: message` of each problem (of these levels)."""
        found = [problem for problem in loaded.problems if not levels or problem.level in levels]
        return [str(problem).replace(f"{self.path}/", "") for problem in found]

    def errors(self, content: str) -> list[str]:
        """The errors of a configuration of one file, as "line:column: message"."""
        loaded = self.write({"tocsin.yaml": content}).load()
        return [line.removeprefix("tocsin.yaml:") for line in self.said(loaded, "error")]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)
