"""How the pages in Chromium stay connected, also when the server goes away."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PATIENCE, Opener
from tests.browser.jobs import Jobs, connection, lines, log, part, progress, row
from tests.support.server import Running, Server


def test_a_page_ends_with_its_job(jobs: Jobs, visit: Opener) -> None:
    id = jobs.create()
    page = visit(jobs.page(id))
    expect(connection(page)).to_have_text("Live")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    jobs.report(id, {"type": "succeed"})
    expect(connection(page)).to_be_hidden()
    assert [url for url in asked if "/static/" not in url] == []  # a font may come late


def test_a_connection_that_fell_silent_is_replaced(jobs: Jobs, visit: Opener) -> None:
    id = jobs.create()
    page = visit("about:blank")
    page.clock.install()
    page.goto(jobs.page(id))
    expect(part(page, "badge")).to_have_text("Queued")  # by then it has a cursor to go on from
    expect(connection(page)).to_have_text("Live")
    with page.expect_request(re.compile(r"/events\?.*since=")):
        page.clock.fast_forward("00:45")  # and no ping came, as far as it knows
    jobs.report(id, log("still here"))
    expect(page.locator(".line")).to_contain_text("still here")
    expect(connection(page)).to_have_text("Live")


def test_a_tab_that_nobody_sees_lets_go_of_its_connection(jobs: Jobs, visit: Opener) -> None:
    id = jobs.create(total=10)
    page = visit("about:blank")
    page.clock.install()
    page.goto(jobs.page(id))
    expect(connection(page)).to_have_text("Live")
    show(page, hidden=True)
    page.clock.fast_forward("00:16")
    expect(connection(page)).to_have_text("Paused")
    jobs.report(id, progress(5), log("unseen"))
    page.clock.fast_forward("00:31")  # it looks in now and then, for its title
    expect(page).to_have_title(re.compile("50%"))
    page.clock.fast_forward("00:03")
    expect(connection(page)).to_have_text("Paused")
    show(page, hidden=False)
    expect(connection(page)).to_have_text("Live")
    assert lines(page) == ["unseen"]


def show(page: Page, *, hidden: bool) -> None:
    page.evaluate(
        """(hidden) => {
          Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


def test_the_jobs_that_a_page_holds_are_bounded(jobs: Jobs, visit: Opener) -> None:
    page = visit(jobs.list)
    kept = page.evaluate(
        """async () => {
          const { Jobs } = await import("/static/livejobs.js");
          const jobs = new Jobs();
          for (let n = 10_000; n < 20_000; n++)
            jobs.take({ id: `j${n}`, created_at: `at ${n}`, cursor: `e.${n}` });
          return [jobs.size, jobs.has("j10000"), jobs.has("j19999")];
        }"""
    )
    assert kept[0] <= 5500
    assert kept[1:] == [False, True]


def test_a_list_that_is_newer_than_the_feed_wins(jobs: Jobs, visit: Opener) -> None:
    """Changes that are older than a job from the list are ignored, newer ones are applied."""
    told = visit(jobs.list).evaluate(
        """async () => {
          const { Jobs } = await import("/static/livejobs.js");
          const jobs = new Jobs();
          const change = (n, set) => jobs.change({ job: "a", cursor: `e.${n}`, set });
          const news = [
            change(1, { message: "of a job that was let go" }),
            jobs.take({ id: "a", created_at: "", cursor: "e.9", message: "nine" }),
            change(8, { message: "eight" }),
            jobs.take({ id: "a", created_at: "", cursor: "e.7", message: "seven" }),
          ];
          const before = jobs.get("a").message;
          return [news, before, change(10, { message: "ten" }), jobs.get("a").message];
        }"""
    )
    assert told == [[False, True, False, False], "nine", True, "ten"]


def test_onmessage_of_a_plain_eventsource_is_a_complete_client(jobs: Jobs, visit: Opener) -> None:
    id = jobs.create(total=3)
    page = visit(jobs.list)
    page.evaluate(
        """([id, patience]) => {
          window.source = new EventSource(`/v1/jobs/${id}/events`);
          source.onmessage = (event) => (window.job = JSON.parse(event.data));
          window.over = new Promise((over) => {
            source.onerror = () => source.readyState === EventSource.CLOSED && over("closed");
            setTimeout(over, patience, "still trying");
          });
        }""",
        [id, PATIENCE],
    )
    for current in (1, 2):
        jobs.report(id, progress(current), {"type": "result", "value": current})
    jobs.report(id, {"type": "succeed", "result": "all"})
    assert page.evaluate("over") == "closed"  # it reconnected, and 204 ended it
    assert page.evaluate("job") == jobs.get(id)
    assert page.evaluate("job.results.length") == 2


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_a_restart_of_the_server_leaves_no_gap(
    server: Server, visit: Opener, http: httpx2.Client, how: str
) -> None:
    jobs = Jobs(server.url, http)
    id = jobs.create(title="Survivor", total=90)
    page, listed = visit(jobs.page(id)), visit(jobs.list)

    def say(numbers: Iterable[int]) -> None:
        for n in numbers:
            jobs.report(id, log(f"line {n}"), {"type": "result", "value": n}, progress(n))

    say(range(30))
    expect(page.locator(".line")).to_have_count(30)
    page.evaluate("document.querySelector('.job-page').dataset.old = 1")
    if how == "killed":
        server.kill()
    else:
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
    expect(connection(page)).to_have_text("Reconnecting")
    server.restart()
    say(range(30, 60))
    expect(connection(page)).to_have_text("Live")
    expect(connection(listed)).to_have_text("Live")
    say(range(60, 90))
    expect(page.locator(".line").last).to_contain_text("line 89")
    shown = lines(page)
    assert len(shown) > 40
    assert shown == [f"line {n}" for n in range(90)][-len(shown) :]
    expect(page.get_by_role("tab", name="Results 90")).to_be_visible()
    # the page continued, it did not start again
    assert page.locator(".job-page[data-old]").count() == 1
    expect(row(listed, "Survivor")).to_contain_text("98%")


def test_the_pages_start_again_with_another_database(
    server: Server, visit: Opener, http: httpx2.Client
) -> None:
    jobs = Jobs(server.url, http)
    jobs.create(title="Of the old one")
    id = jobs.create("same", title="Same name")
    jobs.report(id, log("old"))
    listed, page = visit(jobs.list), visit(jobs.page(id))
    expect(listed.locator(".row")).to_have_count(2)
    expect(page.locator(".line")).to_have_text(re.compile("old"))
    page.context.set_offline(True)  # until the job is there again
    server.kill()
    server.data.rename(server.data.with_name("old"))
    server.restart()
    jobs.create("same", title="Of the new one")
    jobs.report(id, log("new"))
    expect(listed.locator(".row .title")).to_have_text(["Of the new one"])
    page.context.set_offline(False)
    expect(page.locator(".line")).to_have_text(re.compile("new"))
    expect(page.get_by_role("heading", name="Of the new one")).to_be_visible()


def test_pages_work_below_a_path_of_another_app(
    tmp_path: Path, visit: Opener, http: httpx2.Client
) -> None:
    module = [sys.executable, "-m", "tests.browser.mounted"]
    with Running(*module, "--data", str(tmp_path / "data")) as running:
        jobs = Jobs(running.url + "/ops/jobs", http)
        id = jobs.create(title="Below", total=4)
        page = visit(jobs.list)
        jobs.report(id, progress(1))
        expect(row(page, "Below")).to_contain_text("25%")
        row(page, "Below").click()
        expect(page).to_have_url(jobs.page(id))
        jobs.report(id, progress(2), log("here too"))
        expect(part(page, "percent")).to_have_text("50%")
        expect(page.locator(".line")).to_contain_text("here too")
        page.get_by_role("link", name="livejobs").click()
        expect(page).to_have_url(running.url + "/ops/jobs/")
