"""How the element `<live-job>` lives in a page: moves, access, frames, its file."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, expect

from livejobs.web.pages.assets import static_dir
from tests.browser.conftest import EAGER, PATIENCE, Opener
from tests.browser.element.tags import bar, element
from tests.browser.site import Site
from tests.browser.test_watching import Worker
from tests.support.desk import eventually
from tests.support.keyed import client, make_token
from tests.support.needs import need
from tests.support.server import Server

STATIC = static_dir()
BUNDLE = Path(__file__).parents[2] / "interop" / "bundle.mjs"


# How it lives in a page


def test_attributes_moves_and_removal_are_followed(show: Any, worker: Worker) -> None:
    first, second = worker.create(title="First"), worker.create(title="Second")
    page = show(element(first))
    asked: list[str] = []
    page.on("request", lambda it: asked.append(it.url) if "/v1/" in it.url else None)
    it = "document.querySelector('live-job')"
    expect(page.get_by_text("First")).to_be_visible()
    asked.clear()
    page.evaluate(f"document.body.append(document.createElement('div')); "
                  f"document.body.lastChild.append({it})")  # fmt: skip
    worker.reach(first, 20)
    expect(bar(page)).to_have_attribute("aria-valuenow", "20")
    assert asked == []
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("button", name="Really?")).to_be_visible()
    page.evaluate(f"{it}.job = '{second}'")
    expect(page.get_by_text("Second")).to_be_visible()
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    worker.reach(second, 30)
    expect(bar(page)).to_have_attribute("aria-valuenow", "30")
    page.evaluate(f"{it}.theme = 'dark'; {it}.compact = true")
    expect(page.get_by_role("log")).to_be_hidden()
    assert page.evaluate(f"getComputedStyle({it}).colorScheme") == "dark"
    page.evaluate(f"{it}.compact = false")
    expect(page.get_by_role("log")).to_contain_text("at 30")
    page.evaluate(f"window.kept = {it}; kept.remove()")
    eventually(lambda: not any(worker.viewers().values()))
    page.evaluate("document.body.append(kept)")
    worker.reach(second, 40)
    expect(bar(page)).to_have_attribute("aria-valuenow", "40")
    page.evaluate("document.body.append(document.createElement('iframe'))")
    page.evaluate("document.querySelector('iframe').contentDocument.body.append(kept)")
    inside = page.frame_locator("iframe")
    expect(inside.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "40")
    expect(inside.locator("live-job > div, [part=card]").first).to_have_css("display", "flex")
    page.evaluate("document.body.append(kept); kept.job = null")
    expect(page.get_by_text("No job is chosen.")).to_be_visible()
    eventually(lambda: not any(worker.viewers().values()))


def test_an_element_that_is_older_than_its_script_is_upgraded(
    server: Server, site: Site, visit: Opener, worker: Worker
) -> None:
    id = worker.create(title="Late")
    page = visit(site.write("/late", "<live-job>Please wait</live-job>"))
    expect(page.get_by_text("Please wait")).to_be_visible()
    page.evaluate(
        """async ([id, url]) => {
          const it = document.querySelector("live-job");
          Object.assign(it, { job: id, theme: "dark", readonly: true });
          await import(`${url}/static/live-job.js`);
        }""",
        [id, server.url],
    )
    expect(page.get_by_text("Late")).to_be_visible()
    # Its own text has no place any more.
    assert page.evaluate("document.querySelector('live-job').firstChild.assignedSlot") is None
    expect(page.locator(f"live-job[job='{id}'][theme=dark][readonly]")).to_have_count(1)


def test_hundreds_of_elements_share_one_connection(show: Any, worker: Worker) -> None:
    ids = [worker.create(title=f"Job {n}") for n in range(110)]
    page = show("".join(element(id, "compact" if n % 2 else "") for n, id in enumerate(ids)))
    expect(page.get_by_text("Job 109")).to_have_count(1)
    worker.wait_for_viewers(page, socket=1)
    worker.reach(ids[109], 50)
    page.wait_for_function(
        "[...document.querySelectorAll('live-job')].at(-1).job.progress.percent === 50"
    )
    bars = page.locator("live-job").last.get_by_role("progressbar")
    bars.scroll_into_view_if_needed()
    expect(bars).to_have_attribute("aria-valuenow", "50")
    page.locator("live-job").nth(108).scroll_into_view_if_needed()
    worker.reach(ids[108], 20)
    expect(page.locator("live-job").nth(108).get_by_role("log")).to_contain_text("at 20")
    worker.wait_for_viewers(page, socket=1)


def test_a_server_that_is_away_is_told_and_the_job_moves_on_after(
    show: Any, server: Server, worker: Worker
) -> None:
    id = worker.create()
    page = show(element(id))
    expect(bar(page)).to_have_attribute("aria-valuenow", "0")
    server.kill()
    expect(page.get_by_text("Connection lost. Trying again…")).to_be_visible()
    server.restart()
    worker.reach(id, 60)
    expect(bar(page)).to_have_attribute("aria-valuenow", "60")
    expect(page.get_by_text("Connection lost. Trying again…")).to_be_hidden()


# Access


def test_tokens_come_from_the_page_s_own_server_and_are_renewed(
    show: Any, closed: Server, site: Site
) -> None:
    with client(closed) as admin:
        admin.put("/v1/jobs/mine", json={"title": "Mine", "total": 100}).raise_for_status()
        made: list[str] = []

        def token() -> tuple[str, str]:
            ttl = 900 if made else 1
            made.append(make_token(admin, jobs=["mine"], scopes=["cancel"], ttl_seconds=ttl))
            return "application/json", json.dumps({"token": made[-1]})

        site.pages["/token"] = token
        page = show(element("mine", 'renew="/token"') * 2, at=closed)
        expect(page.get_by_text("Mine")).to_have_count(2)
        page.wait_for_function("performance.getEntriesByType('resource').filter("
                               "({ name }) => name.endsWith('/token')).length > 1")  # fmt: skip
        report = {"type": "progress", "current": 40}
        admin.post("/v1/jobs/mine/reports", json=report).raise_for_status()
        expect(bar(page).first).to_have_attribute("aria-valuenow", "40")
        cancel = page.get_by_role("button", name="Cancel").first
        cancel.click()
        page.get_by_role("button", name="Really?").click()
        expect(page.get_by_role("button", name="End it now")).to_have_count(2)
        assert len(made) <= 4


def test_a_token_shows_only_what_it_allows(show: Any, closed: Server) -> None:
    with client(closed) as admin:
        admin.put("/v1/jobs/seen", json={"title": "Seen"}).raise_for_status()
        view = make_token(admin, jobs=["seen"], scopes=["view"])
        page = show(element("seen", f'id=a token="{view}"') + element("seen", "id=b"), at=closed)
        expect(page.locator("#a").get_by_text("Seen")).to_be_visible()
        expect(page.get_by_role("button")).to_have_count(0)
        expect(page.locator("#b").get_by_text("You have no access to this job.")).to_be_visible()
        full = make_token(admin, jobs=["seen"], scopes=["cancel"])
        page.evaluate("(token) => (document.querySelector('#b').token = token)", full)
        expect(page.locator("#b").get_by_role("button", name="Cancel")).to_be_visible()


def test_a_frame_of_any_size_shows_the_job_and_no_button_without_a_token(
    visit: Opener, site: Site, server: Server, worker: Worker
) -> None:
    id = worker.create(title="Framed", steps=[{"name": "one"}, {"name": "two"}])
    worker.reach(id, 42)
    sizes = [(300, 80), (200, 60), (640, 420)]
    frame = '<iframe src="{0}/jobs/{1}/embed" width={2} height={3}></iframe>'
    frames = "".join(frame.format(server.url, id, *size) for size in sizes)
    page = visit(site.write("/frames", frames))
    for n, (width, height) in enumerate(sizes):
        inside = page.frame_locator("iframe").nth(n)
        expect(inside.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "42")
        expect(inside.get_by_role("button")).to_have_count(0)
        root = inside.locator("html")
        scrolled = root.evaluate("(it) => [it.scrollWidth, it.scrollHeight]")
        assert (scrolled[0] <= width, scrolled[1] <= height) == (True, True), (width, scrolled)


# The file


def test_the_element_loads_where_there_is_no_document() -> None:
    node = shutil.which("node")
    need(node, "node is not installed")
    program = f"await import({json.dumps((STATIC / 'live-job.js').as_uri())})"
    subprocess.run([str(node), "--input-type=module", "--eval", program], check=True)


def test_the_element_has_at_most_fifteen_kilobytes() -> None:
    assert len(gzip.compress((STATIC / "live-job.js").read_bytes(), 9)) <= 15_360


def test_the_element_is_made_from_its_source() -> None:
    node = shutil.which("node")
    need(node, "node is not installed")
    command = [str(node), str(BUNDLE), str(STATIC / "src" / "live-job" / "element.js")]
    made = subprocess.run(command, check=True, capture_output=True, text=True)
    assert made.stdout == (STATIC / "live-job.js").read_text(), "run scripts/minify"


def test_with_less_motion_nothing_moves(browser: Browser, server: Server, worker: Worker) -> None:
    id = worker.create(total=None)
    worker.report(id, {"type": "start"})
    context = browser.new_context(reduced_motion="reduce")
    context.add_init_script(EAGER)
    page = context.new_page()
    page.goto(f"{server.url}/jobs/{id}/embed")
    fill = page.locator("i")
    expect(fill).to_have_class("fill unknown", timeout=PATIENCE)
    assert fill.evaluate("(it) => it.getAnimations().length") == 0
    context.close()
