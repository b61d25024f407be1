"""Calls and replies that are about no incident: a code is read out, a test is answered, a notice is told."""

from __future__ import annotations

from dataclasses import dataclass, replace

import structlog

from tocsin.contracts import Tx
from tocsin.decide.page_texts import headline
from tocsin.decide.paging.replies import Command, NotUnderstood
from tocsin.decide.paging.still_wanted import why_stale
from tocsin.decide.paging.verification import spoken_code
from tocsin.decide.text import clean
from tocsin.model import HOUR, OPEN, Attempt, Instant, Page, User
from tocsin.work.paging.verification_codes import VerificationCodes
from tocsin.work.runtime import Runtime

log = structlog.stdlib.get_logger("tocsin.tryouts")

ANSWERED = "replied"
LAST_WORD = 9  # above every delivery state of a provider
THANKS = "you answered the test"


@dataclass(frozen=True, slots=True)
class VoiceTurn:
    """Words to say on the phone; with `menu` a key is asked for again, else the call ends."""

    say: str
    menu: bool


class TestReplies:
    """The phone's side of tests, codes and notices."""

    def __init__(self, runtime: Runtime, codes: VerificationCodes) -> None:
        self.runtime, self.codes = runtime, codes

    async def call(self, attempt: Attempt, page: Page, digits: str | None) -> VoiceTurn:
        """The next words of a call about no incident."""
        match page.kind:
            case "code":
                stale = why_stale(page, self.runtime.clock.now())
                said = "This code has expired." if stale else spoken_code(self.codes.of(page.id))
                return VoiceTurn(f"{said} Goodbye.", menu=False)
            case "test" if digits:
                await self._answered(attempt, f"by key {clean(digits, 5)}")
                return VoiceTurn("Thank you: you answered the test. Nothing was acknowledged. Goodbye.", menu=False)
            case "test":
                return VoiceTurn("This is a test of Tocsin. Nothing is wrong. Press any key to answer it.", menu=True)
            case _:
                return VoiceTurn(f"Tocsin. {page.text.replace('INC ', 'Incident ')} Goodbye.", menu=False)

    async def reply(
        self, user: User, sent: list[tuple[Page, Attempt]], command: Command | NotUnderstood, words: str
    ) -> str | None:
        """Words in return to a reply that answers a test; None when it is about something else.

        `sent`: what went to that phone lately, newest first. A test is answered by whatever comes back within the
        hour, unless a page came after it, an incident is named, or WHO is asked.
        """
        page, attempt = next((one for one in sent if one[0].kind in ("page", "test")), (None, None))
        if page is None or attempt is None or page.kind != "test" or attempt.delivery == ANSWERED:
            return None
        if attempt.started_at <= self.runtime.clock.now() - HOUR or _names_something(command):
            return None
        await self._answered(attempt, f"by SMS: {clean(words, 40)}")
        return f"Thank you, {user.name}: {THANKS}. Nothing was acknowledged.{await self._still_open(sent)}"

    async def _answered(self, attempt: Attempt, how: str) -> None:
        async def work(tx: Tx) -> None:
            known = await tx.attempt(attempt.id)
            if known is not None and known.delivery != ANSWERED:
                told = replace(known, delivery=ANSWERED, delivery_rank=LAST_WORD, because=f"{THANKS} {how}")
                tx.save_attempts([told])

        await self.runtime.store.write(work)
        log.info("test_answered", page=attempt.page, attempt=attempt.id)

    async def _still_open(self, sent: list[tuple[Page, Attempt]]) -> str:
        """Hint at what is still open: who meant an incident by the reply must learn that it was not taken so."""
        since = Instant(self.runtime.clock.now() - HOUR)
        recent = [page.incident for page, attempt in sent if page.kind == "page" and attempt.started_at >= since]
        for number in dict.fromkeys(recent):
            incident = await self.runtime.store.incident(number) if number is not None else None
            if incident is not None and incident.status in OPEN:
                return f" Still open: {headline(incident)[:80]}. Reply ACK {incident.number}."
        return ""


def _names_something(command: Command | NotUnderstood) -> bool:
    return isinstance(command, Command) and (command.number is not None or command.verb == "who")
