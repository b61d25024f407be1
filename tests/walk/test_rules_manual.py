"""The examples of docs/rules.md, told as stories: a block of YAML, and below it what happens, minute by minute."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from tests.walk.conftest import Build
from tests.walk.town import Town

MANUAL = Path(__file__).parents[2] / "docs" / "rules.md"
STORY = re.compile(
    r"^### ([^\n]+)\n(?:(?!^#).)*?```yaml\n(.*?)```\n\n((?:```\w+ \S+\n.*?```\n\n)*)```story\n(.*?)```",
    re.DOTALL | re.MULTILINE,
)
FILE = re.compile(r"```\w+ (\S+)\n(.*?)```", re.DOTALL)
STORIES = {found[1]: found for found in STORY.finditer(MANUAL.read_text(encoding="utf-8"))}


def test_every_story_of_the_manual_is_told() -> None:
    assert len(STORIES) == MANUAL.read_text(encoding="utf-8").count("```story") >= 7


@pytest.mark.parametrize("name", STORIES)
async def test_the_manual_says_what_happens(name: str, build: Build, tmp_path: Path) -> None:
    _, rules, files, story = STORIES[name].groups()
    for file, content in FILE.findall(files):
        (tmp_path / "town0").mkdir(exist_ok=True)
        (tmp_path / "town0" / file).write_text(content)
        (tmp_path / "town0" / file).chmod(0o600)
    town = await build(rules + "throttle: {sms: [100/1m]}\n")
    told = 0
    for line in story.splitlines():
        await tell(town, line, told)
        told = len(town.pages)


async def tell(town: Town, line: str, told: int) -> None:
    """`2m fires a host=web-1 → no incident`: a time, something that happens, and what is then the case.

    `told`: how many pages there were at the line before.
    """
    happens, _, then = line.partition("→")
    at, *words = shlex.split(happens)
    await town.pass_time(seconds=minutes(at) * 60 - (town.clock.now() - town.start) / 1000)
    match words:
        case ["fires", key, *labels]:
            pairs = dict(label.split("=", 1) for label in labels)
            severity = pairs.pop("severity", "critical")
            await town.alert(pairs.pop("title", key), severity, key=key, labels=pairs)
        case ["resolves", *keys]:
            for key in keys:
                await town.clear("", key=key)
        case []:
            pass
        case _:
            raise AssertionError(f"this story cannot be told: {line}")
    for fact in filter(None, map(str.strip, then.split(","))):
        assert await holds(town, fact, town.pages[told:]), (
            f"{line!r}: {fact!r} is not so: {town.pages} {await town.incidents()}"
        )


def minutes(text: str) -> float:
    number, unit = float(text[:-1]), text[-1]
    return number * {"s": 1 / 60, "m": 1, "h": 60}[unit]


async def holds(town: Town, fact: str, paged: list[str]) -> bool:
    incidents = await town.incidents()
    last = incidents[-1] if incidents else None
    match fact.split(" "):
        case ["no", "incident"]:
            return last is None
        case ["nobody", "is", "paged"]:
            return not paged
        case [user, "is", "paged"]:
            return [line.split(" ")[1] for line in paged] == [user]
        case ["nobody", "was", "paged"]:
            return not town.pages
        case [user, "was", "paged", "once"]:
            return [line.split(" ")[1] for line in town.pages] == [user]
        case [count, "incidents" | "incident"]:
            return len(incidents) == int(count)
        case [count, "alerts", "in", "it"]:
            return last is not None and last.total == int(count)
        case ["it", "is", status]:
            return last is not None and last.status == status
        case [field, "is", *words]:
            wanted = " ".join(words)
            if last is None:
                return False
            if field.startswith("label."):
                return (await town.alerts_of(last.number))[0].labels.get(field[6:]) == wanted
            return str(getattr(last, field)) == wanted
        case _:
            raise AssertionError(f"this is no fact: {fact}")


def test_every_block_of_yaml_is_yaml() -> None:
    for block in re.findall(r"```yaml\n(.*?)```", MANUAL.read_text(encoding="utf-8"), re.DOTALL):
        assert isinstance(yaml.safe_load(block), dict)
