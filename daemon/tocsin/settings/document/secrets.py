"""Secrets: written out, `{file: NAME}`, `{env: NAME}`, or a list of these; never shown."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from tocsin.model import Secret
from tocsin.settings.document.nodes import Mapping, Node, Scalar, Sequence
from tocsin.settings.document.reading import Reading
from tocsin.settings.document.scalars import did_you_mean
from tocsin.settings.document.shapes import BROKEN, LEFT_OUT, Nothing, Shape, wrong_kind
from tocsin.settings.document.trusted_files import Unreadable, read_whole, who_else_writes

LONGEST = 64 * 1024
WANTED = "a secret: text, {file: NAME} or {env: NAME}"


class SecretShape(Shape[Secret]):
    """A secret or a list of secrets: all of them are accepted inbound, the first is used outbound."""

    def read(self, node: Node, reading: Reading) -> Secret | Nothing:
        nodes = node.items if isinstance(node, Sequence) else [node]
        if not nodes:
            reading.error(node, "empty", "is an empty list; write at least one secret")
            return BROKEN
        values = [_one(each, reading) for each in nodes]
        if BROKEN in values:
            return BROKEN
        texts = tuple(value for value in values if isinstance(value, str))
        return Secret(texts) if texts else LEFT_OUT

    def schema(self) -> dict[str, Any]:
        sources = {name: {"type": "string", "description": about} for name, about in _SOURCES.items()}
        named = {"type": "object", "properties": sources, "minProperties": 1, "maxProperties": 1}
        one = {"anyOf": [{"type": "string", "minLength": 1}, {**named, "additionalProperties": False}]}
        return {"anyOf": [*one["anyOf"], {"type": "array", "items": one, "minItems": 1}]}


_SOURCES = {
    "file": "a file: in $CREDENTIALS_DIRECTORY, else relative to the file that names it",
    "env": "an environment variable",
}


def _one(node: Node, reading: Reading) -> str | Nothing:
    match node:
        case Scalar() if not node.empty:
            return node.text or _empty(node, reading)
        case Mapping():
            return _named(node, reading)
        case _:
            return wrong_kind(node, reading, WANTED)


def _empty(node: Node, reading: Reading) -> Nothing:
    reading.error(node, "secret", "is an empty secret")
    return BROKEN


def _named(node: Mapping, reading: Reading) -> str | Nothing:
    for key, entry in node.entries.items():
        if key not in _SOURCES:
            hint = did_you_mean(key, _SOURCES)
            reading.note("error", entry.key_at, "unknown-key", f"{node.key}: unknown key '{key}'{hint}; write {WANTED}")
            return BROKEN
    if len(node.entries) != 1:
        reading.error(node, "secret", f"write one of file and env; {WANTED}")
        return BROKEN
    ((source, entry),) = node.entries.items()
    if not isinstance(entry, Scalar) or entry.empty:
        return wrong_kind(entry, reading, "a name")
    return _from_env(entry, reading) if source == "env" else _from_file(entry, reading)


def _from_env(node: Scalar, reading: Reading) -> str | Nothing:
    value = reading.env.get(node.text)
    return value or _missing(node, reading, f"the environment variable {node.text} is not set")


def _from_file(node: Scalar, reading: Reading) -> str | Nothing:
    path = _path(node, reading)
    try:
        found = read_whole(path, LONGEST)
        text = found.raw.decode("utf-8")
    except Unreadable as wrong:
        return _missing(node, reading, wrong.of(path if wrong.is_no_file else f"the secret file {path}"))
    except ValueError:
        return _missing(node, reading, f"the secret file {path} is not text in UTF-8")
    if len(found.raw) > LONGEST or not text.strip():
        return _missing(node, reading, f"the secret file {path} is {'too long' if text.strip() else 'empty'}")
    if not _is_ours(found.about, path, node, reading):
        return BROKEN
    return text[:-1].removesuffix("\r") if text.endswith("\n") else text


def _is_ours(about: os.stat_result, path: Path, node: Scalar, reading: Reading) -> bool:
    """Whether nobody else decides what the secret is; where others merely know it, a warning is enough."""
    others = who_else_writes(about, path, reading.owners)
    if others and not (reading.lenient_secrets or reading.made_up_secrets):
        told = others.replace("this file", f"the secret file {path}").replace("chmod go-w", "chmod 600")
        reading.error(node, "permission", told)
        return False
    if others or about.st_mode & stat.S_IROTH:
        can = "written by others" if others else "read by everyone"
        reading.warn(node, "permission", f"the secret file {path} can be {can}; run chmod 600 {path}")
    return True


def _path(node: Scalar, reading: Reading) -> Path:
    """The path of a secret's file: in the systemd credentials directory if it is there, else beside the file that names
    it.
    """
    credentials = reading.env.get("CREDENTIALS_DIRECTORY")
    if credentials and "\0" not in node.text and os.path.isfile(Path(credentials) / node.text):
        return Path(credentials) / node.text
    return reading.folders.get(node.at.file, Path()) / node.text


def _missing(node: Node, reading: Reading, because: str) -> str | Nothing:
    """An error; after a bad start (`lenient_secrets`) what needs the secret is left out instead."""
    if reading.made_up_secrets:
        reading.warn(node, "secret", because)
        return f"made up: {because}"  # unlike any other, as two integrations may not share one
    if reading.lenient_secrets:
        reading.warn(node, "secret", f"{because}; what needs it is switched off")
        return LEFT_OUT
    reading.error(node, "secret", because)
    return BROKEN
