"""Recordings since a time: kept posts read again by their source, and people's answers between them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from tocsin.contracts import Source
from tocsin.decide.routing.sender_times import on_the_line
from tocsin.decide.whatif.recordings import Answer, Record, Signal
from tocsin.errors import BadBody
from tocsin.model import Instant, Post, Settings
from tocsin.model.civil import unix
from tocsin.work.incidents.self_alerts import OWN
from tocsin.work.ingest.evaluation import bytes_of


class Past(Protocol):
    """Reads of the past, by a store or a reader beside it. Iterators; each slice is read when it is reached."""

    def posts_since(self, since: Instant) -> AsyncIterator[Post]:
        """Accepted posts received at or after `since`, in the order they were taken."""

    def answers_since(self, since: Instant) -> AsyncIterator[Answer]:
        """Answers of people since then, once for each alert that was open in the incident, in order."""


@dataclass(slots=True)
class Recorded:
    """Reading of the past. `unread`: posts that no source can read any more, by integration."""

    past: Past
    settings: Settings
    sources: Mapping[str, Source]
    unread: dict[str, int] = field(default_factory=dict)

    async def records(self, since: Instant) -> AsyncIterator[Record]:
        """In order of time; one slice of posts and answers is in memory at a time."""
        answers = self.past.answers_since(since)
        answer = await anext(answers, None)
        async for post in self.past.posts_since(since):
            while answer is not None and answer.received_at < post.received_at:
                yield answer
                answer = await anext(answers, None)
            for signal in self._signals(post):
                yield signal
        while answer is not None:
            yield answer
            answer = await anext(answers, None)

    def _signals(self, post: Post) -> list[Record]:
        if post.integration == OWN.name:
            return []
        config = self.settings.integrations.get(post.integration)
        source = self.sources.get(config.type) if config is not None else None
        if config is None or source is None:
            self._not_read(post)
            return []
        try:
            alerts = on_the_line(source.parse(post.body, {}, config, Instant(unix(post.received_at)))).alerts
        except BadBody:
            self._not_read(post)
            return []
        return [
            Signal(post.received_at, post.integration, post.id, alert,
                   "" if alert.source_key else bytes_of(post.body, alert))
            for alert in alerts
        ]  # fmt: skip

    def _not_read(self, post: Post) -> None:
        self.unread[post.integration] = self.unread.get(post.integration, 0) + 1
