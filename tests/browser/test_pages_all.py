"""What holds on every page: axe finds nothing serious, the keyboard is enough, motion can be turned
off, and a worker's text stays text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.axe import severe
from tests.browser.conftest import Opener
from tests.support.api import Api
from tests.support.server import Server

ADMIN = "the-first-admin-key"
LOGIN = {"authorization": f"Bearer {ADMIN}"}
CLIP = b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x80\x3e\0\0\2\0\x10\0data\0\0\0\0"

HOSTILE = {
    "markup": '"><img src=x onerror=window.hit=1><script>window.hit=1</script>{{7*7}}${7*7}',
    "terminal": "\x1b[31mred\x1b]8;;https://evil.example\x07link\x1b]8;;\x07\x9b2J\x1b[H",
    "bidi": "\u202egnp.exe\u2066 \u200f\u061c",
    "emoji": "👩‍👩‍👧‍👦🏴󠁧󠁢󠁥󠁮󠁧󠁿" * 20 + "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́O",
    "link": "javascript:window.hit=1//https://evil.example/?q=%00",
    "proto": "__proto__",
    "constructor": "constructor",
    "long": "W" * 1000,
}
CONDITIONS = """
  addEventListener("securitypolicyviolation", (event) => {
    (window.violations ??= []).push(`${event.violatedDirective} ${event.blockedURI}`);
  });
"""


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data: Path = tmp_path_factory.mktemp("all") / "data"
    with Server(data, env={"LIVEJOBS_ADMIN_KEY": ADMIN}) as server:
        yield server


@pytest.fixture(scope="module")
def api(closed: Server) -> Iterator[Api]:
    with Api(closed.url) as api:
        api.headers.update(LOGIN)
        yield api


@pytest.fixture(scope="module")
def states(api: Api) -> dict[str, str]:
    """A job in each state, with something in each part of its page."""
    steps = [{"name": "load"}, {"name": "render", "total": 10}]
    made = {
        state: api.create(title=f"A {state} job", type="render", tags=["film"], total=100,
                          steps=steps, meta={"scene": 7})
        for state in ("queued", "running", "waiting", "failed", "succeeded")
    }  # fmt: skip
    for state in ("running", "waiting", "failed", "succeeded"):
        api.report(made[state], *story())
    child = api.create(title="A child", parent=made["running"])
    api.report(child, {"type": "start"})
    fields = {"place": {"enum": ["here", "there"]}, "note": {"type": "string"}}
    schema = {"type": "object", "required": ["place"], "properties": fields}
    api.report(made["waiting"], {"type": "ask", "prompt": "Where to?", "schema": schema})
    detail = {"traceback": "Traceback\n  File x"}
    api.report(
        made["failed"], {"type": "fail", "message": "No disk", "code": "ENOSPC", "detail": detail}
    )
    for name, body in {"a.wav": CLIP, "b.csv": b"a,b\n1,2\n", "c.txt": b"text"}.items():
        api.put(f"/v1/jobs/{made['succeeded']}/files/{name}", content=body).raise_for_status()
    api.report(made["succeeded"], {"type": "succeed", "result": {"frames": 10}})
    return made


def story() -> list[dict[str, Any]]:
    return [
        {"type": "start", "worker": {"host": "render-1"}},
        {"type": "step", "name": "load", "status": "succeeded"},
        {"type": "step", "name": "render", "status": "running", "current": 4},
        {"type": "progress", "current": 42, "message": "Frame 42"},
        *({"type": "log", "level": level, "message": f"\x1b[3{n}mA {level}\x1b[0m line"}
          for n, level in enumerate(["debug", "info", "warning", "error"], 1)),
        {"type": "result", "value": {"file": "a.png", "size": 3}},
        {"type": "error", "message": "One frame is black", "item": "frame 7", "detail": "…"},
        {"type": "count", "counters": {"frames": 42}},
    ]  # fmt: skip


@pytest.fixture
def page(visit: Opener, closed: Server) -> Page:
    """Logged in, and empty."""
    page = visit("about:blank")
    page.context.add_init_script(CONDITIONS)
    page.request.post(f"{closed.url}/v1/session", headers=LOGIN)
    return page


def in_both_schemes(page: Page) -> list[str]:
    found = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found += [f"{page.url} {scheme} {it}" for it in severe(page)]
    return found


# axe


def test_axe_finds_nothing_serious_on_the_list(
    page: Page, api: Api, states: dict[str, str]
) -> None:
    page.goto(api.url)
    expect(page.get_by_text("A failed job")).to_be_visible()
    found = in_both_schemes(page)
    page.goto(f"{api.url}/?project=empty")
    expect(page.get_by_role("heading", name="No jobs yet")).to_be_visible()
    assert found + in_both_schemes(page) == []


@pytest.mark.parametrize("state", ["running", "waiting", "failed", "succeeded"])
def test_axe_finds_nothing_serious_on_a_job_s_page(
    page: Page, api: Api, states: dict[str, str], state: str
) -> None:
    page.goto(f"{api.url}/jobs/{states[state]}")
    expect(page.get_by_text("A warning line")).to_be_visible()
    found = in_both_schemes(page)
    tabs = {"running": ["Results", "Children"], "waiting": ["History"], "failed": ["Errors"]}
    for tab in tabs.get(state, ["Files", "JSON", "Embed"]):
        page.get_by_role("tab", name=tab).click()
        expect(page.get_by_role("tabpanel", name=tab)).to_be_visible()
        found += [f"{tab} {it}" for it in severe(page)]
    assert found == []


def test_axe_finds_nothing_serious_on_the_pages_of_access_and_of_the_api(
    page: Page, api: Api
) -> None:
    api.post("/v1/keys", json={"name": "ci", "scopes": ["view"]}).raise_for_status()
    page.goto(f"{api.url}/?project=empty")
    page.locator(".user .open").click()
    found = in_both_schemes(page)
    page.goto(f"{api.url}/login")
    found += in_both_schemes(page)
    page.goto(f"{api.url}/docs")
    found += severe(page, ".intro, .group:first-of-type .operation:first-of-type")
    page.goto(f"{api.url}/keys")
    expect(page.get_by_role("row", name="ci")).to_be_visible()
    found += in_both_schemes(page)
    page.get_by_role("button", name="New key").click()
    assert found + in_both_schemes(page) == []


@pytest.mark.parametrize("state", ["running", "waiting", "failed", "succeeded"])
def test_axe_finds_nothing_serious_in_the_element(
    page: Page, api: Api, states: dict[str, str], state: str
) -> None:
    page.goto(f"{api.url}/jobs/{states[state]}/embed")
    expect(page.get_by_text(f"A {state} job").last).to_be_visible()
    assert in_both_schemes(page) == []


# The keyboard


NAME = """() => {
  const it = document.activeElement;
  if (it === document.body) return "";
  return (it.ariaLabel ?? it.labels?.[0]?.textContent ?? it.textContent).trim();
}"""


def tab_to(page: Page, name: str, *, most: int = 60) -> None:
    """Press Tab until the element has the focus, which must be visible there."""
    seen = []
    for _ in range(most):
        page.keyboard.press("Tab")
        seen.append(page.evaluate(NAME))
        if seen[-1].startswith(name):
            shown = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert shown != "none", f"nothing shows that {name} has the focus"
            return
    raise AssertionError(f"{name} is not among {seen}")


def test_the_whole_way_by_keyboard(visit: Opener, api: Api, closed: Server) -> None:
    """Log in, find a job, read it, answer it, cancel it, and log out, without a mouse."""
    id = api.create(title="By keyboard", project="keys")
    api.create(title="Another", project="keys")
    api.report(id, {"type": "start"}, {"type": "log", "message": "Line one"},
               {"type": "ask", "prompt": "Go on?", "schema": {"type": "boolean"}})  # fmt: skip
    page = visit(f"{closed.url}/?project=keys")
    expect(page.get_by_label("Key")).to_be_visible()
    tab_to(page, "Key")
    page.keyboard.type(ADMIN)
    page.keyboard.press("Enter")
    expect(page.get_by_text("Another")).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("By key")
    expect(page.get_by_text("Another")).to_be_hidden()
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{closed.url}/jobs/{id}")
    expect(page.get_by_text("Line one")).to_be_visible()
    tab_to(page, "Yes")
    page.keyboard.press("Enter")
    expect(page.locator(".question")).to_be_hidden()
    tab_to(page, "Log")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Results")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    tab_to(page, "Cancel")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="End it now")).to_be_visible()
    assert api.job(id)["cancel_requested"]
    tab_to(page, "admin")
    page.keyboard.press("Enter")
    tab_to(page, "Log out")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{closed.url}/login")


# Motion


STILL = """() => {
  const roots = [...document.querySelectorAll("*")].map((it) => it.shadowRoot).filter(Boolean);
  return [document, ...roots].every((root) => root.getAnimations().length === 0);
}"""


def test_nothing_moves_for_those_who_want_no_motion(
    page: Page, api: Api, states: dict[str, str]
) -> None:
    id = api.create(title="Of unknown length")
    api.report(id, {"type": "start"})
    page.emulate_media(reduced_motion="reduce")
    for path in ("/", f"/jobs/{id}", f"/jobs/{states['running']}", f"/jobs/{id}/embed"):
        page.goto(api.url + path)
        expect(page.locator(".row, [role=progressbar]").first).to_be_visible()
        page.wait_for_function(STILL)


# Workers' text


# The elements that make the page scroll sideways.
TOO_WIDE = """() => {
  const { scrollWidth, clientWidth } = document.documentElement;
  if (scrollWidth <= clientWidth) return [];
  return [...document.body.querySelectorAll("*")]
    .filter((it) => it.getBoundingClientRect().right > clientWidth + 1)
    .map((it) => `${it.tagName}.${it.className} ${it.dataset.part ?? ""}`);
}"""


@pytest.fixture(scope="module")
def hostile(api: Api) -> dict[str, str]:
    return {kind: hostile_job(api, HOSTILE[kind]) for kind in HOSTILE}


def text_is_text(page: Page, api: Api) -> None:
    page.wait_for_function("() => document.readyState === 'complete'")
    links = page.evaluate(
        "[...document.querySelectorAll('[href], [src]:not(live-job)')]"
        ".map((it) => it.href || it.src)"
    )
    ours = (api.url, "data:image/svg+xml", "blob:")
    assert [it for it in links if not it.startswith(ours)] == []
    assert page.evaluate("window.hit") is None
    assert page.evaluate("window.violations ?? []") == []
    assert page.evaluate(TOO_WIDE) == []


def test_text_of_workers_stays_text_in_the_list(
    page: Page, api: Api, hostile: dict[str, str]
) -> None:
    page.goto(f"{api.url}/?project=hostile")
    expect(page.locator(".row")).to_have_count(len(HOSTILE))
    text_is_text(page, api)


@pytest.mark.parametrize("kind", HOSTILE)
def test_text_of_a_worker_stays_text(
    page: Page, api: Api, hostile: dict[str, str], kind: str
) -> None:
    for path in (f"/jobs/{hostile[kind]}", f"/jobs/{hostile[kind]}/embed"):
        page.goto(api.url + path)
        expect(page.locator(".connection, live-job").first).to_be_visible()
        for tab in page.get_by_role("tab").filter(visible=True).all():
            tab.click()
        text_is_text(page, api)


def hostile_job(api: Api, text: str) -> str:
    """A job with the text in every field that takes any text."""
    short, said = text[:100], {text: text}
    id = api.create(project="hostile", title=text, type=text[:200], unit=short, tags=[text[:200]],
                    meta=said, steps=[{"name": text[:200], "title": text[:200]}])  # fmt: skip
    api.report(
        id,
        {"type": "start", "worker": said},
        {"type": "progress", "current": 1, "total": 2, "message": text},
        {"type": "step", "name": text[:200], "status": "running"},
        {"type": "log", "message": text, "source": text[:200]},
        {"type": "count", "counters": {text[:200]: 1}},
        {"type": "result", "value": said},
        {"type": "error", "message": text, "item": text, "detail": said},
        {"type": "ask", "prompt": text, "schema": {"enum": [text, "other"]}},
    )
    return id
