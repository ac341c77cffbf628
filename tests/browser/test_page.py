"""What the pages show in Chromium, on a real server."""

from __future__ import annotations

import subprocess

from playwright.sync_api import Page, expect

from tests.browser.conftest import Opener
from tests.browser.jobs import (
    HOSTILE,
    Jobs,
    connection,
    lines,
    log,
    open_tab,
    part,
    progress,
    row,
    section,
)
from tests.support.desk import eventually
from tests.support.server import Server

# The list


def test_a_job_appears_progresses_and_finishes_on_the_open_page(jobs: Jobs, visit: Opener) -> None:
    page = visit(jobs.list)
    expect(page.get_by_role("heading", name="No jobs yet")).to_be_visible()
    expect(connection(page)).to_have_text("Live")
    id = jobs.create(title="Teaser", type="render", total=100)
    it = row(page, "Teaser")
    expect(it).to_contain_text("render")
    expect(it).to_contain_text("Next in line")
    expect(page.get_by_role("heading", name="No jobs yet")).to_be_hidden()
    for current in (10, 42, 99):
        jobs.report(id, progress(current, f"Pass {current}"))
        expect(it).to_contain_text(f"{current}%")
        expect(it).to_contain_text(f"Pass {current}")
    expect(page).to_have_title(f"{jobs.project} (1 running)")
    jobs.report(id, {"type": "succeed"})
    expect(it).to_contain_text("Succeeded")
    expect(page).to_have_title(jobs.project)
    expect(page.get_by_role("button", name="Succeeded 1")).to_be_visible()
    it.click()
    expect(page).to_have_url(jobs.page(id))
    expect(page.get_by_role("heading", name="Teaser")).to_be_visible()


def test_the_newest_job_stands_first(jobs: Jobs, visit: Opener) -> None:
    jobs.create(title="first")
    page = visit(jobs.list)
    for title in ("second", "third"):
        jobs.create(title=title)
        expect(page.locator(".row .title").first).to_have_text(title)
    expect(page.locator(".row .title")).to_have_text(["third", "second", "first"])


def test_the_commands_of_the_empty_page_work(server: Server, visit: Opener) -> None:
    page = visit(server.url)
    commands = page.locator(".empty code").all_text_contents()
    assert len(commands) == 3
    for command, shows in zip(commands, ["Next in line", "42%", "Succeeded"], strict=True):
        subprocess.run(["bash", "-c", command], check=True, capture_output=True)
        expect(row(page, "Hello")).to_contain_text(shows)


def test_the_commands_quote_a_project_of_any_name(shared: Server, visit: Opener) -> None:
    page = visit(f"{shared.url}/?project=a'$(id)'%0Ab")
    command = page.locator(".empty code").first.text_content() or ""
    words = command.replace("curl", "printf '%s\\0'", 1)
    ran = subprocess.run(["bash", "-c", words], check=True, capture_output=True, text=True)
    assert ran.stdout.split("\0")[-2] == (
        '{"project": "a\'$(id)\'\\nb", "title": "Hello", "total": 100}'
    )


def test_a_command_is_copied(shared: Server, jobs: Jobs, visit: Opener) -> None:
    page = visit(jobs.list)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    copy = page.locator(".copy").first
    copy.click()
    expect(copy).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.locator(".empty code").first.text_content()
    assert f"{shared.url}/v1/jobs/hello" in copied


def test_jobs_are_filtered_by_status_type_and_text(jobs: Jobs, visit: Opener) -> None:
    done = jobs.create(title="Alpha one", type="render")
    jobs.report(done, {"type": "succeed"})
    jobs.create(title="Alpha two", type="ingest")
    jobs.create(title="Beta", type="ingest")
    page = visit(jobs.list)
    titles = page.locator(".row .title")
    expect(titles).to_have_text(["Beta", "Alpha two", "Alpha one"])
    page.get_by_role("button", name="Queued").click()
    expect(titles).to_have_text(["Beta", "Alpha two"])
    page.get_by_label("Find by title or id").fill("ALPHA")
    expect(titles).to_have_text(["Alpha two"])
    page.get_by_label("Type").select_option("render")
    expect(page.get_by_text("No job matches")).to_be_visible()
    page.get_by_role("button", name="All", exact=False).first.click()
    expect(titles).to_have_text(["Alpha one"])
    page.reload()
    expect(titles).to_have_text(["Alpha one"])
    page.get_by_label("Find by title or id").fill("nothing like it")
    page.get_by_role("button", name="Show all jobs").click()
    expect(titles).to_have_count(3)
    assert page.url == jobs.list


def test_a_job_that_no_longer_matches_leaves(jobs: Jobs, visit: Opener) -> None:
    id = jobs.create(title="Short")
    page = visit(f"{jobs.list}&status=queued")
    expect(row(page, "Short")).to_be_visible()
    jobs.report(id, {"type": "start"})
    expect(row(page, "Short")).to_have_count(0)
    page.get_by_role("button", name="Running").click()
    expect(row(page, "Short")).to_be_visible()


def test_places_in_the_queue_move_up(jobs: Jobs, visit: Opener) -> None:
    first, _, _ = (jobs.create(title=title, type="t") for title in ("one", "two", "three"))
    page = visit(jobs.list)
    expect(row(page, "three")).to_contain_text("3 of 3 in line")
    jobs.report(first, {"type": "start"})
    expect(row(page, "three")).to_contain_text("2 of 2 in line")
    expect(row(page, "two")).to_contain_text("Next in line")


def test_a_silent_job_is_stalled_until_its_next_report(jobs: Jobs, visit: Opener) -> None:
    id = jobs.create(title="Silent", heartbeat_timeout=1, total=10)
    jobs.report(id, progress(1, "Working"))
    page = visit(jobs.list)
    expect(row(page, "Silent")).to_contain_text("Stalled")

    def speaks() -> bool:
        """Report again: a second after a report, the job is stalled once more."""
        jobs.report(id, progress(2, "Working again"))
        return "Working again" in row(page, "Silent").inner_text()

    eventually(speaks)


def test_a_deleted_job_disappears(jobs: Jobs, visit: Opener) -> None:
    id = jobs.create(title="Doomed")
    jobs.report(id, {"type": "succeed"})
    listed, alone = visit(jobs.list), visit(jobs.page(id))
    expect(row(listed, "Doomed")).to_contain_text("Succeeded")
    expect(alone.get_by_role("heading", name="Doomed")).to_be_visible()
    assert jobs.http.delete(f"{jobs.url}/v1/jobs/{id}").status_code == 204
    expect(row(listed, "Doomed")).to_have_count(0)
    alone.reload()
    expect(alone.get_by_role("heading", name="There is no such job")).to_be_visible()


# One job


def test_every_field_of_a_job_is_shown_when_it_is_reported(jobs: Jobs, visit: Opener) -> None:
    steps = [{"name": "extract", "title": "Extract scenes"}, {"name": "encode"}]
    id = jobs.create(title="Film", type="render", total=200, unit="frames", steps=steps,
                     tags=["nightly"], meta={"asked_by": "mira"})  # fmt: skip
    page = visit(jobs.page(id))
    expect(part(page, "badge")).to_have_text("Queued")
    expect(page).to_have_title("○ Film")
    jobs.report(
        id,
        {"type": "start", "worker": {"host": "node-7"}},
        progress(84, "Pass 2"),
        {"type": "step", "name": "extract", "status": "succeeded"},
        {"type": "step", "name": "encode", "status": "running", "current": 1, "total": 4},
        {"type": "count", "counters": {"retries": 3}},
        {"type": "result", "value": {"scene": 7}},
        {"type": "error", "message": "Scene is empty", "item": 9},
        log("A line", "warning"),
    )
    expect(part(page, "percent")).to_have_text("42%")
    expect(page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "42")
    expect(page).to_have_title("42% Film")
    expect(part(page, "figures")).to_contain_text("84 of 200 frames")
    expect(part(page, "message")).to_have_text("Pass 2")
    shown = part(page, "steps").locator(".step")
    expect(shown.first).to_contain_text("Extract scenes")
    expect(shown.nth(1)).to_contain_text("25%")
    expect(section(page, "Counters")).to_contain_text("retries3")
    open_tab(page, "Results")
    expect(part(page, "results").locator("thead")).to_have_text("#sceneTime")
    expect(part(page, "results").locator("tbody td").nth(1)).to_have_text("7")
    open_tab(page, "Errors")
    expect(part(page, "errors")).to_contain_text("9: Scene is empty")
    expect(section(page, "Meta")).to_contain_text("mira")
    expect(section(page, "Details")).to_contain_text("node-7")
    open_tab(page, "Log")
    expect(page.locator(".line[data-level=warning]")).to_contain_text("warning")
    expect(page.locator(".line[data-level=warning]")).to_contain_text("A line")
    jobs.report(id, {"type": "succeed", "result": {"path": "out.mp4"}})
    expect(part(page, "percent")).to_have_text("100%")
    expect(part(page, "result")).to_contain_text("out.mp4")
    expect(page.get_by_role("button", name="Cancel")).to_be_hidden()
    expect(page).to_have_title("✓ Film")


def test_why_a_job_failed_is_seen_at_once(jobs: Jobs, visit: Opener) -> None:
    id = jobs.create(title="Film", total=10)
    jobs.report(id, progress(3), {"type": "fail", "message": "Out of memory", "code": "oom",
                                  "detail": {"exit": 137}})  # fmt: skip
    page = visit(jobs.page(id))
    failure = page.locator(".failure")
    for text in ("Out of memory", "oom", "137"):
        expect(failure).to_contain_text(text)
    expect(part(page, "badge")).to_have_text("Failed")
    expect(row(visit(jobs.list), "Film")).to_contain_text("Failed at 30%")


def test_parent_and_children_lead_to_each_other(jobs: Jobs, visit: Opener) -> None:
    parent = jobs.create(title="Whole")
    for n in (1, 2):
        jobs.create(title=f"Part {n}", parent=parent)
    page = visit(jobs.page(parent))
    expect(page.locator(".child a")).to_have_text(["Part 2", "Part 1"])
    page.get_by_role("link", name="2 queued").click()
    expect(page.locator(".row .title")).to_have_text(["Part 2", "Part 1"])
    row(page, "Part 1").click()
    page.get_by_role("link", name=parent).click()
    expect(page.get_by_role("heading", name="Whole")).to_be_visible()


def test_a_job_is_cancelled_after_a_confirmation(jobs: Jobs, visit: Opener) -> None:
    queued, running = jobs.create(title="Waits"), jobs.create(title="Works")
    jobs.report(running, {"type": "start"})
    page = visit(jobs.page(queued))
    page.get_by_role("button", name="Cancel").click()
    assert jobs.get(queued)["status"] == "queued"
    page.get_by_role("button", name="Really?").click()
    expect(part(page, "badge")).to_have_text("Cancelled")
    page = visit(jobs.page(running))
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Really?").click()
    page.get_by_role("button", name="End it now").click()
    assert jobs.get(running)["cancel_requested"]
    page.get_by_role("button", name="Really?").click()
    expect(part(page, "badge")).to_have_text("Cancelled")
    assert jobs.get(running)["status"] == "cancelled"


def test_a_refusal_of_the_server_is_shown(jobs: Jobs, visit: Opener) -> None:
    id = jobs.create()
    page = visit(jobs.page(id))
    page.route("**/cancel", lambda route: route.fulfill(status=503, json={"detail": "Disk full"}))
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Really?").click()
    expect(page.get_by_role("alert")).to_have_text("Disk full")


def test_the_page_of_an_unknown_job_says_so_and_links_to_all_jobs(
    shared: Server, visit: Opener
) -> None:
    page = visit(f"{shared.url}/jobs/nothing-here")
    expect(page.get_by_role("heading", name="There is no such job")).to_be_visible()
    page.get_by_role("link", name="All jobs").click()
    expect(page).to_have_url(f"{shared.url}/")


# Workers' text is shown as text


def test_markup_from_workers_is_shown_as_text(jobs: Jobs, visit: Opener) -> None:
    said = {HOSTILE: HOSTILE}
    id = jobs.create(title=HOSTILE, type=HOSTILE, unit=HOSTILE, tags=[HOSTILE], meta=said,
                     steps=[{"name": HOSTILE, "title": HOSTILE}])  # fmt: skip
    jobs.report(
        id,
        {"type": "start", "worker": said},
        progress(1, HOSTILE),
        {"type": "step", "name": HOSTILE, "status": "running"},
        {"type": "log", "message": HOSTILE, "source": HOSTILE},
        {"type": "count", "counters": {HOSTILE: 1}},
        {"type": "result", "value": said},
        {"type": "result", "value": HOSTILE},
        {"type": "error", "message": HOSTILE, "item": HOSTILE, "detail": said},
    )
    page, listed = visit(jobs.page(id)), visit(jobs.list)
    expect(part(page, "message")).to_have_text(HOSTILE)
    expect(row(listed, HOSTILE)).to_be_visible()
    fail = {"type": "fail", "message": HOSTILE, "code": HOSTILE[:80], "detail": said}
    jobs.report(id, fail)
    expect(page.locator(".failure .reason")).to_contain_text(HOSTILE)
    expect(row(listed, HOSTILE).locator(".message")).to_have_text(HOSTILE)
    for name in ("Results", "Errors", "Children", "History", "JSON", "Embed"):
        open_tab(page, name)
    for name in ("title", "labels", "steps", "log", "errors", "results", "counters", "meta",
                 "facts", "reason", "detail"):  # fmt: skip
        expect(part(page, name)).to_contain_text("<script>window.hit=1</script>")
    for seen in (page, listed):
        assert seen.evaluate("window.hit") is None
        assert seen.locator("img, main script").count() == 0


def test_a_line_of_log_can_neither_colour_nor_disguise(jobs: Jobs, visit: Opener) -> None:
    id = jobs.create(title="Nice\u202egnp.exe")
    said = {
        "\x1b[1;31mred\x1b[0m": "red",
        "\x1b]8;;https://evil.example\x07link\x1b]8;;\x07!": "link!",
        "\x1b]0;title\x1b\\after": "after",
        "\x1b[2J\x1b[Hcleared": "cleared",
        "\x9b31mred\x9b0m": "red",
        "10%\r50%\r100%": "100%",
        "win\r\ndows": "win\ndows",
        "tab\tand\nline": "tab\tand\nline",
        "see \u202egnp.exe\u2066": "see \\u202egnp.exe\\u2066",
        "bell\x07 back\x08": "bell\\u0007 back\\u0008",
        "\x1b": "\\u001b",
        "Ünïcödé 你好 😀": "Ünïcödé 你好 😀",
    }
    jobs.report(id, *(log(line) for line in said))
    page = visit(jobs.page(id))
    expect(page.locator(".line")).to_have_count(len(said))
    assert lines(page) == list(said.values())
    expect(part(page, "title")).to_have_text("Nice\\u202egnp.exe")


# Phones


def test_nothing_is_wider_than_a_phone(jobs: Jobs, visit: Opener) -> None:
    long = "W" * 300
    id = jobs.create(title=long, type="t" * 80, unit="u" * 60, tags=[long[:60]], meta={long: long},
                     steps=[{"name": "a", "title": long}])  # fmt: skip
    jobs.report(
        id,
        {"type": "start", "worker": {"host": long}},
        progress(1, long),
        log(long),
        {"type": "count", "counters": {long: 1}},
        {"type": "error", "message": long, "item": long},
        {"type": "result", "value": {long: long}},
    )
    empty = Jobs(jobs.url, jobs.http)
    for url in (jobs.list, jobs.page(id), empty.list, jobs.page("nothing-here")):
        page = visit(url, width=390, height=844)
        expect(page.locator("main > *").first).to_be_visible()
        expect(page.locator("[aria-busy=true]")).to_have_count(0)
        assert too_wide(page) <= 0, url
    jobs.report(id, {"type": "fail", "message": long, "detail": {long: long}})
    page = visit(jobs.page(id), width=390, height=844)
    expect(page.locator(".failure")).to_be_visible()
    assert too_wide(page) <= 0


def test_the_api_s_page_fits_a_phone_and_needs_nothing_from_elsewhere(
    jobs: Jobs, visit: Opener
) -> None:
    page = visit(jobs.url + "/docs", width=390, height=844)
    expect(page.get_by_role("heading", name="Create a job", exact=True)).to_be_visible()
    assert too_wide(page) <= 0
    loaded = "performance.getEntriesByType('resource').map(it => new URL(it.name).pathname)"
    assert all(path.startswith("/static/") for path in page.evaluate(loaded))
    for operation in ("get_v1_jobs_id", "patch_v1_jobs_id_uploads_upload"):
        page.locator(f"#{operation}").get_by_role("button", name="Try it").click()
        expect(page.get_by_role("button", name="Close")).to_be_visible()
        assert too_wide(page) <= 0
        page.get_by_role("button", name="Close").click()
    page.get_by_role("link", name="Live", exact=True).click()
    expect(page.locator("#live")).to_be_in_viewport()


def too_wide(page: Page) -> int:
    """Pixels that can be scrolled to sideways."""
    root = "document.documentElement"
    return int(page.evaluate(f"{root}.scrollWidth - {root}.clientWidth"))
