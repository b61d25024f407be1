"""Calls made up from the OpenAPI document: whatever is asked, the answer is one that the document has, in its shape.

Seeded; TOCSIN_FULL=1 makes ten times as many.
"""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pytest
from jsonschema import Draft202012Validator, FormatChecker
from yarl import URL

from tests.web.conftest import Client
from tests.web.real import running, system_ports
from tests.web.test_muting import KEY, QUIET
from tests.web.test_whole import ALERT, OWN
from tocsin.web.api.openapi import document
from tocsin.wiring import Daemon

WHOLE = document("https://tocsin.larkspur.example")
CALLS = [(path, method) for path, each in WHOLE["paths"].items() for method in each]
EACH = 120 if os.environ.get("TOCSIN_FULL") else 12
ODD: list[Any] = [
    None, True, 0, -1, 1 << 70, 1.5, "", "x", "\u0000", "\ud800", "é" * 5_000, "2026-01-05T09:00:00Z", "30m", "9999w", "-1h",
    [], {}, [[]], ["x"], {"x": 1}, "ana", "primary", "default", 'a="b"', 'a=~"("', "user:ana", "%00", "../..", "1", "open",
]  # fmt: skip
NAMES = ["primary", "ana", "bo", "own", "1", "2", "nobody", "a b", "é", "%", "x" * 300, "0", "..%2f"]


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    async with running(tmp_path, QUIET + "heartbeats:\n  primary: {every: 1h, grace: 5m}\n", system_ports()) as daemon:
        yield daemon


class Caller:
    """Makes up requests, by chance."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def path(self, template: str) -> str:
        for part in template.split("{")[1:]:
            name = part.partition("}")[0]
            value = self.chance.choice(["1", "2", "7", "999999999"] if name == "number" else NAMES)
            template = template.replace(f"{{{name}}}", quote(value, safe=""))
        return template

    def query(self, parameters: list[dict[str, Any]]) -> str:
        asked = [one for one in parameters if one["in"] == "query" and self.chance.random() < 0.6]
        pairs = [(one["name"], self.text(one["schema"])) for one in asked]
        if self.chance.random() < 0.15:
            pairs.append((self.chance.choice(["stauts", "limits", "x", ""]), "1"))
        return "&".join(f"{quote(name, safe='')}={value}" for name, value in pairs)

    def text(self, schema: dict[str, Any]) -> str:
        value = self.value(schema)
        written = str(value).lower() if isinstance(value, bool) else str(value)
        return quote(written.encode("utf-8", "surrogatepass")[:200], safe="")

    def body(self, operation: dict[str, Any]) -> bytes | None:
        content = operation.get("requestBody", {}).get("content")
        if content is None:
            return self.chance.choice([None, b"", b"{}", b"{", b"null", orjson.dumps(ALERT)])
        if self.chance.random() < 0.15:
            return self.chance.choice(
                [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100 + b"]" * 100, b'{"user": "\\ud800"}']
            )
        name = content["application/json"]["schema"]["$ref"].rpartition("/")[2]
        return dumped(self.value({"$ref": f"#/components/schemas/{name}"}))

    def value(self, schema: dict[str, Any], depth: int = 0) -> Any:
        """Mostly a value that fits the schema; now and then anything."""
        chance = self.chance
        if chance.random() < 0.12:
            return chance.choice(ODD)
        if "$ref" in schema:
            return self.value(WHOLE["components"]["schemas"][schema["$ref"].rpartition("/")[2]], depth)
        if "anyOf" in schema:
            return self.value(chance.choice(schema["anyOf"]), depth)
        if "enum" in schema:
            return chance.choice(schema["enum"])
        if schema.get("examples") and chance.random() < 0.7:
            return chance.choice(schema["examples"])
        match schema.get("type"):
            case "integer":
                least, most = schema.get("minimum", -3), schema.get("maximum", 1_000)
                return chance.choice([least, most, least - 1, most + 1, chance.randint(least, most)])
            case "boolean":
                return chance.random() < 0.5
            case "null":
                return None
            case "array":
                return [self.value(schema.get("items", {}), depth + 1) for _ in range(chance.randint(0, 3))]
            case "object" if depth < 4:
                needed = schema.get("required", [])
                named = {
                    name: self.value(each, depth + 1)
                    for name, each in schema.get("properties", {}).items()
                    if name in needed or chance.random() < 0.4
                }
                return named if chance.random() < 0.9 else {**named, "unknown": 1}
            case "string" if schema.get("format") == "date-time":
                return chance.choice(["2026-01-05T09:00:00Z", "2026-01-05T09:00:00+02:00", "tomorrow", "2026-13-45"])
            case _:
                return chance.choice(["x", "ana", "shop", "1h", "db down", *ODD])


def dumped(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # a lone surrogate, or a number too large
        import json  # noqa: PLC0415

        return json.dumps(value).encode()


async def fill(client: Client, bearer: str) -> None:
    """Something of each kind, so that no list is empty by itself."""
    await client.post("/v1/webhooks/own", json=ALERT, headers=OWN)
    await client.post("/v1/webhooks/own", json={**ALERT, "dedup_key": "other", "service": "db"}, headers=OWN)
    change = {
        "routing_key": KEY,
        "payload": {"summary": "deployed", "source": "ci", "custom_details": {"service": "db"}},
    }
    assert (await client.post("/v2/change/enqueue", json=change)).status == 202
    made: dict[str, Any] = {
        "/v1/silences": {"matchers": ['env="x"'], "for": "2h", "comment": "patching"},
        "/v1/schedules/primary/overrides": {"user": "bo", "for": "4h"},
        "/v1/swaps": {"schedule": "primary", "with": "bo", "from": "2040-01-02 09:00", "to": "2040-01-02 10:00"},
        "/v1/incidents/1/notes": {"text": "looking"},
        "/v1/incidents/1/acknowledge": {},
    }
    for path, body in made.items():
        answer = await client.post(path, json=body, headers={"Authorization": f"Bearer {bearer}"})
        assert answer.status in (200, 201), f"{path}: {await answer.text()}"


@pytest.mark.parametrize(("path", "method"), CALLS, ids=[f"{method} {path}" for path, method in CALLS])
async def test_every_answer_is_one_that_is_documented(client: Client, daemon: Daemon, path: str, method: str) -> None:
    tokens = [(await daemon.access.create(role, role, "ana"))[1] for role in ("viewer", "responder", "admin")]
    await fill(client, tokens[2])
    operation = WHOLE["paths"][path][method]
    caller = Caller(seed=hash_of(f"{method} {path}"))

    known = path.replace("{number}", "1").replace("{name}", "primary").replace("{key}", "ana")
    if method == "get" and "{" not in known:
        answer = await client.get(known, headers={"Authorization": f"Bearer {tokens[2]}"})
        said = await answer.read()
        assert answer.status in (200, 202), f"{known}: {answer.status} {said[:300]!r}"
        check(operation, answer.status, answer.content_type, said, known)
    for _ in range(EACH):
        body = None if method == "get" else caller.body(operation)
        headers = {"Content-Type": "application/json"}
        if caller.chance.random() < 0.9:
            headers["Authorization"] = f"Bearer {caller.chance.choice([*tokens, tokens[2], 'own-token'])}"
        url = URL(f"{caller.path(path)}?{caller.query(operation['parameters'])}", encoded=True)
        answer = await client.request(method, url, data=body, headers=headers, allow_redirects=False)
        said = await answer.read()
        asked = f"{method} {url} {body!r}: {answer.status} {said[:300]!r}"
        check(operation, answer.status, answer.content_type, said, asked)


def check(operation: dict[str, Any], status: int, content_type: str, said: bytes, asked: str) -> None:
    """The answer's status, type and body are documented."""
    assert str(status) in operation["responses"], asked
    assert status in (503, 200) or status < 500, asked
    content = operation["responses"][str(status)].get("content", {})
    if said:
        assert content_type in content, asked
        if "json" in content_type:
            assert_fits(said, content[content_type]["schema"], asked)
    if content_type == "application/problem+json":
        document = orjson.loads(said)
        assert document["status"] == status, asked
        assert document["detail"], asked


FORMATS = FormatChecker(formats=())


def is_instant(value: object) -> bool:
    """RFC 3339, with its offset; what is no text is for `type` to refuse."""
    try:
        return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


FORMATS.checks("date-time")(is_instant)


def assert_fits(said: bytes, schema: dict[str, Any], asked: str) -> None:
    """The body is what the document says."""
    here = {**schema, "components": WHOLE["components"]}  # where its references lead
    wrong = list(Draft202012Validator(here, format_checker=FORMATS).iter_errors(orjson.loads(said)))
    assert not wrong, f"{wrong[0].json_path}: {wrong[0].message[:200]}\n{asked}"


def hash_of(text: str) -> int:
    total: int = sum(ord(letter) * 31**place for place, letter in enumerate(text))
    return total % (1 << 31)


async def test_a_parameter_that_is_not_known_is_told_with_those_that_are(client: Client, daemon: Daemon) -> None:
    headers = {"Authorization": f"Bearer {(await daemon.access.create('ana', 'admin', 'ana'))[1]}"}
    for path, method in CALLS:
        operation = WHOLE["paths"][path][method]
        if not operation["x-role"]:
            continue
        url = f"{path.replace('{number}', '1').replace('{', '').replace('}', '')}?stauts=open"
        answer = await client.request(method, url, headers=headers)
        document = await answer.json()
        assert answer.status == 400, f"{method} {url}: {document}"
        known = [one["name"] for one in operation["parameters"] if one["in"] == "query"]
        assert document["errors"][0]["pointer"] == "/stauts", f"{method} {url}: {document}"
        assert all(name in document["detail"] for name in known), document
