"""A daemon that answers what a test wrote down, over real HTTP, and remembers what it was asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass
class Scripted:
    """Answers by (method, path without query); what is not written is a 404 problem."""

    url: str = ""
    answers: dict[tuple[str, str], tuple[int, Any]] = field(default_factory=dict)
    asked: list[tuple[str, str, Any, str | None]] = field(default_factory=list)

    def on(self, method: str, path: str, body: Any, status: int = 200) -> None:
        self.answers[method, path] = (status, body)


@contextmanager
def scripted() -> Iterator[Scripted]:
    story = Scripted()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            story.asked.append((self.command, self.path, json.loads(raw or b"null"), self.headers.get("Authorization")))
            missing = (
                404,
                {"type": "about:blank", "title": "Not Found", "status": 404, "detail": "there is no such thing"},
            )
            status, body = story.answers.get((self.command, self.path.partition("?")[0]), missing)
            payload = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_POST = do_DELETE = answer  # noqa: N815  # the names http.server looks for

        def log_message(self, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    story.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield story
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
