"""Tells people that a shift of theirs comes or has begun, what they take over, and whether their phone would ring.

A notice is a page under its own key (schedule, handoff, person, which), so a restart, a second look or another
replica tells nobody twice. Whoever could not be reached is told about to others, once a shift. That a contact is not
verified is told to its person alone: where nobody has verified anything yet, each handoff would page everybody.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import structlog

from tocsin.contracts import IncidentFilter, Tx
from tocsin.decide.incidents.escalation import NOTICE
from tocsin.decide.paging.reachability import ContactFacts, Reachability, Rings, Unproven, Unreachable, will_ring
from tocsin.decide.paging.shift_notices import Notice, due_notices, end_of_turn, notice_text, quiet_contact, serves
from tocsin.decide.views import in_words
from tocsin.model import DAY, MINUTE, OPEN, Alert, Contact, Incident, Instant, Override, Page, Parsed, Schedule, User
from tocsin.model.civil import unix
from tocsin.work.background_duties import each
from tocsin.work.incidents.self_alerts import OWN, SelfAlerts
from tocsin.work.paging.channels import Lines
from tocsin.work.runtime import Runtime

log = structlog.stdlib.get_logger("tocsin.notices")

MOST_OPEN = 500  # incidents looked at for those that a schedule serves


class ShiftNotices:
    """Looks once in each minute: shifts begin with one."""

    def __init__(self, runtime: Runtime, lines: Lines, self_alerts: SelfAlerts, paused: Callable[[], bool]) -> None:
        self.runtime, self.lines, self.self_alerts, self.paused = runtime, lines, self_alerts, paused
        self._minute = -1
        self._told: set[str] = set()  # keys of notices that are known to be kept
        self._alarms: dict[str, Notice] = {}  # raised by this process, and not over

    async def look(self) -> None:
        """Plan what is due and not planned yet. A minute that fails is looked at again."""
        now = self.runtime.clock.now()
        if unix(now) // MINUTE == self._minute or self.paused():
            return
        due: list[Notice] = []
        for schedule in self.runtime.settings.schedules.values():
            due += due_notices(schedule, now, self._overrides(schedule))
            await self.runtime.clock.turn()
        await each([one for one in due if one.key not in self._told], lambda notice: self._tell(notice, now))
        self._told.intersection_update([notice.key for notice in due])
        self._end_alarms({notice.alarm_key for notice in due})
        self._minute = unix(now) // MINUTE

    def _overrides(self, schedule: Schedule) -> tuple[Override, ...]:
        return self.runtime.people().overrides.get(schedule.name, ())

    async def _tell(self, notice: Notice, now: Instant) -> None:
        """Keep the notice, its alarm first: where a crash comes between, both are done again, the alarm as a repeat."""
        user = self.runtime.settings.users.get(notice.user)
        schedule = self.runtime.settings.schedules.get(notice.schedule)
        if user is None or schedule is None:
            return
        kept = await self._kept([notice.key, notice.alarm_key])
        if notice.key not in kept:
            whole = replace(notice, end=end_of_turn(notice, schedule, self._overrides(schedule)))
            found = self.reachability(user)
            if isinstance(found, Unreachable) and notice.alarm_key not in kept:
                await self._alarm(whole, found, now)
            elif isinstance(found, Unproven):
                log.warning("on_call_not_verified", user=user.key, schedule=schedule.name, because=found.because)
            await self._plan(whole, user, found, now)
        self._told.add(notice.key)

    async def _kept(self, keys: list[str]) -> set[str]:
        return await self.runtime.store.write(lambda tx: tx.page_keys(keys), lane="ingest")

    # ------------------------------------------------------------------------------ the notice

    async def _plan(self, notice: Notice, user: User, found: Reachability, now: Instant) -> None:
        runtime = self.runtime
        incidents = await self._taken_over(notice) if notice.which == "at" else []
        text = notice_text(notice, user, _words(found, user), incidents)
        contact = quiet_contact(user, runtime.settings, runtime.people(), notice, now, self._calls)
        pages = [self._page(notice, contact, text, now)]
        if isinstance(found, Unreachable):
            pages.append(self._alarm_raised(notice, found, now))

        async def work(tx: Tx) -> None:
            tx.add_pages(pages)  # another replica's stays as it is

        await runtime.store.write(work, lane="ingest")
        over = contact.name if contact is not None else ""
        log.info("notice", schedule=notice.schedule, user=user.key, which=notice.which, contact=over)
        if isinstance(found, Unproven):  # told to the person: it would be tried, and wakes nobody else meanwhile
            log.warning("on_call_not_verified", schedule=notice.schedule, user=user.key, because=found.because)
        if contact is not None:
            runtime.signals.planned({contact.channel}, None)

    def _calls(self, contact: Contact) -> bool:
        channel = self.runtime.settings.channels.get(contact.channel)
        kind = self.runtime.kinds.get(channel.type) if channel is not None else None
        return kind is not None and kind.throttle == "voice"

    def _page(self, notice: Notice, contact: Contact | None, text: str, now: Instant) -> Page:
        """Page of the notice. Where nothing can carry it, it has failed from the start: that it was due stays known."""
        return Page(
            id=self.runtime.chance.token(), key=notice.key, kind="notice", incident=None, cycle=0, round=0, step=0,
            rule=0, target=f"user:{notice.user}", user=notice.user, contact=contact.name if contact else "",
            channel=contact.channel if contact else "", due_at=now, created_at=now,
            status="planned" if contact else "failed", rank=NOTICE, because=f"on call in {notice.schedule}",
            config=self.runtime.settings.hash, text=text,
        )  # fmt: skip

    async def _taken_over(self, notice: Notice) -> list[Incident]:
        """The open incidents whose policy asks this schedule."""
        runtime = self.runtime
        found = await runtime.store.incidents(IncidentFilter(status=tuple(sorted(OPEN))), MOST_OPEN, None)
        return [
            one for one in found
            if serves(await runtime.policies.thaw(one.policy_hash), notice.schedule, runtime.settings)
        ]  # fmt: skip

    # ------------------------------------------------------------------------ will my phone ring?

    def reachability(self, user: User) -> Reachability:
        runtime = self.runtime
        return will_ring(user, runtime.settings, ContactFacts(runtime.why_dead, self._failing, runtime.is_verified))

    def _failing(self, contact: Contact) -> str:
        line = self.lines.get(contact.channel)
        if line is None or line.healthy:
            return ""
        stand_in = self.lines.get(self.lines.fallback_of(contact.channel))
        return "" if stand_in is not None and stand_in.healthy else f"channel {contact.channel} is failing"

    async def _alarm(self, notice: Notice, found: Unreachable, now: Instant) -> None:
        """An incident for whoever is on call now. Raises StoreUnavailable."""
        title = f"{notice.user} {_moment(notice, now)} and cannot be reached: {found.because}"
        ends = min(notice.end or Instant(notice.start + DAY), Instant(notice.start + DAY))
        alert = Alert(
            "firing", notice.alarm_key, "error", title,
            f"Schedule {notice.schedule}. Mend the contact, or let somebody else take the shift.",
            labels={"tocsin": "oncall"}, expires_at=ends,
        )  # fmt: skip
        log.error("on_call_not_reachable", title=title)
        await self.self_alerts.intake.take(OWN, b"{}", Parsed((alert,)))
        self._alarms[notice.alarm_key] = notice

    def _alarm_raised(self, notice: Notice, found: Unreachable, now: Instant) -> Page:
        """Remembers the alarm under its key; never sent."""
        return replace(self._page(notice, None, "", now), key=notice.alarm_key, status="done", because=found.because)

    def _end_alarms(self, still_due: set[str]) -> None:
        """End alarms raised here once the person can be reached, or has no such shift any more."""
        for key, notice in list(self._alarms.items()):
            user = self.runtime.settings.users.get(notice.user)
            if key not in still_due or user is None or not isinstance(self.reachability(user), Unreachable):
                del self._alarms[key]
                self.runtime.signals.recovered(key)


def _moment(notice: Notice, now: Instant) -> str:
    if notice.which == "at":
        return f"is on call for {notice.schedule}"
    return f"goes on call for {notice.schedule} in {in_words(notice.start - now)}"


def _words(found: Reachability, user: User) -> str:
    """Words of the notice about the person's own phone."""
    match found:
        case Unreachable(because):
            return f"Attention: nothing that wakes you works: {because}."
        case Unproven(because):
            first = because.partition(" ")[0]
            return f"Attention: {because}: tocsin contact verify {user.key} --by {first}"
        case Rings():
            return ""
