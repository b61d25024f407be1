"""Phone numbers are E.164; what is not says what to write, and a landline is no place for an SMS."""

from __future__ import annotations

import pytest

from tests.settings.conftest import Folder
from tocsin.settings.sections.phones import region_of

TWILIO = "account_sid: AC1, auth_token: t, from: +15005550006"
CHANNELS = f"channels: {{sms: {{type: twilio_sms, {TWILIO}}}, voice: {{type: twilio_voice, {TWILIO}}}}}"


def config(contacts: str, *, zone: str = "", default: str = "UTC") -> str:
    user = f"{{{f'timezone: {zone}, ' if zone else ''}contacts: {contacts}}}"
    return f"{CHANNELS}\ncatch_all: [user:ana]\ndefaults: {{timezone: {default}}}\nusers:\n  ana: {user}\n"


NATIONAL = "is not an international phone number; begin with + and the country code, as in +351912345678"


@pytest.mark.parametrize(
    ("number", "zone", "default", "written"),
    [
        ("06 12 34 56 78", "Europe/Paris", "UTC", "; write +33612345678"),
        ("06 12 34 56 78", "", "Europe/Paris", "; write +33612345678"),
        ("07400 123456", "Europe/London", "Europe/Paris", "; write +447400123456"),
        ("(202) 555-0123", "America/New_York", "UTC", "; write +12025550123"),
        ("06 12 34 56 78", "", "UTC", ""),  # no country to guess
        ("12", "Europe/Paris", "UTC", ""),  # no number of that country
    ],
)
def test_a_national_number_is_refused_with_the_number_to_write(
    folder: Folder, number: str, zone: str, default: str, written: str
) -> None:
    errors = folder.errors(config(f"{{sms: '{number}'}}", zone=zone, default=default))

    assert [error.partition(": ")[2] for error in errors] == [f"sms: '{number}' {NATIONAL}{written}"]


def test_the_zone_of_one_person_says_nothing_of_the_next(folder: Folder) -> None:
    errors = folder.errors(
        f"{config('{sms: +33612345678}', zone='Europe/Paris')}  bo: {{contacts: {{sms: '06 12 34 56 79'}}}}\n"
    )

    assert errors == [f"6:24: sms: '06 12 34 56 79' {NATIONAL}"]


def test_a_number_nobody_has_been_given_is_a_warning(folder: Folder) -> None:
    loaded = folder.write({"tocsin.yaml": config("{sms: +15551234567}")}).load()

    assert loaded.settings is not None
    assert folder.said(loaded, "warning") == [
        "tocsin.yaml:5:25: sms: +15551234567: no such number was given out, as far as is known here; is a digit wrong?"
    ]


@pytest.mark.parametrize(
    ("contacts", "warned"),
    [
        ("{sms: +33145678901}", ["sms: +33145678901 is a landline, which takes no SMS; use a voice channel for it"]),
        ("{voice: +33145678901}", []),
        ("{sms: +33612345678}", []),
        ("{sms: +12025550123}", []),  # in America the number does not tell
    ],
)
def test_an_sms_to_a_landline_is_warned_of_where_the_number_tells(
    folder: Folder, contacts: str, warned: list[str]
) -> None:
    loaded = folder.write({"tocsin.yaml": config(contacts)}).load()

    assert [problem.message for problem in loaded.problems if problem.code == "landline"] == warned


@pytest.mark.parametrize(("zone", "country"), [("Europe/Paris", "FR"), ("Asia/Kolkata", "IN"), ("UTC", ""), ("", "")])
def test_a_zone_lies_in_a_country(zone: str, country: str) -> None:
    assert region_of(zone) == country
