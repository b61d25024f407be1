"""Texts of a page: as a title, in the length of an SMS, at length for a mail, and aloud."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import structlog

from tocsin.decide.page_texts import (
    all_resolved_body,
    all_resolved_text,
    headline,
    long_text,
    short_text,
    spoken_text,
    summary_body,
    summary_text,
)
from tocsin.decide.paging.replies import code_of
from tocsin.decide.paging.verification import code_text, spoken_code
from tocsin.decide.views import incident_view
from tocsin.model import EMPTY, MINUTE, Incident, Message, Millis, User
from tocsin.work.paging.ack_links import AckLinks
from tocsin.work.paging.channels import Line
from tocsin.work.paging.delivery import Delivery
from tocsin.work.paging.verification_codes import VerificationCodes
from tocsin.work.runtime import Runtime

log = structlog.stdlib.get_logger("tocsin.pager")

STALE_AFTER = Millis(10 * MINUTE)  # what a provider may still deliver late


class Words(NamedTuple):
    """Texts of one message: a title, in the length of an SMS, at length, and aloud."""

    title: str
    text: str
    body: str
    spoken: str


class Messages:
    """Composes the message of a delivery, just before its call."""

    def __init__(self, runtime: Runtime, links: AckLinks, codes: VerificationCodes) -> None:
        self.runtime, self.links, self.codes = runtime, links, codes

    async def compose(self, delivery: Delivery) -> Message:
        """Compose what the channel carries. Whatever fails here falls back to the headline: the page goes out."""
        page, incident, settings = delivery.page, delivery.incident, self.runtime.settings
        alone = (
            page.kind == "page" and bool(page.user) and not delivery.bundled
        )  # a link answers for one that waits, alone
        ack_url = self.links.url(incident, page.user, page.id) if alone and incident is not None else ""
        words = await self._words(delivery, ack_url)
        base = settings.server.public_url
        callbacks = f"{base}/v1/callbacks/twilio" if base else ""
        return Message(
            page=page.id,
            attempt=delivery.attempt.id,
            kind=delivery.kind,
            channel=delivery.line.name,
            to=delivery.attempt.address,
            user=page.user,
            name=delivery.user.name if delivery.user else "",
            urgency=incident.urgency if incident else "high" if page.kind == "test" else "low",
            title=words.title,
            text=words.text,
            body=words.body,
            spoken=words.spoken,
            ack_url=ack_url,
            status_url=f"{callbacks}/status/{delivery.attempt.id}" if callbacks else "",
            voice_url=f"{callbacks}/voice/{delivery.attempt.id}" if callbacks else "",
            incident=incident_view(incident, settings) if incident else EMPTY,
            cycle=page.cycle,
            round=page.round,
            step=page.step,
            rule=page.rule,
            try_number=delivery.attempt.number,
            expires_in=STALE_AFTER,
            now=self.runtime.clock.now(),
            incidents=delivery.incidents,
        )

    async def _words(self, delivery: Delivery, ack_url: str) -> Words:
        """Texts of the delivery, for each way of saying it."""
        page, incident, line = delivery.page, delivery.incident, delivery.line
        sms = line.kind.throttle == "sms"
        code = code_of(page.id) if sms and self.runtime.settings.answers.get("sms") == "code" else ""
        if delivery.bundled:
            return self._bundled(delivery, mail=line.kind.address == "email", code=code)
        if page.kind == "code" and delivery.user is not None and page.contact in delivery.user.contacts:
            proof = self.codes.of(page.id)
            text = code_text(proof, page.user, delivery.user.contacts[page.contact])
            return Words(text.partition(". ")[0], text, text, spoken_code(proof))
        if page.kind == "page" and incident is not None:
            affected = await self.runtime.affected(incident)
            text = short_text(incident, ack_url, code, interactive=sms, affected=affected)
            body = await self._body(line, incident, delivery.user, ack_url, affected)
            return Words(headline(incident), text, body, spoken_text(incident, affected))
        return Words(page.text.splitlines()[0] if page.text else "", page.text, page.text, page.text)

    def _bundled(self, delivery: Delivery, *, mail: bool, code: str) -> Words:
        """Texts about several incidents: that they are over, or that they wait. `code`: what an answer must have."""
        if delivery.page.kind == "update":
            text, body = all_resolved_text(delivery.bundled), all_resolved_body(delivery.bundled)
        else:
            pages = {page.incident: page.id for page in (*delivery.carried, delivery.page) if mail and page.user}
            links = {
                incident.number: self.links.url(incident, delivery.page.user, pages[incident.number])
                for incident in delivery.bundled if incident.number in pages
            }  # fmt: skip
            text = summary_text(delivery.bundled, delivery.more, code)
            body = summary_body(delivery.bundled, delivery.more, self.runtime.settings, links)
        return Words(text, text, body if mail else text, text)

    async def _body(
        self, line: Line, incident: Incident, user: User | None, ack_url: str, affected: Sequence[str]
    ) -> str:
        """The longer text, for mail; read only where it is used."""
        if line.kind.address != "email":
            return headline(incident)
        try:
            alerts = await self.runtime.store.incident_alerts(incident.number, 10, None)
            zone = user.timezone if user else self.runtime.settings.defaults.timezone
            return long_text(incident, alerts, self.runtime.settings, zone, ack_url, affected)
        except Exception as error:  # noqa: BLE001  # fail open: the plain text goes out
            self.runtime.metrics.template_fallbacks.inc()
            log.warning("body_fallback", incident=incident.number, error=repr(error))
            return f"{headline(incident)}\n{ack_url}"
