"""Real peers as child processes: Debian's Prometheus and Alertmanager, each on a free port with its files in a folder."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from tests.daemon import free_port, until

PROMETHEUS = shutil.which("prometheus")
ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")

RULES = """
groups:
  - name: shop
    interval: 1s
    rules:
      - alert: TillsDown
        expr: shop_tills_up == 0
        labels: {severity: critical, service: checkout}
        annotations: {summary: "no till answers in {{ $labels.store }}", runbook_url: "https://runbooks.example.org/tills"}
"""


@asynccontextmanager
async def prometheus(folder: Path, *, target: str, alertmanager: str) -> AsyncIterator[str]:
    """Scrapes `target` (host:port) each second and tells `alertmanager` (host:port); yields its own URL."""
    port = free_port()
    _write(folder, "rules.yml", RULES)
    _write(
        folder,
        "prometheus.yml",
        f"""
global: {{scrape_interval: 1s, scrape_timeout: 900ms, evaluation_interval: 1s}}
rule_files: [rules.yml]
scrape_configs:
  - {{job_name: shop, static_configs: [{{targets: ["{target}"]}}]}}
alerting:
  alertmanagers:
    - {{static_configs: [{{targets: ["{alertmanager}"]}}]}}
""",
    )
    words = (
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--rules.alert.resend-delay=5s",
    )
    async with _peer(PROMETHEUS, words, folder, f"http://127.0.0.1:{port}") as url:
        yield url


@asynccontextmanager
async def alertmanager(folder: Path, *, webhook: str, token: str) -> AsyncIterator[str]:
    """Passes every alert on to `webhook` at once; yields its URL."""
    port = free_port()
    _write(
        folder,
        "alertmanager.yml",
        f"""
route: {{receiver: tocsin, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}
receivers:
  - name: tocsin
    webhook_configs:
      - url: {webhook}
        send_resolved: true
        http_config: {{authorization: {{type: Bearer, credentials: {token}}}}}
""",
    )
    words = (
        f"--config.file={folder}/alertmanager.yml",
        f"--storage.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    )
    async with _peer(ALERTMANAGER, words, folder, f"http://127.0.0.1:{port}") as url:
        yield url


def _write(folder: Path, name: str, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


@asynccontextmanager
async def _peer(program: str | None, words: tuple[str, ...], folder: Path, url: str) -> AsyncIterator[str]:
    assert program is not None, "the peer is not installed"
    log = folder / "log"
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(program, *words, stdout=out, stderr=out, cwd=folder)
    try:
        await until(lambda: _ready(url, process, log), within=20, what=f"{program} to be ready at {url}")
        yield url
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _ready(url: str, process: asyncio.subprocess.Process, log: Path) -> bool:
    if process.returncode is not None:
        raise AssertionError(f"it ended with {process.returncode}:\n{_tail(log)}")
    try:
        async with aiohttp.ClientSession() as session, session.get(f"{url}/-/ready") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-3000:]
