"""The manual of the API as a page, made of its OpenAPI document; nothing is fetched from elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from aiohttp import web
from markupsafe import Markup, escape

from tocsin.web.api.openapi import SCHEMAS, document
from tocsin.web.problem_json import Handler
from tocsin.web.request_turns import TURNS, in_turn
from tocsin.web.ui.html import html


def show_page(public_url: Callable[[], str | None]) -> Handler:
    """GET /docs."""

    async def show_page(request: web.Request) -> web.StreamResponse:
        whole = document(public_url())
        shape = partial(body_shape, whole)
        return await request.app[TURNS].apart(
            html, "docs.html", document=whole, body_of=shape, type_of=type_of, coded=coded
        )

    return in_turn(show_page)


def body_shape(whole: Mapping[str, Any], operation: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The schema of an operation's body, its reference followed."""
    if "requestBody" not in operation:
        return None
    reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    shape = whole["components"]["schemas"][reference.removeprefix(SCHEMAS)]
    return {"properties": shape.get("properties", {}), "required": shape.get("required", [])}


def coded(text: str) -> Markup:
    """Text with what stands between backticks as code."""
    parts = [escape(part) for part in text.split("`")]
    return Markup("").join(Markup("<code>{}</code>").format(part) if n % 2 else part for n, part in enumerate(parts))


def type_of(schema: Mapping[str, Any]) -> str:
    """A property's type in a word or two."""
    if "anyOf" in schema:
        return " or ".join(type_of(each) for each in schema["anyOf"] if each.get("type") != "null")
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {type_of(schema['items'])}"
    return str(schema.get("type", "any"))
