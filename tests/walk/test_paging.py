"""Who is paged, when, and what follows when nobody answers."""

from __future__ import annotations

from tests.walk.town import Town


async def test_an_unanswered_page_goes_to_the_second_person_after_five_minutes(town: Town) -> None:
    await town.alert("db down")
    assert town.pages == ["0m ana sms"]
    assert town.phones["ana"].texts[0].startswith("INC 1 P2 db down. Reply ACK 1 https://tocsin.example.org/a/")

    await town.pass_time(minutes=4.9)
    assert town.pages == ["0m ana sms"]

    await town.pass_time(minutes=0.1)
    assert town.pages == ["0m ana sms", "5m bo sms"]
