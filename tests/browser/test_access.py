"""The pages of a server with keys, in Chromium: log in and out, what the key may do, the keys' own
page, and links with a token."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2 as httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Opener
from tests.support.server import Server

ADMIN = "the-first-admin-key"

ELSEWHERE = [
    "//evil.example/x", "https://evil.example", "javascript:alert(1)", "/\\evil.example", "/login",
    "\t//evil.example", "/login?to=/login", "",
]  # fmt: skip


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data: Path = tmp_path_factory.mktemp("closed") / "data"
    with Server(data, env={"LIVEJOBS_ADMIN_KEY": ADMIN}) as server:
        yield server


@pytest.fixture(scope="module")
def admin(closed: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=closed.url, headers={"x-api-key": ADMIN}) as admin:
        admin.put("/v1/jobs/j", json={"title": "Teaser"}).raise_for_status()
        yield admin


def new_key(admin: httpx.Client, scope: str = "view", **more: Any) -> Any:
    body = {"name": f"k-{uuid4().hex[:8]}", "scopes": [scope], **more}
    return admin.post("/v1/keys", json=body).raise_for_status().json()


def log_in(page: Page, key: str = ADMIN) -> None:
    page.get_by_label("Key", exact=True).fill(key)
    page.get_by_role("button", name="Log in").click()


def menu(page: Page) -> Any:
    page.locator(".user .open").click()
    return page.locator("#user-menu")


def kept(page: Page) -> str:
    """Everything that scripts of the page can read again."""
    places = "[{...localStorage}, {...sessionStorage}, document.cookie, location.href]"
    return str(page.evaluate(f"JSON.stringify({places})"))


# Logging in and out


def test_a_page_asks_for_a_key_and_keeps_only_a_cookie(
    visit: Opener, closed: Server, admin: httpx.Client
) -> None:
    page = visit(closed.url)
    expect(page.get_by_text("A key is needed")).to_be_visible()
    for wrong in ("lj_wrong", "ключ 🔑"):
        log_in(page, wrong)
        expect(page.get_by_role("alert")).to_have_text("The server does not accept this key.")
    log_in(page)
    page.get_by_role("link", name="Teaser").click()
    admin.post("/v1/jobs/j/reports", json={"type": "progress", "percent": 42})
    expect(page.get_by_role("progressbar").first).to_have_attribute("aria-valuenow", "42")
    [cookie] = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Lax")
    assert ADMIN not in kept(page)
    assert cookie["value"] not in kept(page)


def test_the_login_returns_to_where_its_visitor_came_from(
    visit: Opener, closed: Server, admin: httpx.Client
) -> None:
    page = visit(f"{closed.url}/login?to=/jobs/j%23log")
    expect(page.get_by_label("Key", exact=True)).to_be_focused()
    page.keyboard.type(ADMIN)
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{closed.url}/jobs/j#log")
    expect(page.get_by_role("heading", name="Teaser")).to_be_visible()


def test_the_login_leads_to_no_other_place(visit: Opener, closed: Server) -> None:
    page = visit(f"{closed.url}/login")
    targets = page.evaluate(
        """async (all) => {
          const { target } = await import(new URL("static/pages/session.js", location.href));
          return all.map((wanted) => target(wanted).href);
        }""",
        ELSEWHERE,
    )
    assert set(targets) == {f"{closed.url}/"}


def test_the_menu_shows_what_the_key_may_do_and_logs_out_every_tab(
    visit: Opener, closed: Server, admin: httpx.Client
) -> None:
    key = new_key(admin, "cancel", projects=["films"])
    page = visit(closed.url)
    log_in(page, key["key"])
    other = page.context.new_page()
    other.goto(f"{closed.url}/?project=films")
    expect(other.locator(".connection")).to_have_text("Live")
    shown = menu(page)
    expect(shown).to_contain_text(key["name"])
    expect(shown).to_contain_text("films")
    expect(shown).to_contain_text("cancel them")
    expect(shown.get_by_role("link", name="Keys")).to_be_hidden()
    shown.get_by_role("button", name="Log out").click()
    expect(page).to_have_url(f"{closed.url}/login")
    expect(other.get_by_text("A key is needed")).to_be_visible()
    assert page.context.cookies() == []


def test_a_key_that_does_not_allow_the_page_is_named_as_the_reason(
    visit: Opener, closed: Server, admin: httpx.Client
) -> None:
    key = new_key(admin, "report")
    page = visit(f"{closed.url}/keys")
    expect(page.get_by_text("A key is needed")).to_be_visible()
    log_in(page, key["key"])
    expect(page.get_by_text("Your key does not allow this")).to_be_visible()
    log_in(page)
    expect(page.get_by_role("heading", name="Keys")).to_be_visible()


def test_the_login_ends_with_its_key(visit: Opener, closed: Server, admin: httpx.Client) -> None:
    key = new_key(admin)
    page = visit(closed.url)
    log_in(page, key["key"])
    expect(page.locator(".connection")).to_have_text("Live")
    admin.delete(f"/v1/keys/{key['id']}").raise_for_status()
    expect(page.get_by_text("A key is needed")).to_be_visible()


def test_a_renewed_cookie_keeps_a_socket_without_a_gap(
    visit: Opener, closed: Server, admin: httpx.Client
) -> None:
    """The page has two watches, so they are on a WebSocket, which ends with the first key."""
    keys = [new_key(admin), new_key(admin)]
    logins = [admin.post("/v1/session", headers={"x-api-key": key["key"]}) for key in keys]
    first, second = [login.cookies["livejobs_token"] for login in logins]

    def cookie(value: str) -> Any:  # playwright keeps the type to itself
        return {"name": "livejobs_token", "url": closed.url, "httpOnly": True, "value": value}

    page = visit(f"{closed.url}/docs")
    page.context.add_cookies([cookie(first)])
    page.evaluate(
        """async (base) => {
          const { watch } = await import(`${base}/static/livejobs.js`);
          const { credential } = await import(`${base}/static/pages/api.js`);
          Object.assign(window, { lines: [], states: [], renewals: 0 });
          const renew = () => (window.renewals++, credential.renew());
          watch({ project: "default" }, { token: "", renew });
          watch("j", { token: "", renew, logs: true,
            onState: (state) => window.states.push(state),
            onChange: (job, delta) => window.lines.push(...(delta?.append.logs ?? job.logs)) });
        }""",
        closed.url,
    )
    page.wait_for_function("() => states.includes('live')")
    page.context.add_cookies([cookie(second)])
    admin.delete(f"/v1/keys/{keys[0]['id']}").raise_for_status()
    page.wait_for_function("() => renewals > 0")
    message = f"after {uuid4().hex}"
    admin.post("/v1/jobs/j/reports", json={"type": "log", "message": message})
    page.wait_for_function(
        "(it) => lines.filter((line) => line.message === it).length === 1", arg=message
    )
    assert "denied" not in page.evaluate("states")


def test_an_open_server_says_that_it_is_open(visit: Opener, shared: Server) -> None:
    page = visit(f"{shared.url}/login")
    expect(page).to_have_url(f"{shared.url}/")
    expect(menu(page)).to_contain_text("This server is open")
    expect(page.get_by_role("button", name="Log out")).to_be_hidden()


# Links with a token


def test_a_link_with_a_token_shows_its_job_and_hides_the_token(
    visit: Opener, closed: Server, admin: httpx.Client
) -> None:
    id = uuid4().hex
    view = admin.post("/v1/jobs", json={"id": id, "title": "Handed over"}).json()["view"]
    page = visit(closed.url + view["url"])
    expect(page.get_by_role("heading", name="Handed over")).to_be_visible()
    assert view["token"] not in page.url
    page.reload()
    expect(page.get_by_role("heading", name="Handed over")).to_be_visible()
    expect(menu(page)).to_contain_text(id)
    page.goto(closed.url + "/jobs/j")
    expect(page.get_by_text("There is no such job")).to_be_visible()


def test_a_link_that_has_ended_says_so_and_a_login_takes_its_place(
    visit: Opener, closed: Server, admin: httpx.Client
) -> None:
    token = admin.post("/v1/tokens", json={"jobs": ["j"], "ttl_seconds": 1}).json()["token"]
    page = visit(f"{closed.url}/jobs/j?token={token}")
    expect(page.get_by_text("This link has ended")).to_be_visible()
    log_in(page)
    expect(page.get_by_role("heading", name="Teaser")).to_be_visible()


# Keys


def test_an_admin_makes_a_key_sees_it_once_and_revokes_it(
    visit: Opener, closed: Server, admin: httpx.Client
) -> None:
    name = f"ci-{uuid4().hex[:6]}"
    page = visit(f"{closed.url}/keys")
    log_in(page)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="New key").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill(name)
    dialog.get_by_text("Also cancel jobs").click()
    dialog.get_by_label("Projects").fill("films, sound")
    dialog.get_by_label("Ends").select_option("In 30 days")
    for key, refusal in [("lj_wrong", "unknown or was revoked"), ("ключ", "does not accept")]:
        dialog.get_by_label("Your admin key").fill(key)
        dialog.get_by_role("button", name="Create key").click()
        expect(dialog.get_by_role("alert")).to_contain_text(refusal)
        expect(dialog.get_by_label("Your admin key")).to_have_value("")
    dialog.get_by_label("Your admin key").fill(ADMIN)
    dialog.get_by_role("button", name="Create key").click()
    dialog.get_by_role("button", name="Copy").click()
    expect(dialog.get_by_role("button", name="Copied")).to_be_visible()
    secret = page.evaluate("navigator.clipboard.readText()")
    mine = httpx.get(f"{closed.url}/v1/session", headers={"x-api-key": secret}).json()
    assert (mine["scopes"], mine["projects"]) == (["view", "cancel"], ["films", "sound"])
    assert mine["expires_at"]
    dialog.get_by_role("button", name="Done").click()
    expect(page.locator("dialog")).to_have_count(0)  # the browser closes it a moment later
    assert secret not in page.content()
    row = page.get_by_role("row").filter(has_text=name)
    expect(row).to_contain_text("films, sound")
    row.get_by_role("button", name=f"Revoke {name}").click()
    expect(row).to_be_visible()
    row.get_by_text("Really?").click()
    expect(row).to_be_hidden()
    gone = httpx.get(f"{closed.url}/v1/session", headers={"x-api-key": secret})
    assert gone.status_code == 401


def test_a_refused_key_is_told_in_the_form(
    visit: Opener, closed: Server, admin: httpx.Client
) -> None:
    taken = new_key(admin)["name"]
    page = visit(f"{closed.url}/keys")
    log_in(page)
    page.get_by_role("button", name="New key").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Your admin key").fill(ADMIN)
    dialog.get_by_label("Name").fill(taken)
    dialog.get_by_label("Your admin key").fill(ADMIN)
    dialog.get_by_role("button", name="Create key").click()
    expect(dialog.get_by_role("alert")).to_contain_text("exists already")
    dialog.get_by_label("Name").fill("other")
    dialog.get_by_label("Projects").fill("films no/project")
    dialog.get_by_label("Your admin key").fill(ADMIN)
    dialog.get_by_role("button", name="Create key").click()  # the browser says why
    expect(dialog.get_by_label("Projects")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_the_first_key_of_an_open_server_logs_its_maker_in(visit: Opener, server: Server) -> None:
    page = visit(f"{server.url}/keys")
    expect(page.get_by_text("There are no keys yet.")).to_be_visible()
    page.get_by_role("button", name="New key").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Your admin key")).to_be_hidden()
    dialog.get_by_label("Name").fill("me")
    dialog.get_by_role("button", name="Create key").click()
    dialog.get_by_role("button", name="Done").click()
    expect(page.get_by_role("row", name="Revoke me")).to_contain_text("admin")
    assert httpx.get(f"{server.url}/v1/jobs").status_code == 401
    expect(menu(page)).to_contain_text("me")
