"""A channel of a third party whose provider can be asked what became of a message, by the attempt's own mark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import orjson

from tocsin.contracts import Channel, ChannelKind, Gate, Tools
from tocsin.errors import GateClosed, MaybeSent, NotSent
from tocsin.model import Accepted, Attempt, Cancelled, Failed, Message, Option, Outcome, Unknown

REPOSITORY = Path(__file__).parents[2]


def install(folder: Path, module: str = __name__) -> Path:
    """Make `type: asked` known to a process that has this folder and the repository on its path."""
    about = folder / "asked-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: asked\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[tocsin.channels]\nasked = {module}:CHANNEL\n")
    return folder


@dataclass(frozen=True, slots=True)
class Asked:
    url: str
    tools: Tools

    async def send(self, message: Message, gate: Gate) -> Outcome:
        body = orjson.dumps({"attempt": message.attempt, "page": message.page, "user": message.user})
        try:
            reply = await self.tools.http.request("POST", f"{self.url}/page", body=body, gate=gate)
        except GateClosed as closed:
            return Cancelled(str(closed))
        except NotSent as error:
            return Failed(str(error))
        except MaybeSent as error:
            return Unknown(str(error))
        return Accepted() if reply.status == 200 else Unknown(f"the provider answered {reply.status}")

    async def lookup(self, attempt: Attempt) -> Outcome | None:
        reply = await self.tools.http.request("GET", f"{self.url}/attempts/{attempt.id}")
        match reply.status:
            case 200:
                return Accepted("known")
            case 404:
                return Failed("the provider never saw it")
            case _:
                return None


@dataclass(slots=True)
class AskedKind:
    type: str = "asked"
    title: str = "A provider that can be asked"
    options: Mapping[str, Option] = field(
        default_factory=lambda: MappingProxyType({"url": Option("url", "where it listens", required=True)})
    )
    address: Literal["phone", "email", "text"] = "text"
    throttle: Literal["sms", "voice", "mail", "chat", ""] = ""
    confirms: Literal["callback", "lookup", "nothing"] = "lookup"
    interactive: bool = False

    def open(self, name: str, options: Mapping[str, Any], tools: Tools) -> Channel:
        return Asked(options["url"], tools)


CHANNEL: ChannelKind = AskedKind()
