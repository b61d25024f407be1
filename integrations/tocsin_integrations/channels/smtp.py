"""Mail channel: sends each page through an SMTP server; an incident's mails form one thread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from email.errors import MessageError
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from types import MappingProxyType
from typing import Any, Literal

from tocsin.contracts import Channel, ChannelKind, Gate, Tools
from tocsin.errors import GateClosed, MaybeSent, NotSent
from tocsin.model import Accepted, Attempt, Cancelled, Failed, Message, Option, Outcome, Secret, Unknown
from tocsin.model.civil import civil

Security = Literal["none", "starttls", "tls"]

MOST_NAMED = 100  # numbers in a header
PORTS: Mapping[Security, int] = MappingProxyType({"none": 25, "starttls": 587, "tls": 465})


@dataclass(slots=True)
class SmtpKind:
    """The kind of channel behind `type: smtp`."""

    type: str = "smtp"
    title: str = "Mail (SMTP)"
    options: Mapping[str, Option] = field(
        default_factory=lambda: MappingProxyType(
            {
                "host": Option("text", "the mail server", required=True),
                "port": Option("int", "its port; 465 with tls, 587 with starttls, 25 with none", least=1, most=65535),
                "security": Option(
                    "choice", "how the connection is secured", default="starttls", choices=("starttls", "tls", "none")
                ),
                "username": Option("text", "for signing in; absent: no sign-in"),
                "password": Option("secret", "for signing in"),
                "from": Option("email", "the sender's address", required=True),
            }
        )
    )
    address: Literal["phone", "email", "text"] = "email"
    throttle: Literal["sms", "voice", "mail", "chat", ""] = "mail"
    confirms: Literal["callback", "lookup", "nothing"] = "nothing"
    interactive: bool = False

    def open(self, name: str, options: Mapping[str, Any], tools: Tools) -> Channel:
        """A channel that hands mails to `host`."""
        security: Security = options.get("security") or "starttls"
        password: Secret | None = options.get("password")
        return Smtp(
            options["host"],
            options.get("port") or PORTS[security],
            security,
            options.get("username"),
            password.first if password else None,
            options["from"],
            tools,
        )


@dataclass(frozen=True, slots=True)
class Smtp:
    host: str
    port: int
    security: Security
    username: str | None
    password: str | None = field(repr=False)
    sender: str
    tools: Tools

    async def send(self, message: Message, gate: Gate) -> Outcome:
        """Accepted when the server took it; a refused recipient is permanent, a lost answer unknown."""
        try:
            mail = compose(message, self.sender).as_bytes()
        except (ValueError, MessageError) as e:  # a recipient that no mail can be addressed to
            return Failed(f"no mail can be written to {message.to!r}: {e}", permanent=True)
        try:
            answer = await self.tools.mail.send(
                host=self.host,
                port=self.port,
                security=self.security,
                username=self.username,
                password=self.password,
                sender=parseaddr(self.sender)[1],
                recipient=parseaddr(message.to)[1],
                message=mail,
                gate=gate,
            )
        except GateClosed as e:
            return Cancelled(str(e))
        except NotSent as e:
            return Failed(str(e), permanent=e.permanent, account=e.account)
        except MaybeSent as e:
            return Unknown(str(e))
        return Accepted(ref=_one_line(answer)[:200])

    async def lookup(self, attempt: Attempt) -> Outcome | None:
        return None


def compose(message: Message, sender: str) -> EmailMessage:
    """The mail. Its Message-ID carries the attempt; References ties the incident's mails together (RFC 5322).

    Raises ValueError or MessageError where an address cannot stand in a header.
    """
    mail = EmailMessage(policy=SMTP.clone(cte_type="7bit"))  # not every server on the way takes 8 bits
    domain = parseaddr(sender)[1].rpartition("@")[2] or "tocsin.invalid"
    mail["From"] = sender
    mail["To"] = message.to
    mail["Subject"] = _one_line(message.title)
    mail["Date"] = format_datetime(civil(message.now))
    mail["Message-ID"] = f"<{message.attempt}@{domain}>"
    number = message.incident.get("number")
    if number is not None:
        thread = f"<incident-{number}@{domain}>"
        mail["In-Reply-To"] = thread
        mail["References"] = thread
        mail["X-Tocsin-Incident"] = ", ".join(str(one) for one in message.incidents[:MOST_NAMED] or (number,))
    mail["X-Tocsin-Kind"] = message.kind
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office replies
    mail["X-Auto-Response-Suppress"] = "All"  # the same for Exchange
    if message.urgency == "high":
        mail["Importance"] = "high"
    mail.set_content(_body(message))
    return mail


def _body(message: Message) -> str:
    text = message.body or message.text
    if message.ack_url and message.ack_url not in text:
        text = f"{text}\n\nAcknowledge: {message.ack_url}"
    return text.encode("utf-8", "replace").decode("utf-8") + "\n"


def _one_line(text: str) -> str:
    """Headers hold one line of printable text (no header can be smuggled in)."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


CHANNEL: ChannelKind = SmtpKind()
