"""The schedules' pages, and acting from them: signed in, from our own page, or not at all."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.web.conftest import Client
from tests.web.real import running
from tests.web.test_whole import CONFIGURATION
from tocsin.model import DAY, Instant, rfc3339
from tocsin.wiring import Daemon
from tocsin.work.runtime import InForce

HTTP_ONLY = CONFIGURATION.replace(', public_url: "https://tocsin.larkspur.example"', "")
BO_STEPS_IN = {"user": "bo", "mode": "replace", "replaces": "ana", "from": "2040-01-02T10:00", "to": "2040-01-02T11:00",
               "reason": "<dentist>"}  # fmt: skip
ADD = "/schedules/primary/overrides"


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    async with running(tmp_path, HTTP_ONLY) as daemon:
        yield daemon


async def token(daemon: Daemon, role: Any = "responder", user: str | None = "ana", name: str = "browser") -> str:
    return (await daemon.access.create(name, role, user))[1]


async def signed_in(client: Client, daemon: Daemon, **whose: Any) -> str:
    """Sign in; the hidden field of the forms."""
    given = {"token": await token(daemon, **whose), "next": "/schedules/primary"}
    answer = await client.post("/login", data=given, allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (303, "/schedules/primary")
    return form_of(await (await client.get("/schedules/primary")).text())


def basic(bearer: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"ana:{bearer}".encode()).decode()}


def form_of(text: str) -> str:
    found = re.search(r'name="form" value="([^"]+)"', text)
    return found[1] if found else ""


async def made(daemon: Daemon) -> list[Any]:
    return await daemon.overrides.list("primary")


# --------------------------------------------------------------------------------------- the pages


async def test_what_a_calendar_does_not_say_plainly_stands_on_the_pages(client: Client, daemon: Daemon) -> None:
    await signed_in(client, daemon)
    runtime, note = daemon.runtime, "line 8: the event '<b>' has no usable start, and is left out"
    primary = replace(runtime.settings.schedules["primary"], feed_notes=(note, "line 9: x"))
    settings = replace(runtime.settings, schedules={**runtime.settings.schedules, "primary": primary})
    runtime.live = InForce(settings, runtime.live.rulebook, runtime.live.sources)
    page, pages = [await (await client.get(path)).text() for path in ("/schedules/primary", "/schedules")]

    assert "line 8: the event &#39;&lt;b&gt;&#39; has no usable start, and is left out" in page
    assert "2 things of its calendar" in pages


async def test_an_override_is_added_and_removed_by_forms_without_script(client: Client, daemon: Daemon) -> None:
    form = await signed_in(client, daemon)
    answer = await client.post(ADD, data={"form": form, **BO_STEPS_IN}, allow_redirects=False)
    [one] = await made(daemon)
    page = await (await client.get("/schedules/primary")).text()

    assert (answer.status, answer.headers["Location"]) == (303, "/schedules/primary")
    assert (one.users, one.replaces, one.author, one.reason) == (("bo",), "ana", "ana", "<dentist>")
    assert "Bo Lund for Ana Pires" in page
    assert "Mon 02 Jan 2040 10:00 until Mon 02 Jan 2040 11:00" in page
    assert "made by Ana Pires: &lt;dentist&gt;" in page
    assert "<script" not in page

    gone = await client.post(f"{ADD}/{one.id}/remove", data={"form": form}, allow_redirects=False)

    assert gone.status == 303
    assert await made(daemon) == []


async def test_who_steps_in_now_is_marked_in_the_table(client: Client, daemon: Daemon) -> None:
    form = await signed_in(client, daemon)
    before = await (await client.get("/schedules/primary")).text()
    assert "override</span>" not in before
    added = await client.post(ADD, data={"form": form, "user": "bo", "to": in_two_days(daemon)})

    page = await added.text()
    assert "<h1>primary: Bo Lund</h1>" in page
    assert '<span class="mark">override</span>' in page
    assert "Bo Lund" in await (await client.get("/")).text()
    assert "Bo Lund" in await (await client.get("/schedules")).text()


def in_two_days(daemon: Daemon) -> str:
    return rfc3339(Instant(daemon.clock.now() // 60_000 * 60_000 + 2 * DAY))[:16]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"to": "2040-01-02T09:00"}, "it ends before it starts"),
        ({"to": ""}, "say when it ends"),
        ({"user": ""}, "say who: user or users"),
        ({"user": "bu"}, "no such user &#39;bu&#39;"),
        ({"mode": "swap"}, "&#39;swap&#39; is none of replace, add, remove"),
        ({"from": "soon"}, "&#39;soon&#39; is not a time"),
    ],
)
async def test_what_is_wrong_is_said_and_the_form_keeps_what_was_written(
    client: Client, daemon: Daemon, change: dict[str, str], said: str
) -> None:
    form = await signed_in(client, daemon)

    answer = await client.post(ADD, data={"form": form, **BO_STEPS_IN, **change})

    text = await answer.text()
    assert answer.status == 422
    assert said in text
    assert 'value="&lt;dentist&gt;"' in text
    assert await made(daemon) == []


async def test_there_is_no_such_schedule_and_no_such_override(client: Client, daemon: Daemon) -> None:
    form = await signed_in(client, daemon)

    assert (await client.get("/schedules/none")).status == 404
    assert (await client.post("/schedules/none/overrides", data={"form": form, **BO_STEPS_IN})).status == 404
    answer = await client.post(f"{ADD}/none/remove", data={"form": form})
    assert answer.status == 404
    assert "there is no override &#39;none&#39;" in await answer.text()


# ------------------------------------------------------------------------------------- who may act


async def test_without_a_session_a_page_has_no_form_and_takes_none(client: Client, daemon: Daemon) -> None:
    page = await (await client.get("/schedules/primary")).text()
    answer = await client.post(ADD, data=BO_STEPS_IN)

    assert "<form" not in page
    assert 'href="/login?next=/schedules/primary"' in page
    assert answer.status == 401
    assert "Nothing was changed." in await answer.text()


async def test_a_password_that_the_browser_adds_acts_on_nothing(client: Client, daemon: Daemon) -> None:
    answer = await client.post(ADD, data=BO_STEPS_IN, headers=basic(await token(daemon)))

    assert answer.status == 401
    assert await made(daemon) == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Origin": "http://{host}", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "http://{host}"}, 303),
        ({"Origin": "http://{host}", "Sec-Fetch-Site": "same-origin"}, 303),
    ],
)
async def test_a_form_of_another_site_is_refused(
    client: Client, daemon: Daemon, headers: dict[str, str], status: int
) -> None:
    form = await signed_in(client, daemon)
    headers = {name: value.format(host=f"127.0.0.1:{client.port}") for name, value in headers.items()}

    answer = await client.post(ADD, data={"form": form, **BO_STEPS_IN}, headers=headers, allow_redirects=False)
    sign_in = await client.post("/login", data={"token": "x"}, headers=headers)

    assert answer.status == status
    assert len(await made(daemon)) == (status == 303)
    assert ("another site" in await sign_in.text()) == (status == 403)


async def test_a_form_without_the_sessions_own_mark_is_refused(client: Client, daemon: Daemon) -> None:
    older = await signed_in(client, daemon)
    await signed_in(client, daemon, name="again")

    for form in (older, "", "made up", "x" * 600):
        assert (await client.post(ADD, data={"form": form, **BO_STEPS_IN})).status == 403
    assert await made(daemon) == []


async def test_a_viewer_may_look_and_no_more(client: Client, daemon: Daemon) -> None:
    assert await signed_in(client, daemon, role="viewer") == ""
    form = form_of(await (await client.get("/login")).text())

    assert (await client.post(ADD, data={"form": form, **BO_STEPS_IN})).status == 403
    assert await made(daemon) == []


# --------------------------------------------------------------------------------------- sessions


async def test_the_cookie_is_for_our_pages_alone(client: Client, daemon: Daemon) -> None:
    answer = await client.post("/login", data={"token": await token(daemon)}, allow_redirects=False)

    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "Max-Age=43200" in cookie
    assert "Path=/" in cookie
    assert "Secure" not in cookie
    assert answer.headers["Location"] == "/"


async def test_under_https_the_cookie_is_secure_and_of_this_host(client: Client, daemon: Daemon) -> None:
    (daemon.loaded.main).write_text(CONFIGURATION)
    await daemon.reload()

    answer = await client.post("/login", data={"token": await token(daemon)}, allow_redirects=False)

    assert answer.headers["Set-Cookie"].startswith("__Host-tocsin_session=")
    assert "Secure" in answer.headers["Set-Cookie"]
    looked = await client.get("/schedules")  # this client sends no secure cookie over http
    assert looked.status == 401
    value = answer.cookies["__Host-tocsin_session"].value
    assert (await client.get("/schedules", headers={"Cookie": f"__Host-tocsin_session={value}"})).status == 200


async def test_a_revoked_token_ends_its_sessions(client: Client, daemon: Daemon) -> None:
    form = await signed_in(client, daemon)
    await daemon.access.revoke("browser")

    assert (await client.post(ADD, data={"form": form, **BO_STEPS_IN})).status == 401


async def test_keys_rotated_twice_end_every_session(client: Client, daemon: Daemon) -> None:
    form = await signed_in(client, daemon)
    await daemon.access.rotate_keys()
    assert (await client.post(ADD, data={"form": form, **BO_STEPS_IN}, allow_redirects=False)).status == 303
    await daemon.access.rotate_keys()

    assert (await client.post(ADD, data={"form": form, **BO_STEPS_IN})).status == 401


async def test_signing_out_ends_it_in_this_browser(client: Client, daemon: Daemon) -> None:
    form = await signed_in(client, daemon)
    elsewhere = await client.post("/logout", data={"form": form}, headers={"Origin": "https://evil.example"})
    still = await (await client.get("/login")).text()
    out = await client.post("/logout", data={"form": form}, allow_redirects=False)

    assert elsewhere.status == 403
    assert "Signed in as Ana Pires" in still
    assert out.status == 303
    assert "<form" not in await (await client.get("/schedules/primary")).text()
    assert (await client.post("/logout", allow_redirects=False)).status == 303


async def test_a_copy_of_a_cookie_is_good_for_nothing_after_signing_out(client: Client, daemon: Daemon) -> None:
    form = await signed_in(client, daemon)
    [cookie] = [one for one in client.session.cookie_jar if one.key == "tocsin_session"]
    copy = {"Cookie": f"tocsin_session={cookie.value}"}
    assert "Signed in as Ana Pires" in await (await client.get("/login", headers=copy)).text()

    await client.post("/logout", data={"form": form}, allow_redirects=False)

    assert "Signed in as" not in await (await client.get("/login", headers=copy)).text()
    assert (await client.post(ADD, data={"form": form, **BO_STEPS_IN}, headers=copy)).status == 401


@pytest.mark.parametrize("given", ["", "wrong", "tocsin_0", "own-token"])
async def test_what_is_no_token_opens_no_session(client: Client, given: str) -> None:
    answer = await client.post("/login", data={"token": given}, allow_redirects=False)

    assert answer.status == 403
    assert "This is no token of Tocsin" in await answer.text()
    assert "Set-Cookie" not in answer.headers


async def test_a_token_of_nobody_opens_no_session(client: Client, daemon: Daemon) -> None:
    answer = await client.post("/login", data={"token": await token(daemon, user=None)}, allow_redirects=False)

    assert answer.status == 403
    assert "create it with --user" in await answer.text()


@pytest.mark.parametrize(
    "after",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:x",
        "/a\nb",
        "",
        "//[",
    ],
)
async def test_signing_in_never_leads_to_another_site(client: Client, daemon: Daemon, after: str) -> None:
    shown = await client.get("/login", params={"next": after})
    answer = await client.post("/login", data={"token": await token(daemon), "next": after}, allow_redirects=False)

    assert 'name="next" value="/"' in await shown.text()
    assert answer.headers["Location"] == "/"


@pytest.mark.parametrize("path", ["/schedules", "/schedules/primary", "/login"])
async def test_these_pages_have_no_script_and_their_headers_too(client: Client, daemon: Daemon, path: str) -> None:
    await signed_in(client, daemon)
    answer = await client.get(path)
    text = (await answer.text()).lower()

    assert answer.status == 200
    assert "<script" not in text
    assert not re.search(r"\son\w+=|<style|\sstyle=", text)
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Referrer-Policy"] == "same-origin"  # with no-referrer a form's Origin would be null
    assert answer.headers["Cache-Control"] == "no-store"
