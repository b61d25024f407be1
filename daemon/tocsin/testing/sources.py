"""Promises of a source, tried over its own samples and over what strangers send in their place."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any, TypeVar

from tocsin.clock import SeededChance
from tocsin.contracts import Chance, Source
from tocsin.errors import BadBody
from tocsin.model import SEVERITIES, Alert, Instant, IntegrationConfig, Option, Parsed, Secret
from tocsin.testing.world import NOW

T = TypeVar("T")
LONGEST_KEY = 512
NO_BODIES = (
    b"", b"{", b"<xml/>", b"\xff\xfe{}", b'{"a": NaN}', b"42", b'"text"', b"null", b"[]", b"{}", b"\xef\xbb\xbf{}",
    b"[" * 100_000, b'{"a":' * 50_000, b'{"title": ' + b"9" * 5_000 + b"}", "{}".encode("utf-16"),
)  # fmt: skip
IN_PLACE: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1e308,
    "",
    "\x00",
    "\ud800",
    "x" * 5_000,
    [],
    {},
    [[]],
    {"a": {"b": []}},
)


def integration(type: str, **options: Any) -> IntegrationConfig:
    """A configured integration of this type, called "mine", with the token "token"."""
    return IntegrationConfig("mine", type, Secret(("token",)), options)


def check_source(
    source: Source,
    config: IntegrationConfig,
    *,
    samples: Iterable[bytes],
    headers: Mapping[str, str] | None = None,
    now: Instant = NOW,
    rounds: int = 300,
    seed: int = 1,
) -> None:
    """Hold a source to what `tocsin.contracts.Source` promises; AssertionError with every broken promise.

    Each of `samples`, bodies as the tool sends them, must give an alert. Then `rounds` times one of them has a value
    taken out or replaced, or is cut: that gives alerts that are well-formed, or BadBody, and never another error.
    """
    troubles = list(kind_troubles(source.type, source.title, source.options))
    bodies = list(samples)
    for number, raw in enumerate(bodies, 1):
        parsed, trouble = _parsed(source, raw, headers or {}, config, now)
        if trouble or parsed is None:
            troubles.append(f"sample {number}: {trouble or 'refused'}")
        elif not parsed.alerts:
            troubles.append(f"sample {number}: gives no alert")
    for raw in (*NO_BODIES, *spoilt(bodies, rounds, seed)):
        _, trouble = _parsed(source, raw, headers or {}, config, now)
        if trouble:
            troubles.append(f"{trouble}, for {_shown(raw)}")
    raise_all(source.type, troubles)


def _parsed(
    source: Source, raw: bytes, headers: Mapping[str, str], config: IntegrationConfig, now: Instant
) -> tuple[Parsed | None, str]:
    try:
        first = source.parse(raw, headers, config, now)
        again = source.parse(raw, headers, config, now)
    except BadBody as refused:
        return None, "" if refused.detail else "BadBody without a word of why"
    except Exception as error:  # noqa: BLE001  # any other error is the broken promise itself
        return None, f"raises {type(error).__name__}: {str(error)[:120]}"
    if first != again:
        return first, "the same bytes are read in two ways"
    return first, "; ".join(trouble for alert in first.alerts for trouble in alert_troubles(alert))


def alert_troubles(alert: Alert) -> Iterator[str]:
    """Troubles of an alert as a source gave it; none where it is well-formed."""
    texts = {"title": alert.title, "description": alert.description, "source": alert.source, "service": alert.service}
    for name, text in texts.items():
        if not (isinstance(text, str) or (name == "service" and text is None)):
            yield f"{name} is {type(text).__name__}, not text"
    if not all(type(part) is str for pair in alert.labels.items() for part in pair):
        yield "labels are not all text"
    if alert.severity not in (None, *SEVERITIES):
        yield f"severity {alert.severity!r} is none of {', '.join(SEVERITIES)}; None leaves it to the rules"
    if alert.source_key is not None and not 0 < len(alert.source_key) <= LONGEST_KEY:
        yield f"source_key has {len(alert.source_key)} characters, not 1 to {LONGEST_KEY}"
    if alert.status == "firing" and not alert.title:
        yield "a firing alert has no title"
    for name in ("started_at", "ended_at", "expires_at"):
        at = getattr(alert, name)
        if at is not None and (type(at) is not int or at <= 0):
            yield f"{name} is {at!r}, not whole milliseconds since 1970"


def kind_troubles(type_: str, title: str, options: Mapping[str, Option]) -> Iterator[str]:
    """Troubles in how a source or channel describes itself; messages, schema and manual are made of that."""
    if not (isinstance(type_, str) and type_.replace("_", "").isalnum() and type_ == type_.lower()):
        yield f"type {type_!r} is not lower-case letters, digits and underscores"
    if not title:
        yield "it has no title"
    yield from (f"option {name} has no help" for name, option in options.items() if not option.help)
    yield from (
        f"option {name} is a choice without choices"
        for name, option in options.items()
        if option.kind == "choice" and not option.choices
    )


def spoilt(bodies: list[bytes], rounds: int, seed: int) -> Iterator[bytes]:
    """Bodies with something wrong in each, the same ones for the same seed."""
    chance = SeededChance(seed)
    for _ in range(rounds if bodies else 0):
        raw = _one_of(bodies, chance)
        try:
            document = json.loads(raw)
        except ValueError:
            document = None
        if not isinstance(document, dict | list) or chance.fraction() < 0.1:
            yield raw[: int(chance.fraction() * (len(raw) + 1))]
        else:
            for _ in range(_one_of((1, 2, 3), chance)):
                _spoil(document, chance)
            yield json.dumps(document).encode()


def _spoil(document: Any, chance: Chance) -> None:
    """Take out, replace or double one value somewhere inside."""
    places = list(_places(document))
    if not places:
        return
    holder, key = _one_of(places, chance)
    match _one_of(range(3), chance):
        case 0:
            del holder[key]
        case 1:
            holder[key] = deepcopy(_one_of(IN_PLACE, chance))
        case _:
            holder[key] = [holder[key], deepcopy(holder[key])]


def _one_of(things: Sequence[T], chance: Chance) -> T:
    return things[int(chance.fraction() * len(things))]


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in list(keys):
        yield value, key
        yield from _places(value[key])


def _shown(raw: bytes) -> str:
    return repr(raw if len(raw) <= 200 else raw[:200] + b"...")


def raise_all(type_: str, troubles: list[str]) -> None:
    """Raise one AssertionError for all broken promises, each once."""
    if troubles:
        raise AssertionError(f"{type_} breaks what it promises:\n- " + "\n- ".join(dict.fromkeys(troubles)))
