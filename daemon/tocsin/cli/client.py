"""Client of the daemon's API for commands: its address, its token, one request at a time.

Only the standard library is imported here, so that `tocsin ack 1` starts at once.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from tocsin.cli.trouble import FORBIDDEN, REFUSED, UNREACHABLE, WRONG, Trouble

DEFAULT_URL = "http://127.0.0.1:8420"
DEADLINE_SECONDS = 15.0
_LARGEST_ANSWER = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Credential:
    """A token and where it was found, so that an error can say which one was refused."""

    token: str
    origin: str


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Any
    text: str

    def body_of(self, url: str) -> dict[str, Any]:
        """The JSON object of a good answer. Raises Trouble for whatever else came: a proxy's page, a redirect, nothing.

        Nothing is believed to be done that Tocsin did not say it did.
        """
        if 200 <= self.status < 300 and isinstance(self.body, dict) and self.body:
            return self.body
        raise strange(url, f"{self.status} with {_what(self)}")


def strange(url: str, said: str) -> Trouble:
    """The error where something answers at the address that is not this version of Tocsin."""
    because = f"{url} does not answer as Tocsin does ({said})"
    return Trouble(f"{because}; is TOCSIN_URL right, or a proxy between?", UNREACHABLE)


def _what(answer: Answer) -> str:
    start = " ".join(answer.text[:200].split())[:60]
    return f"{start!r}" if start else "an empty body"


asked: list[str] = []
"""Addresses that were asked: an error in what is made of an answer is the answer's."""


class Api:
    """The daemon's HTTP API, as one person or script sees it."""

    def __init__(self, url: str, credential: Credential) -> None:
        self.url = url.rstrip("/")
        self.credential = credential

    def get(self, path: str, **query: Any) -> Any:
        """The JSON at `path`. Raises Trouble with the exit code that fits."""
        wanted = {name: value for name, value in query.items() if value not in (None, "", ())}
        return self._ask("GET", f"{path}?{urlencode(wanted, doseq=True)}" if wanted else path)

    def every(self, path: str, name: str, **query: Any) -> list[Any]:
        """The list called `name`, whole, also where it comes in parts."""
        answer = self.get(path, **query)
        found: list[Any] = list(answer[name])
        while answer.get("next") is not None:
            answer = self.get(path, **query, cursor=answer["next"])
            found += answer[name]
        return found

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        return self._ask("POST", path, body or {})

    def delete(self, path: str) -> Any:
        return self._ask("DELETE", path)

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        answer = send(method, self.url + path, body, self.credential.token)
        if answer.status < 400:
            return answer.body_of(self.url)
        raise _refusal(answer, self.url, self.credential)


def connect() -> Api:
    """The daemon of TOCSIN_URL, as the owner of the first token that is found."""
    return Api(os.environ.get("TOCSIN_URL") or DEFAULT_URL, find_credential())


def find_credential() -> Credential:
    """TOCSIN_TOKEN, else ./.tocsin/token, else tocsin/token in the user's configuration folder."""
    from_environment = os.environ.get("TOCSIN_TOKEN", "").strip()
    if from_environment:
        return Credential(from_environment, "TOCSIN_TOKEN")
    places = token_files()
    for place in places:
        token = _read_token(place)
        if token:
            return Credential(token, str(place))
    tried = ", ".join(str(place) for place in places)
    raise Trouble(
        f"no token: TOCSIN_TOKEN is not set and there is none in {tried}; "
        "make one with: tocsin token create --name NAME --role responder --user USER",
        FORBIDDEN,
    )


def token_files() -> tuple[Path, Path]:
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    return Path(".tocsin") / "token", Path(home) / "tocsin" / "token"


def send(method: str, url: str, body: Any = None, bearer: str | None = None) -> Answer:
    """Send a request once, never repeated. Raises Trouble when the daemon cannot be reached."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        url.encode("ascii")
    except ValueError:
        usable = False
    if not usable:
        raise Trouble(f"TOCSIN_URL: {url!r} is not an address; write http://HOST:PORT", WRONG)
    asked.append(_base(url))
    headers = {"Accept": "application/json", "User-Agent": "tocsin-cli"}
    if bearer is not None:
        headers["Authorization"] = f"Bearer {_printable(bearer)}"
    payload = None
    if body is not None:
        payload = json.dumps(body).encode()
        headers["Content-Type"] = "application/json"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection = _connection(parts.scheme, parts.hostname or "", parts.port)
        try:
            connection.request(method, path, payload, headers)
            reply = connection.getresponse()
            return _answer(reply.status, reply.read(_LARGEST_ANSWER))
        finally:
            connection.close()
    except TimeoutError:
        raise Trouble(f"{_base(url)} did not answer within {DEADLINE_SECONDS:.0f} s", UNREACHABLE) from None
    except (OSError, http.client.HTTPException, ValueError) as broken:
        raise Trouble(
            f"cannot reach the daemon at {_base(url)}: {_reason(broken)}; is `tocsin serve` running?",
            UNREACHABLE,
        ) from None


def _connection(scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
    if scheme == "https":
        return http.client.HTTPSConnection(host, port, timeout=DEADLINE_SECONDS, context=ssl.create_default_context())
    return http.client.HTTPConnection(host, port, timeout=DEADLINE_SECONDS)


def _answer(status: int, raw: bytes) -> Answer:
    text = raw.decode("utf-8", "replace")
    try:
        return Answer(status, json.loads(text) if text.strip() else {}, text)
    except (ValueError, RecursionError):
        return Answer(status, {}, text)


def _refusal(answer: Answer, url: str, credential: Credential) -> Trouble:
    said = problem_text(answer)
    if answer.status == 401:
        return Trouble(f"{url} does not accept the token of {credential.origin}: {said}", FORBIDDEN)
    if answer.status == 403:
        return Trouble(f"not allowed with the token of {credential.origin}: {said}", FORBIDDEN)
    if answer.status in (400, 422):
        return Trouble(said, WRONG)
    if answer.status >= 500:
        return Trouble(f"the daemon at {url} answered {answer.status}: {said}", UNREACHABLE)
    return Trouble(said, REFUSED)


def problem_text(answer: Answer) -> str:
    """The text of a problem+json as one line, its fields included."""
    if not isinstance(answer.body, dict) or not answer.body:
        return answer.text.strip()[:200] or f"HTTP {answer.status}"
    said = str(answer.body.get("detail") or answer.body.get("title") or f"HTTP {answer.status}")
    errors = answer.body.get("errors")
    fields = [
        f"{error.get('pointer', '')}: {error.get('detail', '')}".lstrip(": ")
        for error in (errors if isinstance(errors, list) else ())
        if isinstance(error, dict) and str(error.get("detail", "")) not in said
    ]
    return "; ".join([said, *(field for field in fields if field)])


def _read_token(place: Path) -> str:
    try:
        return place.read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, UnicodeDecodeError) as broken:
        raise Trouble(f"{place}: cannot read the token: {broken}", FORBIDDEN) from None


def _printable(token: str) -> str:
    if token.isascii() and token.isprintable() and " " not in token:
        return token
    raise Trouble("the token holds characters that no token has; was it pasted whole?", FORBIDDEN)


def _reason(broken: Exception) -> str:
    said = broken.strerror if isinstance(broken, OSError) else str(broken)
    return said or str(broken) or type(broken).__name__


def _base(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
