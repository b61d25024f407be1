"""Silences that are posted again over Alertmanager's API: the same happens as with Debian's real Alertmanager."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.daemon import Daemon
from tests.peers import processes
from tests.peers.test_amtool import CONFIGURATION

pytestmark = pytest.mark.peers
Body = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """One API v2: Alertmanager's, or ours."""

    session: aiohttp.ClientSession
    url: str

    async def post(self, body: Body) -> tuple[int, str]:
        async with self.session.post(f"{self.url}/api/v2/silences", json=body) as answer:
            said = await answer.json(content_type=None) if answer.status == 200 else None
            return answer.status, said["silenceID"] if said else ""

    async def get(self, id: str) -> Body:
        async with self.session.get(f"{self.url}/api/v2/silence/{id}") as answer:
            assert answer.status == 200
            return dict(await answer.json())

    async def expire(self, id: str) -> None:
        async with self.session.delete(f"{self.url}/api/v2/silence/{id}") as answer:
            assert answer.status == 200


def at(**later: float) -> str:
    return (datetime.now(UTC) + timedelta(**later)).isoformat().replace("+00:00", "Z")


def matcher(name: str, value: str, *, pattern: bool = False, equal: bool = True) -> Body:
    return {"name": name, "value": value, "isRegex": pattern, "isEqual": equal}


ONE, TWO = matcher("env", "prod"), matcher("instance", "gw-0.*", pattern=True)
ACTIVE: Callable[[], Body] = lambda: silence(at(minutes=-1), at(hours=2))  # noqa: E731
PENDING: Callable[[], Body] = lambda: silence(at(hours=1), at(hours=2))  # noqa: E731


def silence(starts: str, ends: str, **more: Any) -> Body:
    return {
        "matchers": [ONE, TWO],
        "startsAt": starts,
        "endsAt": ends,
        "createdBy": "mira",
        "comment": "kernel",
        **more,
    }


CHANGES: dict[str, tuple[Callable[[], Body], Callable[[Body], Body], bool]] = {
    # what is posted first, what is changed of it, whether it is expired in between
    "comment": (ACTIVE, lambda kept: {"comment": "longer"}, False),
    "author": (ACTIVE, lambda kept: {"createdBy": "ola"}, False),
    "later end": (ACTIVE, lambda kept: {"endsAt": at(hours=5)}, False),
    "earlier end": (ACTIVE, lambda kept: {"endsAt": at(hours=1)}, False),
    "end in the past": (ACTIVE, lambda kept: {"endsAt": at(seconds=-1)}, False),
    "earlier start": (ACTIVE, lambda kept: {"startsAt": at(hours=-2)}, False),
    "later start": (ACTIVE, lambda kept: {"startsAt": at(minutes=5)}, False),
    "start now": (ACTIVE, lambda kept: {"startsAt": at(seconds=2)}, False),
    "one matcher less": (ACTIVE, lambda kept: {"matchers": [ONE]}, False),
    "another value": (ACTIVE, lambda kept: {"matchers": [matcher("env", "dev"), TWO]}, False),
    "another operator": (ACTIVE, lambda kept: {"matchers": [matcher("env", "prod", equal=False), TWO]}, False),
    "matchers in another order": (ACTIVE, lambda kept: {"matchers": [TWO, ONE]}, False),
    "nothing": (ACTIVE, lambda kept: {}, False),
    "to come: other times": (PENDING, lambda kept: {"startsAt": at(hours=3), "endsAt": at(hours=4)}, False),
    "to come: starts at once": (PENDING, lambda kept: {"startsAt": at(seconds=-5)}, False),
    "to come: other matchers": (PENDING, lambda kept: {"matchers": [ONE]}, False),
    "to come: ends before it starts": (PENDING, lambda kept: {"endsAt": at(minutes=30)}, False),
    "expired: again": (ACTIVE, lambda kept: {"startsAt": at(), "endsAt": at(hours=2)}, True),
    "expired: as it was": (ACTIVE, lambda kept: {"endsAt": at(hours=2)}, True),
    "expired before it began": (PENDING, lambda kept: {}, True),
}


async def outcome(
    asked: Asked, first: Callable[[], Body], change: Callable[[Body], Body], expired: bool
) -> tuple[Any, ...]:
    """What came of a change: the answer, whether the id stayed, and how it stands with both."""
    status, id = await asked.post(first())
    assert status == 200
    if expired:
        await asked.expire(id)
    kept = await asked.get(id)
    body = {name: kept[name] for name in ("id", "matchers", "startsAt", "endsAt", "createdBy", "comment")}
    status, new = await asked.post({**body, **change(kept)})
    before = await asked.get(id)
    if status != 200:
        return status, before["status"]["state"]
    after = await asked.get(new)
    same = sorted(after["matchers"], key=str) == sorted({**body, **change(kept)}["matchers"], key=str)
    started = after["startsAt"][:19] == kept["startsAt"][:19]
    return status, new == id, before["status"]["state"], after["status"]["state"], same, started, after["comment"]


async def test_a_silence_posted_again_keeps_its_id_or_not_as_with_the_real_alertmanager(tmp_path: Path) -> None:
    assert processes.ALERTMANAGER, "Alertmanager is not installed"
    (tmp_path / "am").mkdir()
    async with (
        processes.alertmanager(tmp_path / "am", webhook="http://127.0.0.1:9/", token="x") as theirs,
        Daemon(tmp_path / "ours", CONFIGURATION) as daemon,
    ):
        await daemon.token(role="responder", user="ana")
        headers = {"Authorization": f"Bearer {daemon.bearer}"}
        async with aiohttp.ClientSession() as plain, aiohttp.ClientSession(headers=headers) as signed:
            real, ours = Asked(plain, theirs), Asked(signed, daemon.url)
            names = list(CHANGES)
            wanted = [await outcome(real, *CHANGES[name]) for name in names]
            found = [await outcome(ours, *CHANGES[name]) for name in names]
            nobody = await real.post(silence(at(), at(hours=1), id="00000000-0000-4000-8000-000000000000"))
            nobody_of_ours = await ours.post(silence(at(), at(hours=1), id="00000000-0000-4000-8000-000000000000"))

        assert dict(zip(names, found, strict=True)) == dict(zip(names, wanted, strict=True))
        assert nobody_of_ours == nobody
