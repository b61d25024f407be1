"""Page that a reply answers, of those sent to that phone, and whether its code proves that it was read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tocsin.decide.paging.many_replies import Paged
from tocsin.decide.paging.replies import SHORT, Command, Verb, code_of
from tocsin.model import Attempt, Incident, Page


@dataclass(frozen=True, slots=True)
class SentPage:
    """A page that went to the phone that now answers. `spoken`: in a call, which no message answers by itself."""

    page: Page
    attempt: Attempt
    incident: Incident
    spoken: bool = False

    @property
    def message(self) -> str:
        """The attempt of the message it travelled in: its own, or that of a summary."""
        return self.attempt.ref if self.attempt.state == "bundled" else self.attempt.id


def page_meant(sent: Sequence[SentPage], command: Command) -> SentPage | str:
    """The page an answer is about, of those sent to this phone lately, newest first; else what to say."""
    if command.number is not None:
        for page in sent:
            if command.number in (page.incident.number, page.page.incident):
                return page
        return f"INC {command.number} was not paged to this phone in the last 24 hours."
    if not sent:
        return "No page went to this phone in the last 24 hours."
    for page in sent:
        if command.code and command.code == code_of(page.page.id):
            return page
    open_numbers = dict.fromkeys(page.incident.number for page in sent if page.incident.open)
    if command.verb == "resolve" and len(open_numbers) > 1:
        return f"Several incidents are open: {', '.join(map(str, open_numbers))}. Reply RES and the number."
    return _of_last_message([page for page in sent if not page.spoken] or sent, command.verb)


def _of_last_message(sent: Sequence[SentPage], verb: Verb) -> SentPage | str:
    """The page that came last, of one instant rather one whose incident is open; of a summary the one that still is."""
    at_once = (page for page in sent if page.attempt.started_at == sent[0].attempt.started_at)
    newest = next((page for page in at_once if page.incident.open), sent[0])
    still_open = {page.incident.number: page for page in sent if page.message == newest.message and page.incident.open}
    if len(still_open) > 1:
        numbers = ", ".join(str(number) for number in sorted(still_open))
        word = SHORT.get(verb, verb.upper())
        return f"That message named several incidents: {numbers}. Reply {word} and the number, or {word} ALL."
    return next(iter(still_open.values()), newest)


def proved_by_code(sent: Sequence[SentPage], incident: Incident, command: Command) -> Command | None:
    """The command, if it has the code of a page of this incident to this phone. A note has it as its first word."""
    codes = codes_of(sent, {incident.number})
    if command.verb == "note":
        code, _, text = command.text.partition(" ")
        return replace(command, text=text) if code.upper() in codes and text else None
    return command if command.code in codes else None


def codes_of(sent: Sequence[SentPage], numbers: set[int]) -> set[str]:
    """The four letters that prove that pages of these incidents were read: their own, or those of the summary they
    travelled in."""
    pages = [page for page in sent if page.incident.number in numbers]
    summaries = {page.attempt.ref for page in pages if page.attempt.state == "bundled"}
    leads = [page for page in sent if page.attempt.id in summaries]
    return {code_of(page.page.id) for page in (*pages, *leads)}


def as_paged(sent: Sequence[SentPage]) -> list[Paged]:
    """The incidents of these pages, with when each page surely was at the phone: when its message was accepted."""
    attempts = {page.attempt.id: page.attempt for page in reversed(sent)}
    return [_as_paged(page, attempts.get(page.message, page.attempt)) for page in sent]


def _as_paged(sent: SentPage, message: Attempt) -> Paged:
    arrived = message.ended_at if message.state == "accepted" else None
    named = sent.page.incident or 0
    current = sent.incident.number != named or sent.page.cycle == sent.incident.cycle
    return Paged(sent.incident, named, arrived, current or sent.incident.status != "triggered")
