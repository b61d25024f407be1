"""Configurations that somebody broke: each value and entry of a file replaced, removed, doubled, cut off."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

import yaml

DEEP = "(" * 200 + "1" + ")" * 200
CHAIN = " | upper" * 1_500

VALUES = (
    "", "~", '""', '" "', "never", '"never"', "'never'", "true", "0", "-1", "1", "1e400", "0x10", ".inf", ".nan",
    "9" * 400, '"' + "9" * 5_000 + '"', '"' + "x" * 20_000 + '"', '"' + "+" * 300 + '"', '"' + "1" * 300 + '"',
    "[]", "{}", "[[]]", "[{}, []]", "[~]", "{a: b}", "{a: {b: c}}", "[a, a]", "{? [a] : b}", "*a", "&a b", "!!int 1", "<<",
    '"\\0"', '"\\u2028"', '"\\u202e"', '"\\uFEFF"', '"\\U0001F600"', '"\\ud83d\\ude00"', '"\\ud800"', '"a\\nb"', '"\\u0131"',
    "0s", "-5m", "1m1m", f"{'9' * 30}d", "1000y", "100y", "36500d", "1ms", "0.5s", "1mo", "9999mo", "9999w", "0/1m", "1/0s", "1/100y",
    "9999-12-31 23:59", "0001-01-01 00:00", "9999-12-31", "0001-01-01", "2026-02-30", "2026-13-01 00:00", "2026-03-29 02:30",
    "2026-01-05 24:00", "2026-01-05T09:00:00Z", "00:00", "24:00", "Mon", "Monday 02:00", "Sun 02:00", "Sun-Mon 23:59", "Sun-", "-",
    "[Mon, Mon-Sun]", "* * * * *", "0 0 30 2 *", "*/0 * * * *", "99 99 * * *",
    "UTC", "Europe", "/etc/localtime", "../UTC", "Etc/GMT+12", "Pacific/Kiritimati", '"' + "A/" * 3_000 + '"',
    "user:", "user:ana", "user:ana/", "user:ana/sms", "user:eve/hook", "schedule:primary@", "schedule:primary@next", "schedule:secondary",
    "team:payments@oncall", "managers:payments", "channel:", "channel:chat", "channel:terminal", "channel:hook", "[channel:chat]", "[channel:terminal]",
    "/", ".", "..", "/dev/null", "/dev/zero", "/dev/full", "nowhere", "shipped:rules/nothing.yaml", "shipped:../x", '"[!"', '"*"',
    "{file: /dev/zero}", "{file: /}", "{env: HOME}", "{env: }", "{file: a, env: b}", '{file: "a\\0b"}', "[{file: nowhere}]",
    "https://[", "https://[::1", "http://x:99999", "http://x:0x1", "https://\u2100.example", "https://user:pass@example.org/?q#f", "webcal://", "http://127.0.0.1",
    "127.0.0.1:0", "[::1]:99999", f"{'a' * 300}.example:80", '"..:80"', "0.0.0.0/0", "::/0", "10.0.0.1/8",
    "+", "+1", "+351912345678", '"+1 (500) 555-0006;ext=99999999"', "+999999999999999", '"+\\u0661\\u0662"', "a@b", "@", "a@" + "b" * 300,
    '"{{"', '"{%"', '"{{ }}"', '"{{ labels }}"', '"{{ labels.a.b.c }}"', '"{{ 1/0 }}"', '"{{ 9 ** 999999 }}"', f'"{{{{ {DEEP} }}}}"', f'"{{{{ title{CHAIN} }}}}"',
    f'"{{{{ {"[" * 90}{"]" * 90} }}}}"', f'"{{{{ {"not " * 900}title }}}}"', f'"{{{{ {"-" * 3_000}1 }}}}"', f'"{{{{ title{" ~ title" * 3_000} }}}}"', f'"{{{{ title{" + title" * 3_000} }}}}"',
    '"' + "{% if title %}" * 300 + "{% endif %}" * 300 + '"', '"' + "{% for a in labels %}" * 30 + "{% endfor %}" * 30 + '"', '"{% set a = b %}"', "\"{{ '%s' % labels }}\"",
    f'"{{{{ title{".x" * 3_000} }}}}"', f'"{{{{ title{"[0]" * 3_000} }}}}"', f'"{{{{ title{" if title else title" * 1_000} }}}}"', '"{{ title | replace(\'\', title) }}"',
    "'a=~\"(\"'", f"'a=~\"{'(' * 2_000}\"'", f"'a=~\"{'(' * 2_000}{')' * 2_000}\"'", "'a=~\"a{1000}{1000}\"'", "'a=~\"[\"'", "'a=~\"\\\\\"'", "'a=b,c=d'", "'=a'", "'a'", "'{a=b'",
    "'a=~\"(?i)\\\\pL{300}\"'", "'a=~\".*.*.*.*.*.*x\"'", "\"a=~\\u201cx\\u201d\"", "'\"a\"=b'",
    f'"{DEEP}"', f"\"{'a.' * 3_000}a\"", f"\"{'!' * 1_500}true\"", f"\"{'-' * 1_500}1\"", f"\"{'[' * 90}{']' * 90}\"", f"\"{'a[?' * 900}\"", f"\"{'true?1:' * 250}1\"", '"1 / 0"', '"labels.all(a, a.all(b, true))"',
    "\"'a'.matches('(')\"", f"\"true{' && true' * 250}\"", f"\"{'a || ' * 900}a\"", f"\"{'a | ' * 900}a\"", '"`"', '"`{"', "\"join(',', [a\"", '"sort_by(@, &a)"', '"@"', '"*.*.*"',
)  # fmt: skip


class Broken(NamedTuple):
    """A text in which somebody wrote `value` in place of what stands from `start` to `end`, and how to call that."""

    source: str
    start: int
    end: int
    value: str
    what: str

    @property
    def text(self) -> str:
        return self.source[: self.start] + self.value + self.source[self.end :]

    @property
    def how(self) -> str:
        line = self.source.count("\n", 0, self.start) + 1
        return f"line {line}, {self.source[self.start : self.end][:40]!r}: {self.what}"


class Span(NamedTuple):
    """From one character of the text to another; `entry`: with its key."""

    start: int
    end: int
    entry: bool


def spans(text: str) -> list[Span]:
    """Every value of a YAML text, and every entry: scalars, lists and mappings, with and without their keys."""
    top = yaml.compose(text, Loader=yaml.SafeLoader)
    return list(_below(top)) if top is not None else []


def _below(node: yaml.Node) -> Iterator[Span]:
    yield Span(node.start_mark.index, node.end_mark.index, entry=False)
    match node:
        case yaml.MappingNode(value=pairs):
            for key, value in pairs:
                yield Span(key.start_mark.index, value.end_mark.index, entry=True)
                yield Span(key.start_mark.index, key.end_mark.index, entry=False)
                yield from _below(value)
        case yaml.SequenceNode(value=items):
            for item in items:
                yield from _below(item)


def replaced(text: str, values: tuple[str, ...] = VALUES) -> Iterator[Broken]:
    """Each value, and each key, by each of `values`."""
    for span in spans(text):
        if not span.entry:
            for value in values:
                yield Broken(text, span.start, span.end, value, f"is {value[:60]}")


def moved(text: str) -> Iterator[Broken]:
    """Each value removed, doubled, cut off before, inside and behind."""
    for start, end, _ in spans(text):
        here, column, middle = text[start:end], start - (text.rfind("\n", 0, start) + 1), (start + end) // 2
        yield Broken(text, start, end, "", "is removed")
        yield Broken(text, start, end, f"{here}, {here}", "is written twice, with a comma")
        yield Broken(text, start, end, f"{here}\n{' ' * column}{here}", "is written twice, in lines")
        yield Broken(text, start, len(text), "", "the file ends before it")
        yield Broken(text, middle, len(text), "", "the file ends within it")
        yield Broken(text, end, len(text), "\n", "the file ends behind it")


def exchanged(text: str, chance: random.Random, count: int) -> Iterator[Broken]:
    """Some values by other values of the same file."""
    every = [span for span in spans(text) if span.start > 0]
    for _ in range(count):
        span, other = chance.choice(every), chance.choice(every)
        there = text[other.start : other.end]
        yield Broken(text, span.start, span.end, there, f"is {there[:60]!r}")
