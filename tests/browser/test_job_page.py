"""What is on the page of one job: its log, tabs, results, history, previews and links."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from livejobs.demo import pdf
from tests.browser.conftest import Opener
from tests.support.api import Api
from tests.support.desk import eventually
from tests.support.server import Server

ADMIN = "the-first-admin-key"
MANY = 20_000  # lines

# The numbers of the lines in the log's window, None for a line that is not there yet.
WINDOW = """() => {
  const box = document.querySelector(".log").getBoundingClientRect();
  return [...document.querySelectorAll(".line")]
    .filter((it) => {
      const place = it.getBoundingClientRect();
      return place.bottom > box.top && place.top < box.bottom;
    })
    .map((it) => Number(it.querySelector(".n")?.textContent) || null);
}"""


@pytest.fixture(scope="module")
def api(shared: Server) -> Iterator[Api]:
    with Api(shared.url) as client:
        yield client


@pytest.fixture(scope="module")
def long(api: Api) -> str:
    """A job with a long log: some lines are higher, every 4000th is an error."""
    id = api.create(title="Long")
    for start in range(1, MANY, 1000):
        api.report(id, *(log(*line(n)) for n in range(start, start + 1000)))
    return id


def line(n: int) -> tuple[str, str]:
    if n % 4000 == 0:
        return f"line {n} went wrong", "error"
    return f"line {n}" + "\nand more" * (n % 3) + " long" * (n % 7) * 20, "info"


def log(message: str, level: str = "info") -> dict[str, Any]:
    return {"type": "log", "message": message, "level": level}


def at(api: Api, id: str, hash: str = "") -> str:
    return f"{api.url}/jobs/{id}{hash}"


def tab(page: Page, name: str) -> Locator:
    return page.get_by_role("tab", name=name)


def part(page: Page, name: str) -> Locator:
    return page.locator(f"main [data-part='{name}']").first


def seen(page: Page, fits: Callable[[list[int]], bool]) -> list[int]:
    """The lines in the window, once they are there, are without a gap, and fit."""
    found: list[Any] = []

    def ready() -> bool:
        found[:] = page.evaluate(WINDOW)
        return (
            bool(found)
            and found == list(range(found[0] or 0, (found[0] or 0) + len(found)))
            and fits(found)
        )

    eventually(ready)
    return found


def scroll(page: Page, place: str) -> None:
    page.evaluate(f"(log) => (log.scrollTop = {place})", page.locator(".log").element_handle())


# The log


def test_the_log_follows_until_it_is_scrolled_up(api: Api, visit: Opener) -> None:
    id = api.create()
    api.report(id, *(log(f"line {n}") for n in range(200)))
    page = visit(at(api, id))
    follow = part(page, "follow")
    expect(page.get_by_text("line 199")).to_be_in_viewport()
    api.report(id, log("one more"))
    expect(page.get_by_text("one more")).to_be_in_viewport()
    page.locator(".log").hover()
    page.mouse.wheel(0, -600)
    expect(follow).to_have_attribute("aria-pressed", "false")
    before = seen(page, lambda lines: lines[-1] < 201)
    api.report(id, log("unseen"))
    expect(tab(page, "Log")).to_contain_text("202")
    assert page.evaluate(WINDOW) == before
    page.keyboard.press("f")
    expect(page.get_by_text("unseen")).to_be_in_viewport()
    api.report(id, log("seen again"))
    expect(page.get_by_text("seen again")).to_be_in_viewport()
    follow.click()
    api.report(id, *(log(f"after {n}") for n in range(200)))
    expect(tab(page, "Log")).to_contain_text("403")
    expect(page.get_by_text("seen again")).to_be_in_viewport()


def test_every_place_of_a_long_log_can_be_scrolled_to(api: Api, long: str, visit: Opener) -> None:
    page = visit(at(api, long))
    seen(page, lambda lines: lines[-1] == MANY)
    scroll(page, "0")
    seen(page, lambda lines: lines[0] == 1)
    scroll(page, "log.scrollHeight / 2")
    middle = seen(page, lambda lines: 9_900 < lines[0] < 10_100)
    page.locator(".log").hover()
    for way in (
        1,
        1,
        1,
        -1,
        -1,
        -1,
        -1,
        -1,
    ):  # by less than a window, so that nothing is passed over
        before = middle
        page.mouse.wheel(0, way * 300)
        middle = seen(page, partial(operator.ne, before))
        assert set(middle) & set(before)
    scroll(page, "log.scrollHeight")
    seen(page, lambda lines: lines[-1] == MANY)
    expect(part(page, "follow")).to_have_text("Following")
    assert page.locator(".line").count() < 200


def test_an_address_leads_to_lines_and_lines_make_an_address(
    api: Api, long: str, visit: Opener
) -> None:
    page = visit(at(api, long, "#L12345"))
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    picked = page.locator(".line.picked")
    expect(picked).to_contain_text("line 12345")
    expect(picked).to_be_in_viewport()
    page.locator(".n", has_text="12347").click(modifiers=["Shift"])
    assert page.url == at(api, long, "#L12345-12347")
    expect(picked).to_have_count(3)
    page.get_by_role("button", name="Copy 3 lines").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == "\n".join(line(n)[0] for n in (12345, 12346, 12347))
    page.keyboard.press("Escape")
    expect(picked).to_have_count(0)
    assert page.url == at(api, long, "#log")
    page.evaluate("location.hash = 'L5-L7'")
    expect(picked.first).to_contain_text("line 5")
    expect(picked).to_have_count(3)


def test_a_search_and_a_level_find_lines_that_were_not_loaded(
    api: Api, long: str, visit: Opener
) -> None:
    page = visit(at(api, long))
    found, lines = part(page, "found"), page.locator(".line .text")
    seen(page, lambda lines: lines[-1] == MANY)
    page.keyboard.press("/")
    page.keyboard.type("LINE 4000 ")
    expect(found).to_have_text("1 line")
    expect(lines).to_have_text(["line 4000 went wrong"])
    expect(page.locator("mark")).to_have_text("line 4000")
    page.keyboard.press("Escape")
    expect(found).to_have_text("")
    part(page, "level").select_option("error")
    expect(lines).to_have_text([line(n)[0] for n in range(4000, MANY + 1, 4000)])
    api.report(long, log("no error"), log("one more error", "error"))
    expect(lines.last).to_have_text("one more error")
    expect(lines).to_have_count(6)
    page.locator(".n", has_text="8000").click()
    page.keyboard.press("Escape")
    seen(page, lambda lines: 8000 in lines)


def test_the_colours_of_a_terminal_are_drawn_and_nothing_else_of_it(
    api: Api, visit: Opener
) -> None:
    id = api.create()
    api.report(
        id,
        log(
            "\x1b[1;31mred\x1b[0m plain \x1b[38;5;208morange\x1b[39m \x1b[48;2;0;0;255mground\x1b[m"
        ),
        log("\x1b[38:2::1:2:3mcolons\x1b[0m\x1b[2J\x1b]0;title\x07!"),
        log("10%\r\x1b[32m100%\x1b[0m"),
        log("\x1b[38;2;999;0;0mwrong\x1b[38;5mcut\x1b[1"),
        log("\x1b[31m" * 3000 + "many"),
        log('\x1b[31m<img src=x onerror="window.hit=1">\u202e'),
    )
    page = visit(at(api, id))
    texts = page.locator(".line .text")
    expect(texts).to_have_text([
        "red plain orange ground", "colons!", "100%", re.compile("^wrongcut"), "many",
        '<img src=x onerror="window.hit=1">\\u202e',
    ])  # fmt: skip
    looks = texts.first.locator(".look")
    expect(looks).to_have_text(["red", "orange", "ground"])
    styles = "(it) => [it.style.getPropertyValue('--fg'), it.style.getPropertyValue('--bg')]"
    assert [look.evaluate(styles) for look in looks.all()] == [
        ["#cd3131", ""], ["#ff8700", ""], ["", "#0000ff"],
    ]  # fmt: skip
    expect(looks.first).to_have_css("font-weight", "700")
    assert texts.nth(1).locator(".look").evaluate(styles)[0] == "#010203"
    assert texts.nth(4).locator("span").count() < 10


def test_a_log_is_saved_as_text_and_its_times_can_be_those_since_the_start(
    api: Api, visit: Opener
) -> None:
    id = api.create()
    api.report(id, log("\x1b[31mone\x1b[0m"), log("two", "warning"))
    page = visit(at(api, id))
    expect(page.locator(".line")).to_have_count(2)
    with page.expect_download() as begun:
        page.get_by_role("button", name="Download").click()
    assert begun.value.suggested_filename == f"{id}.log"
    assert begun.value.path().read_text().splitlines()[1] == "two"
    part(page, "times").select_option("elapsed")
    expect(page.locator(".line time").first).to_have_text(re.compile(r"^\d+:\d\d\.\d$"))
    part(page, "times").select_option("none")
    expect(page.locator(".line time")).to_have_count(0)


# Tabs


def test_tabs_are_chosen_by_keyboard_and_named_in_the_address(api: Api, visit: Opener) -> None:
    id = api.create(title="Keys")
    api.report(id, {"type": "result", "value": 1})
    page = visit(at(api, id))
    expect(tab(page, "Results")).to_have_attribute("aria-selected", "true")  # the log is empty
    tab(page, "Results").focus()
    page.keyboard.press("ArrowRight")
    expect(tab(page, "Errors")).to_be_focused()
    expect(page.get_by_role("tabpanel")).to_contain_text("No item has failed")
    page.keyboard.press("End")
    expect(tab(page, "Embed")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(tab(page, "Log")).to_be_focused()
    page.keyboard.press("7")
    assert page.url == at(api, id, "#json")
    page.reload()
    expect(part(page, "json")).to_contain_text('"title": "Keys"')
    page.evaluate("location.hash = 'embed'")
    expect(part(page, "snippets")).to_contain_text(f"{api.url}/jobs/{id}/badge.svg")


def test_results_are_a_table_that_grows_and_reaches_back_to_the_first(
    api: Api, visit: Opener
) -> None:
    id = api.create()
    for start in (1, 601):
        api.report(id, *({"type": "result", "value": n} for n in range(start, start + 600)))
    page = visit(at(api, id, "#results"))
    cells = part(page, "results").locator("tbody td:nth-child(2)")
    expect(part(page, "results").locator("th")).to_have_text(["#", "Value", "Time"])
    expect(cells.first).to_have_text("1,200")
    api.report(id, {"type": "result", "value": {"file": "a.png", "score": 0.0625, "tags": ["x"]}})
    expect(part(page, "results").locator("th")).to_have_text(
        ["#", "file", "score", "tags", "Value", "Time"]
    )
    row = part(page, "results").locator("tbody tr").first
    expect(row.locator("td").nth(1)).to_have_text("a.png")
    expect(row.locator("td").nth(2)).to_have_text("0.0625")
    expect(row.locator("td").nth(3)).to_have_text('["x"]')
    more = part(page, "results-more")
    rows = part(page, "results").locator("tbody tr")
    for shown in (250, 450, 650, 850, 1050, 1201):
        more.click()
        expect(rows).to_have_count(shown)
    expect(more).to_be_hidden()
    expect(rows.last.locator("td").first).to_have_text("1")


def test_steps_stand_on_one_axis_and_children_move(api: Api, visit: Opener) -> None:
    steps = [{"name": "load", "title": "Load"}, {"name": "render"}, {"name": "encode"}]
    id = api.create(title="Film", steps=steps)
    child = api.create(title="Shot", parent=id, total=10)
    api.report(id, {"type": "step", "name": "load", "status": "running"})
    api.report(
        id,
        {"type": "step", "name": "load", "status": "succeeded"},
        {"type": "step", "name": "render", "status": "running", "current": 1, "total": 4},
    )
    page = visit(at(api, id, "#children"))
    ran = page.locator(".track i:visible")
    expect(ran).to_have_count(2)
    boxes = [it.bounding_box() for it in ran.all()]
    assert all(boxes)
    load, render = (box for box in boxes if box)
    assert load["x"] <= render["x"]
    expect(page.locator(".step").nth(1)).to_contain_text("25%")
    expect(page.locator(".child")).to_contain_text("Shot")
    api.report(child, {"type": "progress", "current": 4})
    expect(page.locator(".child .state")).to_have_text("40%")
    page.get_by_role("link", name="Shot").click()
    expect(page.get_by_role("heading", name="Shot")).to_be_visible()


def test_the_history_tells_who_did_what(api: Api, visit: Opener) -> None:
    id = api.create()
    api.report(id, {"type": "ask", "prompt": "Go on?", "schema": {"type": "boolean"}})
    page = visit(at(api, id, "#history"))
    events = page.locator(".event")
    expect(events.first).to_contain_text("Go on?")
    page.get_by_role("button", name="Yes").click()
    expect(events.first).to_contain_text("anonymous answered question 1")
    api.report(id, log("before"), {"type": "retry", "error": "flaky"})
    expect(part(page, "failure")).to_contain_text("Attempt 1 failed: flaky")
    old = {**log("of old"), "at": "2020-01-01T00:00:00Z"}
    api.report(id, {"type": "start"}, log("after"), old, log("later"))
    expect(part(page, "failure")).to_be_hidden()
    expect(part(page, "labels")).to_contain_text("attempt 2")
    expect(events.first).to_contain_text("Attempt 2 started")
    expect(events.nth(1)).to_contain_text("Attempt 1 ended")
    api.report(id, {"type": "fail", "message": "Enough"})
    expect(events.first).to_contain_text("The job failed")
    expect(events.first).to_contain_text("Enough")
    expect(events.last).to_contain_text("anonymous created the job")
    tab(page, "Log").click()
    expect(page.locator(".line.begins")).to_contain_text(re.compile("^Attempt 2.*after$"))


# Files


def test_text_tables_json_and_pdf_are_shown_on_request(api: Api, visit_whole: Opener) -> None:
    id = api.create()
    files = {
        "a.csv": ("text/csv", b'name,size\n"x, ""y""",1\n<b>z</b>,2\n'),
        "b.json": ("application/json", b'{"a":[1,2]}'),
        "c.txt": (
            "text/plain; charset=utf-8",
            "Grüße\x1b[31m <script>".encode() + b"\nx" * 100_000,
        ),
        "d.pdf": ("application/pdf", pdf.page("Title", "Subtitle", ["Text"])),
    }
    for name, (kind, data) in files.items():
        put = api.put(f"/v1/jobs/{id}/files/{name}", content=data, headers={"content-type": kind})
        assert put.status_code == 201
    page = visit_whole(at(api, id))
    preview = page.locator(".preview")

    def shown(name: str) -> Locator:
        page.get_by_role("button", name=f"Preview {name}").click()
        return preview.last

    expect(shown("a.csv").locator("tr")).to_have_text(["namesize", 'x, "y"1', "<b>z</b>2"])
    page.get_by_role("button", name="Preview a.csv").click()
    expect(preview).to_have_count(0)
    expect(shown("b.json")).to_have_text(json.dumps({"a": [1, 2]}, indent=2))
    expect(shown("c.txt")).to_contain_text("Grüße <script>")
    expect(preview.last).to_contain_text("The first 131.1 kB of 200 kB")
    assert "/files/d.pdf?inline=1" in (shown("d.pdf").locator("iframe").get_attribute("src") or "")

    def framed() -> bool:
        page.wait_for_timeout(50)  # Playwright learns of new frames only while it waits
        return any("/files/d.pdf" in frame.url for frame in page.frames)

    eventually(framed)


def test_a_browser_without_a_viewer_of_pdf_gets_a_link(api: Api, visit: Opener) -> None:
    id = api.create()
    body = pdf.page("Title", "Subtitle", ["Text"])
    put = api.put(
        f"/v1/jobs/{id}/files/d.pdf", content=body, headers={"content-type": "application/pdf"}
    )
    assert put.status_code == 201
    page = visit("about:blank")
    page.add_init_script("Object.defineProperty(navigator, 'pdfViewerEnabled', {value: false})")
    page.goto(at(api, id))
    page.get_by_role("button", name="Preview d.pdf").click()
    link = page.get_by_role("link", name="Open d.pdf")
    assert "/files/d.pdf?inline=1" in (link.get_attribute("href") or "")
    expect(page.locator(".preview iframe")).to_have_count(0)


# Links, and what is seen outside the page


def test_a_shared_link_shows_this_job_to_somebody_without_a_key(
    tmp_path: Path, visit: Opener
) -> None:
    with Server(tmp_path, env={"LIVEJOBS_ADMIN_KEY": ADMIN}) as server, Api(server.url) as api:
        api.headers["x-api-key"] = ADMIN
        id, other = api.create(title="Shared"), api.create(title="Other")
        api.report(id, log("a line"))
        page = visit(at(api, id))
        page.get_by_label("Key", exact=True).fill(ADMIN)
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("button", name="Share").click()
        page.get_by_label("The link works for").select_option("86400")
        page.get_by_role("button", name="Create link").click()
        expect(page.get_by_role("dialog")).to_contain_text("no other, until")
        link = page.get_by_role("textbox", name="Link").input_value()
        page.get_by_role("button", name="Close").click()
        expect(page.get_by_role("dialog")).to_be_hidden()
        assert ADMIN not in link
        guest = visit(link)
        expect(guest.get_by_text("a line")).to_be_visible()
        assert "token" not in guest.url
        for hidden in (tab(guest, "History"), part(guest, "share"), part(guest, "cancel")):
            expect(hidden).to_be_hidden()  # names of people are not for guests
        guest.goto(at(api, other))
        expect(guest.get_by_role("heading", name="There is no such job")).to_be_visible()


def test_the_tab_s_icon_follows_and_the_end_is_notified_if_asked_for(
    api: Api, visit: Opener
) -> None:
    id = api.create(title="Film", total=100)
    page = visit("about:blank")
    page.add_init_script("""
      window.notes = [];
      window.Notification = class {
        static requestPermission = async () => "granted";
        constructor(title, { body }) { notes.push([title, body]); }
      };""")
    page.goto(at(api, id))
    icon = page.locator("link[rel=icon]")
    api.report(id, {"type": "progress", "current": 42, "message": "Pass 1"})
    expect(page).to_have_title("42% Film")
    expect(icon).to_have_attribute("href", re.compile("stroke-dasharray%3D'42%20100'"))
    page.get_by_role("button", name="Notify me").click()
    expect(page.get_by_role("button", name="Will notify")).to_be_visible()
    api.report(id, {"type": "ask", "prompt": "Go on?"})
    expect(part(page, "badge")).to_have_text("Waiting")
    api.report(id, {"type": "fail", "message": "Out of memory"})
    expect(page).to_have_title("✕ Film")
    expect(icon).to_have_attribute("href", re.compile("c42b32"))
    assert page.evaluate("notes") == [
        ["Film", "Waiting for an answer: “Go on?”"],
        ["Film", "Failed at 42%: Out of memory"],
    ]
    expect(page.get_by_role("button", name="Will notify")).to_be_hidden()


def test_a_traceback_and_the_rest_of_an_error_are_told_apart(api: Api, visit: Opener) -> None:
    id = api.create()
    trace = 'Traceback (most recent call last):\n  File "a.py", line 1\nKeyError: 1'
    api.report(id, {"type": "fail", "message": "KeyError: 1",
                    "detail": {"traceback": trace, "exit": 137}})  # fmt: skip
    page = visit(at(api, id))
    expect(part(page, "trace")).to_have_text(trace)
    expect(part(page, "detail")).to_contain_text("137")
    expect(part(page, "detail")).not_to_contain_text("Traceback")


# What was removed


def test_what_was_removed_of_a_log_and_of_results_is_told(visit: Opener, tmp_path: Path) -> None:
    kept = ("--keep-log-lines", "100", "--keep-results", "20")
    with Server(tmp_path / "data", *kept) as server, Api(server.url) as api:
        id = api.create()
        api.report(id, *(log(f"line {n}") for n in range(500)))
        api.report(id, *({"type": "result", "value": n} for n in range(50)))
        api.report(id, *({"type": "error", "message": str(n)} for n in range(30)))
        gone = api.job(id)["trimmed"]
        page = visit(f"{server.url}/jobs/{id}")
        expect(part(page, "cut")).to_have_text(f"{gone['logs']} earlier lines were removed")
        tab(page, "Results").click()
        told = part(page, "results-cut")
        expect(told).to_have_text(f"{gone['results']} earlier results were removed")
        expect(page.locator(".results tbody tr")).to_have_count(50 - gone["results"])
        tab(page, "Errors").click()
        expect(part(page, "errors-cut")).to_have_text(
            f"{gone['errors']} earlier errors were removed"
        )
        other = api.create()
        page.goto(f"{server.url}/jobs/{other}")
        for name in ("cut", "results-cut", "errors-cut"):
            expect(part(page, name)).to_be_hidden()
