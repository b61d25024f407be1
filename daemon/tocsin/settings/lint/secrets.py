"""Findings on secrets that others could read or guess."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from tocsin.model import Problem, Secret, Where
from tocsin.settings.document.nodes import Node, Scalar, Sequence
from tocsin.settings.document.scalars import is_loopback
from tocsin.settings.document.source_map import Path
from tocsin.settings.lint.facts import LintFacts
from tocsin.settings.plugins import COMING, INSTALLED, BrokenKind, Group

SHORTEST = 16  # characters; with fewer, a patient stranger gets in
FEWEST = 5  # different characters
PLACEHOLDERS = ("change-me", "changeme", "secret", "password", "example", "your-", "xxx")
GROUPS: Mapping[str, Group] = {"integrations": "sources", "channels": "channels"}


def findings(facts: LintFacts) -> Iterator[Problem]:
    yield from _database(facts)
    for section in GROUPS:
        if section == "channels" or not _trying_out(facts):
            yield from _plain(section, facts)
    if not _trying_out(facts):
        yield from _heartbeats(facts)
        yield from _weak(facts)
    yield from _shared(facts)


def _trying_out(facts: LintFacts) -> bool:
    """A configuration that nobody can reach and that reaches nobody, such as the starter: its tokens guard nothing."""
    settings = facts.settings
    host = urlsplit(settings.server.public_url or "http://127.0.0.1").hostname or ""
    types = {facts.written.text("channels", name, "type") for name in facts.written.sections["channels"].entries}
    return is_loopback(settings.server.host) and is_loopback(host) and types <= {"console"}


# ------------------------------------------------------------------------------------ in plain text


def _plain(section: str, facts: LintFacts) -> Iterator[Problem]:
    for name in facts.written.sections[section].entries:
        for path in _secret_paths(section, name, facts):
            for node in _values(facts.written.node(*path)):
                key = str(path[2])
                yield _told(node, f"{name}: {key} stands here in plain text", f"{name}_{key}", facts)


def _heartbeats(facts: LintFacts) -> Iterator[Problem]:
    for name in facts.written.sections["heartbeats"].entries:
        for node in _values(facts.written.node("heartbeats", name, "token")):
            yield _told(node, f"{name}: token stands here in plain text", f"{name}_token", facts)


def _told(node: Scalar, message: str, file: str, facts: LintFacts) -> Problem:
    everybody = "; everybody on this machine can read the file" if _readable(node.at, facts) else ""
    fix = f"write {{file: {file.replace('-', '_')}}} and put it into that file, mode 600; then change the secret"
    return facts.warn(node.at, "plain-secret", f"{message}{everybody}", fix)


def _secret_paths(section: str, name: str, facts: LintFacts) -> Iterator[Path]:
    type = facts.written.text(section, name, "type")
    for key, option in _options(GROUPS[section], type).items():
        if option.kind == "secret":
            yield section, name, key
        if option.kind == "keys":
            node = facts.written.node(section, name, key)
            yield from ((section, name, key, each, "key") for each in getattr(node, "entries", {}))
    if section == "integrations":
        yield section, name, "token"


def _options(group: Group, type: str) -> Mapping[str, Any]:
    kind = INSTALLED.kind(group, type)
    if kind is None or isinstance(kind, BrokenKind):
        return COMING[group].get(type, {})
    options: Mapping[str, Any] = kind.options
    return options


def _values(node: Node | None) -> Iterator[Scalar]:
    match node:
        case Scalar(empty=False):
            yield node
        case Sequence(items=items):
            yield from (item for item in items if isinstance(item, Scalar) and not item.empty)
        case _:
            return


def _readable(where: Where, facts: LintFacts) -> bool:
    path = facts.paths.get(where.file)
    try:
        return path is not None and bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def _database(facts: LintFacts) -> Iterator[Problem]:
    written = facts.written.text("database", "url")
    if facts.sound("database") and _password(written):
        message = "url: the database's password stands here in plain text"
        fix = "leave it out of the address; put it into ~/.pgpass (mode 600) of the daemon's user, or PGPASSWORD"
        yield facts.warn(facts.at("database", "url"), "plain-secret", message, fix)


def _password(url: str) -> str | None:
    try:
        return urlsplit(url).password
    except ValueError:
        return None


# ------------------------------------------------------------------------------------ weak, shared


def _weak(facts: LintFacts) -> Iterator[Problem]:
    for name, path, value in _tokens(facts):
        because = _why_weak(value)
        if because:
            message = f"{name}: {path[2]} {because}, so that a stranger may post alerts, or resolve them"
            yield facts.warn(facts.at(*path), "weak-token", message, "write the output of: openssl rand -hex 32")


def _why_weak(value: str) -> str:
    if len(value) < SHORTEST:
        return f"has only {len(value)} characters"
    if len(set(value)) < FEWEST:
        return f"has only {len(set(value))} different characters"
    return "is a placeholder" if value.lower().startswith(PLACEHOLDERS) else ""


def _shared(facts: LintFacts) -> Iterator[Problem]:
    """Warn of a token that integrations of two types share (of one type that is an error already)."""
    owners: dict[str, str] = {}
    for name, path, value in _tokens(facts):
        owner = owners.setdefault(value, name)
        configs = facts.settings.integrations
        if configs[owner].type != configs[name].type:
            message = f"{name}: {path[2]} is that of the integration '{owner}' as well; who knows one has both"
            yield facts.warn(facts.at(*path), "shared-token", message, "give each its own: openssl rand -hex 32")


def _tokens(facts: LintFacts) -> Iterator[tuple[str, Path, str]]:
    """(integration, where, value) of everything that lets somebody post."""
    for name, config in facts.settings.integrations.items():
        if not facts.sound("integrations", name):
            continue
        given = {"token": config.token, **config.options}
        for key, secret in given.items():
            yield from ((name, path, value) for path, value in _within(("integrations", name, key), secret))


def _within(path: Path, secret: Any) -> Iterator[tuple[Path, str]]:
    match secret:
        case Secret(values=values):
            yield from ((path, value) for value in values)
        case dict() | Mapping():
            for each, entry in secret.items():
                if isinstance(entry, Mapping):
                    yield from _within((*path, each, "key"), entry.get("key"))
        case _:
            return
