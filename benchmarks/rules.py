"""What two hundred rules cost a label set that is new, and one that was seen before."""

from __future__ import annotations

import time
from dataclasses import replace
from statistics import median

from benchmarks.row import Bench, Row, at_most
from tocsin.decide.routing.rules import Rulebook
from tocsin.model import Alert, IntegrationConfig, Rule, RuleSet, Settings

INTEGRATION = IntegrationConfig(name="bench", type="alertmanager")


async def two_hundred_rules(bench: Bench) -> list[Row]:
    """Mixed matchers: equality, inequality and patterns over labels and fields; one rule in ten applies."""
    book = Rulebook(Settings(rules=tuple(_rule(number) for number in range(200))))
    new, repeat = [], []
    for round_number in range(bench.size(7, 3)):
        alerts = [_alert(round_number * 1000 + number) for number in range(1000)]
        new.append(_walk(book, alerts))
        repeat.append(_walk(book, [alerts[-1 - index % 100] for index in range(1000)]))
    return [
        at_most("200 rules, a new label set", median(new), "µs", 60, rounds=new),
        at_most("200 rules, a repeat", median(repeat), "µs", 3, rounds=repeat),
    ]


def _walk(book: Rulebook, alerts: list[Alert]) -> float:
    began = time.perf_counter()
    for alert in alerts:
        book.walk(alert, INTEGRATION)
    return (time.perf_counter() - began) / len(alerts) * 1e6


def _rule(number: int) -> Rule:
    matchers: tuple[str, ...]
    match number % 4:
        case 0:
            matchers = (f'alertname="Alert{number}"', 'env!="test"')
        case 1:
            matchers = (f'instance=~"db-{number % 10}.*"', f'job=~"(api|web)-{number}"')
        case 2:
            matchers = ('severity="critical"', f'team=~"team-{number % 20}|all"')
        case _:
            matchers = (f'cluster=~"eu-.*-{number % 10}"', f'namespace!~"kube-{number}.*"', f'app="app-{number % 30}"')
    return Rule(name=f"rule {number}", match=matchers, set=RuleSet(category=f"category {number}"))


def _alert(number: int) -> Alert:
    labels = {
        "alertname": f"Alert{number % 200}",
        "instance": f"db-{number}.example.org",
        "job": f"api-{number % 50}",
        "severity": "critical",
        "team": f"team-{number % 20}",
        "cluster": f"eu-west-{number % 10}",
        "namespace": "payments",
        "app": f"app-{number % 30}",
    }
    alert = Alert(status="firing", source_key=f"k{number}", severity="critical", title=f"alert {number}")
    return replace(alert, labels=labels, service="checkout")
