"""The page of a job as an MCP App, in Chromium, shown by the official packages for hosts. The
sandbox allows no forms, and its policy nothing but what the page has inside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import FrameLocator, Page, expect

from livejobs.web.pages.assets import static_dir
from tests.browser.axe import severe
from tests.browser.chat import chat, node
from tests.browser.conftest import Opener
from tests.browser.site import Site
from tests.browser.test_watching import Worker
from tests.support.keyed import ADMIN, KEYED, client, make_key
from tests.support.server import Server


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with chat() as site:
        yield site


@pytest.fixture(scope="module")
def server(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("app") / "data"
    with Server(data, "--cors-origins", site.origin) as server:
        yield server


@pytest.fixture(scope="module")
def worker(server: Server) -> Iterator[Worker]:
    worker = Worker(server.url)
    with worker.http:
        yield worker


Show = Callable[..., tuple[Page, FrameLocator]]


@pytest.fixture
def show(site: Site, server: Server, visit: Opener) -> Show:
    """Calls a tool for a job, and shows its page. Returns the host's page and the job's."""

    def show(id: str, *, at: Server = server, width: int = 720, **how: Any) -> Any:
        page = visit(site.origin + "/", width)
        page.wait_for_function("() => Boolean(window.show)")
        page.evaluate("(how) => show(how)", {"url": f"{at.url}/mcp", "id": id, **how})
        return page, page.frame_locator("iframe")

    return show


def asked(page: Page, *wanted: str) -> None:
    """Wait until the page has asked the host for this."""
    found = "(wanted) => asked.some((it) => it.join() === wanted.join())"
    page.wait_for_function(found, arg=list(wanted))


def test_the_page_is_made_from_its_sources() -> None:
    source = static_dir() / "src/job-app/app.js"
    made = node("page.mjs", source)
    assert made == (static_dir() / "job-app.html").read_text(), "run scripts/minify"


def test_the_page_follows_a_job_to_its_end(show: Show, worker: Worker) -> None:
    job = worker.create(title="Teaser <b>&amp;")
    worker.report(
        job,
        {"type": "step", "name": "encode", "title": "Encode", "status": "running"},
        {"type": "progress", "current": 40, "unit": "frames", "message": "Pass 2"},
    )
    page, frame = show(job)
    expect(frame.get_by_text("Teaser <b>&amp;")).to_be_visible()
    bar = frame.get_by_role("progressbar")
    expect(bar).to_have_attribute("aria-valuenow", "40")
    expect(frame.get_by_text("40 of 100 frames")).to_be_visible()
    expect(frame.get_by_role("list", name="Steps").get_by_text("Encode")).to_be_visible()
    worker.reach(job, 80)
    expect(bar).to_have_attribute("aria-valuenow", "80")
    worker.report(job, {"type": "fail", "message": "No disk"})
    expect(frame.get_by_text("No disk")).to_be_visible()
    # The model reads the end with its next turn, and need not ask.
    asked(page, "context", f"Job {job} has failed: No disk")
    height = page.locator("iframe").evaluate("(it) => it.clientHeight")
    assert 80 < height < 400


def test_the_page_moves_while_the_model_waits(show: Show, worker: Worker) -> None:
    job = worker.create()
    worker.reach(job, 10)
    _, frame = show(job, tool="wait_for_job")
    bar = frame.get_by_role("progressbar")
    expect(bar).to_have_attribute("aria-valuenow", "10")
    worker.reach(job, 60)
    expect(bar).to_have_attribute("aria-valuenow", "60")
    worker.report(job, {"type": "succeed"})
    expect(frame.locator(".state")).to_have_text("Succeeded")


def test_a_person_answers_in_the_page(show: Show, worker: Worker) -> None:
    job = worker.create()
    fields = {"to": {"enum": ["beta", "all"]}, "note": {"type": "string", "minLength": 3}}
    schema = {"type": "object", "properties": fields, "required": ["to"]}
    worker.report(job, {"type": "ask", "prompt": "Publish?", "schema": schema})
    _, frame = show(job)
    question = frame.get_by_role("group", name="Question")
    send = question.get_by_role("button", name="Send")
    send.click()  # a field is missing
    question.get_by_label("to").select_option("beta")
    question.get_by_label("note").fill("ab")
    worker.reach(job, 50)  # what is typed stays when the job moves
    expect(frame.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "50")
    send.click()
    expect(question.get_by_role("alert")).to_contain_text("note")
    question.get_by_label("note").fill("abc")
    question.get_by_label("note").press("Enter")
    expect(question).to_be_hidden()
    receipt = worker.http.post(f"/v1/jobs/{job}/reports", json={"type": "heartbeat"}).json()
    assert receipt["answer"]["value"] == {"to": "beta", "note": "abc"}


def test_a_person_cancels_in_the_page(show: Show, worker: Worker) -> None:
    job = worker.create()
    worker.reach(job, 10)
    _, frame = show(job)
    frame.get_by_role("button", name="Cancel").click()
    assert not worker.http.get(f"/v1/jobs/{job}").json()["cancel_requested"]
    frame.get_by_role("button", name="Really?").click()
    expect(frame.locator(".state")).to_have_text("Cancelling")
    frame.get_by_role("button", name="End it now").click()
    frame.get_by_role("button", name="Really?").click()
    expect(frame.locator(".state")).to_have_text("Cancelled")


def test_the_host_opens_a_file(show: Show, worker: Worker, server: Server) -> None:
    job = worker.create()
    path = f"/v1/jobs/{job}/files/a%20%23b.txt"
    worker.http.put(path, content=b"123").raise_for_status()
    page, frame = show(job)
    frame.get_by_role("link", name="a #b.txt").click()
    asked(page, "open", server.url + path)


def test_a_key_that_may_only_look_has_no_buttons(
    site: Site, show: Show, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = tmp_path_factory.mktemp("app") / "closed"
    with Server(data, "--cors-origins", site.origin, env=KEYED) as at, client(at) as admin:
        viewer = make_key(admin, "viewer", "view")["key"]
        admin.put("/v1/jobs/j", json={}).raise_for_status()
        admin.put("/v1/jobs/j/files/a.txt", content=b"1").raise_for_status()
        ask = {"type": "ask", "prompt": "Go?", "schema": {"type": "boolean"}}
        admin.post("/v1/jobs/j/reports", json=ask).raise_for_status()
        page, frame = show("j", at=at, key=viewer)
        expect(frame.get_by_text("Go?")).to_be_visible()
        assert frame.get_by_role("button").count() == 0
        # The file needs a key, and a page that asks for one: that of the job.
        frame.get_by_role("link", name="a.txt").click()
        asked(page, "open", f"{at.url}/jobs/j")
        _, frame = show("j", at=at, key=ADMIN)
        expect(frame.get_by_role("button", name="Yes")).to_be_visible()


def test_a_host_that_passes_on_no_calls_shows_the_result(show: Show, worker: Worker) -> None:
    job = worker.create(title="Still")
    worker.reach(job, 30)
    _, frame = show(job, calls=False)
    expect(frame.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "30")
    assert frame.get_by_role("button").count() == 0


def test_a_job_that_is_not_there_is_said_so(show: Show) -> None:
    _, frame = show("nothing")
    expect(frame.get_by_text("There is no job 'nothing'.")).to_be_visible()


def test_the_page_waits_for_a_server_that_is_away(
    site: Site, show: Show, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = tmp_path_factory.mktemp("app") / "away"
    with Server(data, "--cors-origins", site.origin) as at, client(at, None) as http:
        http.put("/v1/jobs/j", json={"title": "Teaser"}).raise_for_status()
        http.post("/v1/jobs/j/reports", json={"type": "start"}).raise_for_status()
        _, frame = show("j", at=at)
        expect(frame.get_by_text("Running")).to_be_visible()
        at.stop()
        expect(frame.get_by_text("Connection lost. Trying again…")).to_be_visible()
        expect(frame.get_by_text("Teaser")).to_be_visible()
        at.restart()
        expect(frame.get_by_text("Connection lost. Trying again…")).to_be_hidden()


def test_the_page_looks_as_its_host(show: Show, worker: Worker) -> None:
    job = worker.create(type="looks")  # alone in its queue
    variables = {"--color-background-primary": "rgb(1, 2, 3)", "--font-sans": "Georgia"}
    context = {"theme": "dark", "locale": "de-AT", "styles": {"variables": variables}}
    page, frame = show(job, context=context)
    expect(frame.get_by_text("Als Nächstes an der Reihe")).to_be_visible()
    card = frame.locator(".card")
    assert card.evaluate("(it) => getComputedStyle(it).backgroundColor") == "rgb(1, 2, 3)"
    assert card.evaluate("(it) => getComputedStyle(it).fontFamily") == "Georgia"
    assert card.evaluate("(it) => getComputedStyle(it).colorScheme") == "dark"
    page.evaluate("change({ theme: 'light', locale: 'en', styles: {} })")
    expect(frame.get_by_text("Next in line")).to_be_visible()
    assert card.evaluate("(it) => getComputedStyle(it).backgroundColor") == "rgb(255, 255, 255)"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_everyone_can_use_the_page_also_on_a_phone(show: Show, worker: Worker, theme: str) -> None:
    job = worker.create(title="A title that is longer than a phone is wide, by far")
    ask = {"type": "ask", "prompt": "Publish?", "schema": {"type": "boolean"}}
    worker.report(job, {"type": "step", "name": "one"}, ask)
    page, frame = show(job, width=360, context={"theme": theme})
    expect(frame.get_by_role("button", name="Yes")).to_be_visible()
    inner = page.frames[-1]
    assert inner.evaluate("document.documentElement.scrollWidth <= innerWidth")
    title = frame.get_by_text("A title that is longer")
    assert title.evaluate("(it) => it.getBoundingClientRect().width") > 150
    assert severe(inner) == []


def test_a_page_that_is_taken_down_asks_no_more(show: Show, worker: Worker) -> None:
    job = worker.create()
    worker.reach(job, 10)
    page, frame = show(job)
    expect(frame.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "10")
    page.clock.install()
    inner = page.frames[-1]
    before = page.evaluate("sent")
    page.wait_for_function("(before) => sent > before + 1", arg=before)
    page.evaluate("close()")
    before = page.evaluate("sent")
    page.clock.run_for(300_000)
    inner.evaluate("() => new Promise((done) => requestIdleCallback(done))")
    assert page.evaluate("sent") == before
