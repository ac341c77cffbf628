"""The dashboard in Chromium, on a real server: its list, its charts, and its keys."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Opener
from tests.browser.jobs import HOSTILE, Jobs, progress, row
from tests.browser.test_access import ADMIN
from tests.support.desk import eventually
from tests.support.server import BIN, Server


@pytest.fixture(scope="module")
def http() -> Iterator[httpx2.Client]:
    with httpx2.Client() as http:
        yield http


@pytest.fixture
def jobs(shared: Server, http: httpx2.Client) -> Jobs:
    return Jobs(shared.url, http)


@pytest.fixture(scope="module")
def many(shared: Server, http: httpx2.Client) -> Jobs:
    """A project with 230 jobs."""
    jobs = Jobs(shared.url, http)
    for n in range(230):
        jobs.create(title=f"Job {n:03}")
    return jobs


def titles(page: Page) -> Locator:
    return page.locator(".row .title")


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.textContent"))


# Many jobs


def in_order(shown: list[str]) -> bool:
    return shown == sorted(shown, reverse=True)


def test_a_long_list_is_read_while_it_scrolls_and_stays_a_small_document(
    many: Jobs, visit: Opener
) -> None:
    page = visit(many.list)
    expect(page.get_by_role("button", name="All 230")).to_be_visible()
    expect(titles(page).first).to_have_text("Job 229")
    page.keyboard.press("j")
    seen: list[str] = []
    for n in reversed(range(0, 230, 8)):
        page.evaluate(f"scrollTo(0, document.querySelector('.rows').offsetTop + {(229 - n)} * 46)")
        expect(row(page, f"Job {n:03}")).to_be_attached()
        seen += [text for text in titles(page).all_text_contents() if text not in seen]
        assert page.locator(".row, .gap").count() < 60
    assert sorted(seen) == [f"Job {n:03}" for n in range(230)]
    eventually(lambda: in_order(titles(page).all_text_contents()))
    assert focused(page) == "Job 229"
    page.evaluate("scrollTo(0, 0)")
    expect(titles(page).first).to_have_text("Job 229")
    for _ in range(60):
        page.keyboard.press("j")
    eventually(lambda: not page.locator(".rows.moving").count())
    eventually(lambda: in_order(titles(page).all_text_contents()))
    assert focused(page) == "Job 169"


def test_a_job_far_down_is_found_by_its_title(many: Jobs, visit: Opener) -> None:
    page = visit(many.list)
    page.keyboard.press("/")
    page.keyboard.type("job 003")
    expect(titles(page)).to_have_text(["Job 003"])
    expect(page).to_have_url(re.compile(r"q=job\+003"))


def test_jobs_far_from_the_reader_are_let_go_and_keep_their_places(
    jobs: Jobs, visit: Opener
) -> None:
    """100,000 rows are 100,000 small entries; whole jobs are kept near the reader only."""
    found = visit(jobs.list).evaluate(
        """async () => {
          const { Entries } = await import("/static/pages/entries.js");
          const all = new Entries();
          all.next = "more";
          for (let page = 0; page < 200; page++) {
            for (let n = 0; n < 100; n++) {
              const at = String(1e6 - page * 100 - n);
              all.take({ id: `j${at}`, created_at: at, parent: null }, { fits: true, page });
            }
            all.arrange();
            all.trim(page * 100, page * 100 + 20);
          }
          const whole = all.order.filter((entry) => entry.job);
          return [all.order.length, whole.length, all.order.at(-1).job !== null, all.order[0].page];
        }"""
    )
    assert found[0] == 20_000
    assert found[1] <= 3_100
    assert found[2:] == [True, 0]


# A steady list


def test_rows_keep_their_places_under_the_mouse(jobs: Jobs, visit: Opener) -> None:
    first = jobs.create(title="first")
    jobs.create(title="second")
    page = visit(jobs.list)
    row(page, "second").hover()
    jobs.create(title="third")
    jobs.create(title="fourth")
    news = page.get_by_role("button", name="2 new jobs")
    expect(news).to_be_visible()
    jobs.report(first, progress(1, "still live"))
    expect(row(page, "first")).to_contain_text("still live")
    expect(titles(page)).to_have_text(["second", "first"])
    news.click()
    expect(titles(page)).to_have_text(["fourth", "third", "second", "first"])
    row(page, "first").hover()
    jobs.create(title="fifth")
    expect(page.get_by_role("button", name="1 new job")).to_be_visible()
    page.mouse.move(5, 5)
    expect(titles(page).first).to_have_text("fifth")
    expect(page.locator("[data-part=news]")).to_be_hidden()


def test_a_job_that_no_longer_matches_leaves_when_the_mouse_does(jobs: Jobs, visit: Opener) -> None:
    id, other = jobs.create(title="Starts"), jobs.create(title="Waits")
    page = visit(f"{jobs.list}&status=queued")
    row(page, "Starts").hover()
    jobs.report(id, {"type": "start"})
    expect(page.locator(".row.leaving")).to_contain_text("Starts")
    jobs.report(other, {"type": "start"})
    expect(page.locator(".row.leaving")).to_have_count(2)
    page.mouse.move(5, 5)
    expect(page.locator(".row")).to_have_count(0)
    expect(page.get_by_text("No job is in the queue.")).to_be_visible()


# Children


def test_children_open_below_their_parent(jobs: Jobs, visit: Opener) -> None:
    parent = jobs.create(title="Whole")
    first, _ = (jobs.create(title=f"Part {n}", parent=parent) for n in (1, 2))
    jobs.create(title="Other")
    page = visit(jobs.list)
    expect(titles(page)).to_have_text(["Other", "Whole"])
    expect(row(page, "Whole")).to_contain_text("2 children")
    page.get_by_role("button", name="Children").click()
    expect(titles(page)).to_have_text(["Other", "Whole", "Part 1", "Part 2"])
    jobs.report(first, progress(1, "moving"))
    expect(row(page, "Part 1")).to_contain_text("moving")
    expect(row(page, "Whole")).to_contain_text("2 children, 1 running")
    page.mouse.move(5, 5)
    jobs.create(title="Part 3", parent=parent)
    expect(titles(page)).to_have_text(["Other", "Whole", "Part 1", "Part 2", "Part 3"])
    page.get_by_role("link", name="3 children").click()
    expect(titles(page)).to_have_text(["Part 3", "Part 2", "Part 1"])
    expect(page.get_by_text("Children of")).to_be_visible()


# Keyboard and cancelling


def test_jobs_are_selected_and_cancelled_by_keyboard_alone(jobs: Jobs, visit: Opener) -> None:
    ids = [jobs.create(title=f"Job {n}") for n in range(4)]
    jobs.report(ids[1], {"type": "start"})
    jobs.report(ids[0], {"type": "succeed"})
    page = visit(jobs.list)
    expect(titles(page)).to_have_count(4)
    page.keyboard.press("j")
    assert focused(page) == "Job 3"
    for key, at in (("j", "Job 2"), ("k", "Job 3"), ("j", "Job 2"), ("x", "Job 2"), ("j", "Job 1"),
                    ("j", "Job 0"), ("Shift+X", "Job 0")):  # fmt: skip
        page.keyboard.press(key)
        assert focused(page) == at
    bar = page.get_by_role("region", name="Selected jobs")
    expect(bar).to_contain_text("3 selected")
    bar.get_by_role("button", name="Cancel jobs").press("Enter")
    expect(bar).to_contain_text("Cancel 2 jobs?")
    assert jobs.get(ids[2])["status"] == "queued"
    bar.get_by_role("button", name="Cancel 2 jobs").press("Enter")
    expect(bar.get_by_role("status")).to_have_text("1 job cancelled, 1 job asked to stop")
    expect(row(page, "Job 2")).to_contain_text("Cancelled")
    expect(row(page, "Job 1")).to_contain_text("Cancelling")
    assert jobs.get(ids[3])["status"] == "queued"
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Find a job")
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.keyboard.press("g")
    page.keyboard.press("Enter")
    expect(page).to_have_url(jobs.page(ids[3]))


def test_a_refusal_to_cancel_is_told(jobs: Jobs, visit: Opener) -> None:
    jobs.create(title="Stays")
    page = visit(jobs.list)
    page.route("**/cancel", lambda route: route.fulfill(status=503, json={"detail": "Disk full"}))
    page.get_by_role("checkbox", name="Select Stays").click()
    page.get_by_role("button", name="Cancel jobs").click()
    page.get_by_role("button", name="Keep them").click()
    expect(page.get_by_role("region", name="Selected jobs")).to_be_hidden()
    page.get_by_role("checkbox", name="Select Stays").click()
    page.get_by_role("button", name="Cancel jobs").click()
    page.get_by_role("button", name="Cancel 1 job").click()
    expect(page.get_by_text("Disk full")).to_be_visible()


def test_all_unfinished_jobs_of_a_filter_are_selected(jobs: Jobs, visit: Opener) -> None:
    for n in range(4):
        jobs.create(title=f"Job {n}", type="export")
    jobs.report(jobs.create(title="Over", type="export"), {"type": "succeed"})
    jobs.create(title="Other", type="render")
    page = visit(f"{jobs.list}&type=export")
    page.get_by_role("checkbox", name="Select Job 3").click()
    page.get_by_role("button", name="Select all unfinished").click()
    expect(page.get_by_text("4 selected")).to_be_visible()
    page.get_by_role("button", name="Cancel jobs").click()
    page.get_by_role("button", name="Cancel 4 jobs").click()
    expect(page.get_by_text("4 jobs cancelled")).to_be_visible()
    expect(page.get_by_role("button", name="Queued 0")).to_be_visible()


# Filters and charts


def test_filters_are_in_the_address_and_go_back_with_it(jobs: Jobs, visit: Opener) -> None:
    jobs.create(title="Tagged", tags=["nightly"])
    silent = jobs.create(title="Silent", heartbeat_timeout=1, total=9)
    jobs.report(silent, progress(1))
    page = visit(jobs.list)
    expect(page.get_by_role("button", name="Stalled 1")).to_be_visible()
    page.get_by_role("button", name="Stalled 1").click()
    expect(titles(page)).to_have_text(["Silent"])
    expect(page).to_have_url(re.compile(r"\?flag=stalled&project="))
    jobs.report(silent, {"type": "ask", "prompt": "Send it?"})
    page.get_by_role("button", name="Waiting 1").click()
    expect(row(page, "Silent")).to_contain_text("“Send it?”")
    expect(row(page, "Silent")).to_contain_text("Waiting for an answer")
    page.get_by_role("button", name="All 2").click()
    page.get_by_label("Tag", exact=True).select_option("nightly")
    expect(titles(page)).to_have_text(["Tagged"])
    expect(page).to_have_url(re.compile(r"\?tag=nightly&project="))
    for _ in range(3):
        page.go_back()
    expect(page).to_have_url(re.compile("flag=stalled"))
    jobs.report(silent, {"type": "progress", "current": 1})
    expect(titles(page)).to_have_text(["Silent"])
    expect(page.get_by_role("button", name="Stalled 1")).to_have_attribute("aria-pressed", "true")


def test_charts_count_what_ends_and_tell_each_point(jobs: Jobs, visit: Opener) -> None:
    ends: tuple[dict[str, Any], ...] = (
        {"type": "succeed"}, {"type": "succeed"}, {"type": "fail", "message": "no"}
    )  # fmt: skip
    for end in ends:
        jobs.report(jobs.create(), {"type": "start"}, end)
    jobs.create(title="Queued")
    page = visit(jobs.list)
    finished, failed, queue, _ = page.locator(".cards .card").all()
    expect(finished.locator("[data-part=figure]")).to_have_text("3")
    expect(failed.locator("[data-part=figure]")).to_have_text("33%")
    expect(queue.locator("[data-part=figure]")).to_have_text("1")
    assert finished.locator("path").get_attribute("d")
    jobs.report(jobs.create(), {"type": "start"}, {"type": "succeed"})
    expect(finished.locator("[data-part=figure]")).to_have_text("4")
    point = finished.get_by_role("slider")
    point.focus()
    for _ in range(3):
        point.press("ArrowLeft")
    expect(point).to_have_attribute("aria-valuetext", re.compile(r"^\d\d:\d\d, \d"))
    expect(finished.locator("[data-part=to]")).to_have_text(re.compile(r"^\d\d:\d\d$"))
    page.get_by_role("button", name="Week").click()
    expect(page).to_have_url(re.compile(r"range=week"))
    expect(finished.locator("svg")).to_have_attribute("viewBox", re.compile("^0 0 1680 "))
    expect(point).to_have_attribute("aria-label", re.compile("last week: 4"))


def test_another_project_is_chosen_by_keyboard(jobs: Jobs, visit: Opener) -> None:
    jobs.create(title="Here")
    page = visit(jobs.url)
    page.get_by_role("button", name="choose another").press("Enter")
    while focused(page) != jobs.project:
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page).to_have_url(jobs.list)
    expect(titles(page)).to_have_text(["Here"])


def test_names_from_workers_are_text_in_every_menu(jobs: Jobs, visit: Opener) -> None:
    jobs.create(title=HOSTILE, type=HOSTILE, tags=[HOSTILE])
    page = visit(jobs.list)
    expect(row(page, HOSTILE)).to_be_visible()
    for name in ("Type", "Tag"):
        expect(page.get_by_label(name, exact=True).locator("option").nth(1)).to_have_text(HOSTILE)
    row(page, HOSTILE).get_by_role("checkbox").click()
    assert page.evaluate("window.hit") is None
    assert page.locator("img, main script").count() == 0


# The first job


def test_the_lines_to_copy_create_a_job(tmp_path: Path, jobs: Jobs, visit: Opener) -> None:
    page = visit(jobs.list)
    env = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "LIVEJOBS_SPOOL": str(tmp_path)}
    page.get_by_role("tab", name="curl").focus()
    page.keyboard.press("ArrowRight")
    server, code = page.locator(".empty code").all_text_contents()[1:]
    assert server == f"export LIVEJOBS_URL={jobs.url}"
    page.keyboard.press("ArrowRight")
    command = page.locator(".empty code").all_text_contents()[2]
    quick = f"import time\ntime.sleep = lambda _: None\n{code}"
    env["LIVEJOBS_URL"] = jobs.url
    subprocess.run([sys.executable, "-c", quick], check=True, env=env)
    expect(row(page, "Hello")).to_contain_text("Succeeded")
    again = command.replace("sleep 0.5", "true")
    done = subprocess.run(["bash", "-c", again], check=True, env=env, capture_output=True)
    assert b"20/20" in done.stdout


# Rights


def test_what_a_token_may_not_do_is_not_offered(tmp_path: Path, visit: Opener) -> None:
    with (
        Server(tmp_path / "data", env={"LIVEJOBS_ADMIN_KEY": ADMIN}) as server,
        httpx2.Client(base_url=server.url, headers={"x-api-key": ADMIN}) as admin,
    ):
        for id in ("a", "b"):
            admin.put(f"/v1/jobs/{id}", json={"title": f"Job {id}"})

        def opened(**rights: Any) -> Page:
            token = admin.post("/v1/tokens", json={"scopes": ["view"], **rights}).json()["token"]
            return visit(f"{server.url}/?token={token}")

        page, of_one = opened(), opened(jobs=["a"])
        expect(titles(page)).to_have_text(["Job b", "Job a"])
        expect(page.locator(".cards")).to_be_visible()
        expect(page.locator(".watching-only")).to_be_attached()
        page.keyboard.press("j")
        page.keyboard.press("x")
        expect(page.get_by_role("region", name="Selected jobs")).to_be_hidden()
        expect(titles(of_one)).to_have_text(["Job a"])
        expect(of_one.locator(".cards")).to_be_hidden()
