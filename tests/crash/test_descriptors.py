"""Few descriptors, many idle connections: posts are answered and pages go out all the same."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest

from tests.crash.sink import Sink
from tests.daemon import Daemon, until
from tests.vendors.smtp import PretendMailServer
from tests.vendors.twilio import ACCOUNT, NUMBER, TOKEN, PretendTwilio

pytestmark = pytest.mark.slow
ANA = "+351210000001"
FEW = 256  # descriptors
CONFIGURATION = f"""
server: {{listen: "127.0.0.1:{{port}}", public_url: "http://127.0.0.1:{{port}}"}}
database: {{url: "{{database}}"}}
catch_all: [user:ana]
defaults: {{policy: default}}
integrations: {{shop: {{type: webhook, token: shop-token}}}}
channels:
  sms: {{type: twilio_sms, account_sid: {ACCOUNT}, auth_token: {TOKEN}, from: "{NUMBER}", api_base: "{{twilio}}"}}
  voice: {{type: twilio_voice, account_sid: {ACCOUNT}, auth_token: {TOKEN}, from: "{NUMBER}", api_base: "{{twilio}}"}}
  mail: {{type: smtp, host: localhost, port: {{smtp}}, security: none, from: tocsin@example.org}}
  hook: {{type: webhook, url: "{{hook}}", allow_private: true}}
users:
  ana:
    name: Ana Pires
    timezone: Europe/Lisbon
    contacts: {{sms: "{ANA}", voice: "{ANA}", mail: ana@example.org}}
    notify: {{high: [{{by: [sms, voice, mail]}}]}}
policies: {{default: {{steps: [{{notify: [user:ana, channel:hook], wait: 5m}}]}}}}
services: {{till: {{impact: high}}}}
"""


@pytest.fixture
def sockets() -> Iterator[list[socket.socket]]:
    """Connections of this process, which may need as many descriptors as it can have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    opened: list[socket.socket] = []
    yield opened
    for one in opened:
        one.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_with_its_descriptors_taken_by_idle_connections_posts_are_answered_and_pages_go_out(
    tmp_path: Path, sockets: list[socket.socket]
) -> None:
    sink, mail = Sink(1, moods={"200": 1}), PretendMailServer()
    await mail.start()
    async with PretendTwilio() as twilio, sink, AsyncExitStack() as over:
        over.push_async_callback(mail.stop)
        configuration = CONFIGURATION.replace("{twilio}", twilio.url).replace("{hook}", sink.url)
        daemon = Daemon(
            tmp_path, configuration.replace("{smtp}", str(mail.port)),
            env={"PYTHONPROFILEIMPORTTIME": "1"}, under=("prlimit", f"--nofile={FEW}:{FEW}"),
        )  # fmt: skip
        async with daemon:
            await daemon.token(user="ana")
            said = len(daemon.log)
            sockets += [connect(daemon.port, half_a_head=number % 2 == 0) for number in range(1_500)]
            alert = {"title": "tills down", "dedup_key": "t", "severity": "critical", "service": "till"}

            for _ in range(20):
                status, _ = await daemon.ask("POST", "/v1/webhooks/shop", alert, bearer="shop-token")
                assert status == 202
            sms, call = await twilio.next_sms(ANA, within=20), await twilio.next_call(ANA, within=20)
            await until(lambda: mail.mails, within=20, what="the mail")
            await until(lambda: sink.calls, within=20, what="the webhook")
            await until(lambda: settled(daemon), within=20, what="every page's outcome")

            assert "tills down" in sms.body
            assert call.to == ANA
            assert len(os.listdir(f"/proc/{daemon.pid}/fd")) < FEW
            assert imported(daemon.log[said:]) == [], "everything that sending needs is there from the start"


async def settled(daemon: Daemon) -> bool:
    """Whether every page was accepted at its first attempt; an unknown one fails."""
    pages = (await daemon.get("/v1/incidents/1/pages"))["pages"]
    outcomes = [attempt["outcome"] for page in pages for attempt in page["attempts"]]
    assert "unknown" not in outcomes, pages
    return len(outcomes) >= 4 and set(outcomes) == {"accepted"}


def imported(log: str) -> list[str]:
    return [line.rpartition("|")[2].strip() for line in log.splitlines() if line.startswith("import time:")]


def connect(port: int, *, half_a_head: bool) -> socket.socket:
    """A connection on which nothing more comes."""
    one = socket.create_connection(("127.0.0.1", port), timeout=5)
    if half_a_head:
        with suppress(OSError):
            one.sendall(b"POST /v1/webhooks/shop HTTP/1.1\r\nHost: t")
    return one
