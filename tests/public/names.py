"""Public names of Tocsin, read from the code: what others write down, and what a change must not break unannounced.

One page of text a kind, in a file of that name beside this one. Written anew, after a line in CHANGELOG.md:

    python -m tests.public.names
"""

from __future__ import annotations

import ast
import asyncio
import dataclasses
import importlib
import inspect
import sqlite3
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from aiohttp.test_utils import TestClient, TestServer
from typer.main import get_command

from tests.web.fakes import FakeDaemon
from tocsin.cli import app
from tocsin.clock import SeededChance, SystemClock
from tocsin.metrics import Metrics
from tocsin.settings import json_schema
from tocsin.store import open_store
from tocsin.web.app import make_admin_app, make_app

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
MODULES = ("tocsin.contracts", "tocsin.errors", "tocsin.model", "tocsin.testing")
# What a plug-in is given, or gives back: here a field counts, not the name alone.
FOR_PLUG_INS = {
    "tocsin.contracts": (
        "Chance", "Channel", "ChannelKind", "Clock", "Gate", "Http", "Mail", "Reply", "Source", "Tools",
    ),
    "tocsin.model": (
        "Accepted", "Alert", "Attempt", "Cancelled", "ChangeEvent", "Failed", "IntegrationConfig", "Link", "Message",
        "Option", "Parsed", "Problem", "Rejected", "Secret", "Unknown",
    ),
    "tocsin.testing": (
        "CountingGate", "PretendHttp", "PretendMail", "Request", "alert_troubles", "attempt", "check_channel",
        "check_source", "integration", "message", "tools",
    ),
    "tocsin.errors": (
        "BadBody", "BadFeed", "GateClosed", "MaybeSent", "NotSent", "Refused", "SettingsError", "TocsinError",
    ),
}  # fmt: skip


def kinds() -> Mapping[str, Callable[[], list[str]]]:
    """The file's name → the lines that should be in it."""
    return {
        "imports.txt": imports,
        "plug_ins.txt": plug_ins,
        "entry_points.txt": entry_point_names,
        "metrics.txt": metrics,
        "routes.txt": routes,
        "requests_and_answers.txt": requests_and_answers,
        "commands.txt": commands,
        "configuration.txt": configuration,
        "database.txt": database,
    }


# ------------------------------------------------------------------------------- what plug-ins import


def imports() -> list[str]:
    return sorted(f"{module}.{name}" for module in MODULES for name in exported(module))


def exported(module: str) -> list[str]:
    """`__all__`; without one, what the module defines itself or takes from its own submodules."""
    loaded = importlib.import_module(module)
    if hasattr(loaded, "__all__"):
        return list(loaded.__all__)
    return [name for name in _defined(ast.parse(inspect.getsource(loaded)), module) if not name.startswith("_")]


def _defined(tree: ast.Module, module: str) -> Iterator[str]:
    for node in tree.body:
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                yield name
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case ast.ImportFrom(module=str(source), names=names) if source.startswith(module + "."):
                yield from (one.asname or one.name for one in names)


def plug_ins() -> list[str]:
    return [
        line
        for module, names in FOR_PLUG_INS.items()
        for name in names
        for line in members(f"{module}.{name}", getattr(importlib.import_module(module), name))
    ]


def members(name: str, what: Any) -> Iterator[str]:
    """A class's fields and methods, a line each; of anything else what it is."""
    if not inspect.isclass(what):
        yield f"{name}{_tidy(inspect.signature(what))}" if inspect.isfunction(what) else f"{name} = {_tidy(what)}"
        return
    bases = [base.__name__ for base in what.__bases__ if base.__module__.startswith("tocsin")]
    yield f"{name}({', '.join(bases)})" if bases else name
    if dataclasses.is_dataclass(what):
        for field in dataclasses.fields(what):
            yield f"{name}: {field.name}: {_tidy(field.type)}{_default(field)}"
    else:
        yield from (
            f"{name}: {field}: {_tidy(type_)}" for field, type_ in vars(what).get("__annotations__", {}).items()
        )
    own_init = issubclass(what, Exception) and "__init__" in vars(what)
    for method, function in sorted(vars(what).items()):
        if inspect.isfunction(function) and (not method.startswith("_") or (own_init and method == "__init__")):
            kind = "async " if inspect.iscoroutinefunction(function) else ""
            yield f"{name}: {kind}{method}{_tidy(inspect.signature(function))}"


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        return f" = {field.default!r}"
    return " = …" if field.default_factory is not dataclasses.MISSING else ""


def _tidy(type_: Any) -> str:
    text = type_ if isinstance(type_, str) else str(type_)
    return text.replace("'", "").replace("typing.", "").replace("collections.abc.", "")


def entry_point_names() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = {"console_scripts": project["scripts"], **project["entry-points"]}
    return sorted(f"{group}: {name}" for group, names in groups.items() for name in names)


# ------------------------------------------------------------------------- what runs beside the daemon


def metrics() -> list[str]:
    """Name, type, labels, buckets, as /metrics shows them."""
    made = Metrics()
    return sorted({*_declared(made), *_from_libraries(made)})


def _declared(made: Metrics) -> Iterator[str]:
    for one in vars(made).values():
        if hasattr(one, "_labelnames"):
            suffix = "_total" if one._type == "counter" else ""
            labels = f"{{{','.join(one._labelnames)}}}" if one._labelnames else ""
            bounds = getattr(one, "_kwargs", {}).get("buckets") or ()
            yield f"{one._name}{suffix}{labels} {one._type}{f' {bounds}' if bounds else ''}"


def _from_libraries(made: Metrics) -> Iterator[str]:
    for family in made.registry.collect():
        if not family.name.startswith("tocsin_"):
            yield f"{family.name} {family.type}"


def routes() -> list[str]:
    daemon: Any = FakeDaemon()
    both = {"": make_app(daemon), " (also where admin_listen says)": make_admin_app(daemon)}
    found: dict[str, str] = {}
    for where, application in both.items():
        for route in application.router.routes():
            path = (route.resource.get_info() if route.resource else {}).get("path") or _formatted(route)
            found[f"{route.method} {path}"] = where
    return sorted(f"{line}{where}" for line, where in found.items() if not line.startswith(("* ", "HEAD ")))


def _formatted(route: Any) -> str:
    return str(route.resource.get_info().get("formatter", route.resource))


def requests_and_answers() -> list[str]:
    """Parameters, bodies and answers of the API, as /v1/openapi.json tells them, texts left out."""
    described = asyncio.run(_openapi())
    lines = []
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            lines += [f"{method.upper()} {path} {line}" for line in _operation(operation)]
    for name, schema in described["components"]["schemas"].items():
        lines += [f"{name}{line}" for line in flat(schema)]
    return together(lines)


async def _openapi() -> dict[str, Any]:
    daemon: Any = FakeDaemon()
    async with TestClient(TestServer(make_app(daemon))) as client, client.get("/v1/openapi.json") as answer:
        described: dict[str, Any] = await answer.json()
    return described


def _operation(operation: Mapping[str, Any]) -> Iterator[str]:
    for one in operation.get("parameters", ()):
        needed = " required" if one.get("required") else ""
        yield f"{one['in']} {one['name']}{needed}{' '.join(flat(one['schema']))}"
    if "requestBody" in operation:
        yield f"takes {_content(operation['requestBody'])}"
    refusals: dict[str, list[str]] = {}
    for status, answer in operation["responses"].items():
        if status < "400":
            yield f"answers {status} {_content(answer)}".strip()
        else:
            refusals.setdefault(_content(answer), []).append(status)
    for shape, statuses in refusals.items():
        yield f"refuses {' '.join(statuses)} with {shape or 'no body'}"


def _content(described: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{kind}{' or '.join(flat(content.get('schema', {})))}"
        for kind, content in described.get("content", {}).items()
    )


# ------------------------------------------------------------------------------- what people write


def commands() -> list[str]:
    """Each command with its arguments and options; a value that is taken stands behind its option in capitals."""
    return list(_commands(cast(Any, get_command(app)), "tocsin"))


def _commands(command: Any, name: str) -> Iterator[str]:
    yield from (f"{name} {_parameter(one)}" for one in command.params)
    if not command.params and not hasattr(command, "list_commands"):
        yield name
    if hasattr(command, "list_commands"):
        context = command.context_class(command)
        for sub in command.list_commands(context):
            yield from _commands(command.get_command(context, sub), f"{name} {sub}")


def _parameter(one: Any) -> str:
    if one.param_type_name == "argument":
        text = f"{one.name.upper()}{'…' if one.nargs == -1 else ''}"
        return text if one.required else f"[{text}]"
    spelled = "/".join([*one.opts, *one.secondary_opts])
    value = "" if one.is_flag else f" {one.type.name.upper()}"
    choices = f" ({'|'.join(map(str, one.type.choices))})" if hasattr(one.type, "choices") else ""
    return f"{spelled}{value}{choices}{' …' if one.multiple else ''}{' required' if one.required else ''}"


def configuration() -> list[str]:
    """Each key with what it takes, as `tocsin schema` tells it, texts left out."""
    return together(line.removeprefix(".") for line in flat(json_schema()) if not line.startswith(":"))


def together(lines: Iterable[str]) -> list[str]:
    """Sorted lines; those of one name become one, with all that it takes."""
    found: dict[str, list[str]] = {}
    for line in lines:
        name, _, takes = line.partition(": ")
        known = found.setdefault(name, [])
        if takes not in known:
            known.append(takes)
    return [f"{name}: {' or '.join(takes)}".removesuffix(": ") for name, takes in sorted(found.items())]


def flat(schema: Mapping[str, Any]) -> Iterator[str]:
    """A JSON Schema as lines `.key.key: what it takes`; `*` is any name, `[]` an entry of a list."""
    if own := _own(schema):
        yield f": {own}"
    needed = set(schema.get("required", ()))
    for key, value in schema.get("properties", {}).items():
        for line in flat(value):
            yield f".{key}{' (required)' if key in needed and line.startswith(':') else ''}{line}"
    if isinstance(schema.get("additionalProperties"), dict):
        yield from (f".*{line}" for line in flat(schema["additionalProperties"]))
    if isinstance(schema.get("items"), dict):
        yield from (f"[]{line}" for line in flat(schema["items"]))
    for word in ("anyOf", "oneOf", "allOf"):
        for part in schema.get(word, ()):
            yield from flat(part)
    if "if" in schema:  # a kind of integration or channel
        kind = schema["if"]["properties"]["type"]["const"]
        yield from (f"({kind}){line}" for line in flat(schema["then"]))


def _own(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    words = [str(schema[word]) for word in ("type", "const", "format", "pattern") if word in schema]
    if "enum" in schema:
        words.append("|".join(map(str, schema["enum"])))
    words += [f"{word} {schema[word]}" for word in ("minimum", "maximum", "maxLength", "maxItems") if word in schema]
    return " ".join(words)


# ------------------------------------------------------------------------------- what the disk keeps


def database() -> list[str]:
    """Tables, columns and indexes of a new SQLite database. PostgreSQL's are the same, which the store's tests hold."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_made(f"sqlite:{folder}/tocsin.db"))
        with sqlite3.connect(f"{folder}/tocsin.db") as conn:
            lines = list(_tables(conn))
        conn.close()
    return lines


async def _made(url: str) -> None:
    store = await open_store(url, clock=SystemClock(), chance=SeededChance(1), runner="inline")
    await store.close()


def _tables(conn: sqlite3.Connection) -> Iterator[str]:
    query = "select type, name, tbl_name, sql from sqlite_schema where name not like 'sqlite_%' order by tbl_name, type desc, name"
    for type_, name, table, sql in conn.execute(query).fetchall():
        if type_ == "table":
            for _, column, kind, not_null, default, key in conn.execute(f"pragma table_info({table})"):
                words = ["not null" if not_null else "", f"default {default}" if default is not None else ""]
                words.append(f"key {key}" if key else "")
                yield " ".join(filter(None, [f"{table}.{column} {kind.lower()}", *words]))
        else:
            yield f"{table}: {' '.join(str(sql).split())}" if sql else f"{table}: {type_} {name}"


def main() -> None:
    for name, lines in kinds().items():
        (HERE / name).write_text("\n".join(lines()) + "\n")
        sys.stdout.write(f"{HERE.relative_to(ROOT) / name}\n")


if __name__ == "__main__":
    main()
