"""Testing kit for sources and channels of your own: the promises they are held to, and a world to try them in.

    from tocsin.testing import check_channel, check_source, integration

    def test_the_source_keeps_its_promises():
        check_source(SOURCE, integration("mytool"), samples=[SAMPLE])

    async def test_the_channel_keeps_its_promises():
        await check_channel(CHANNEL, {"url": "https://pager.example.org"})

Both raise AssertionError that lists every broken promise at once. No test framework is needed, no network is touched,
and time stands still. docs/plug-ins.md has a whole plug-in with its tests.
"""

from __future__ import annotations

from tocsin.testing.channels import check_channel
from tocsin.testing.sources import alert_troubles, check_source, integration
from tocsin.testing.world import NOW, CountingGate, PretendHttp, PretendMail, Request, attempt, message, tools

__all__ = [
    "NOW",
    "CountingGate",
    "PretendHttp",
    "PretendMail",
    "Request",
    "alert_troubles",
    "attempt",
    "check_channel",
    "check_source",
    "integration",
    "message",
    "tools",
]
