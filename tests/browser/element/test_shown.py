"""What the element `<live-job>` shows, and what people do with it, in Chromium."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from uuid import uuid4

from playwright.sync_api import Page, expect

from tests.browser.element.tags import bar, element
from tests.browser.site import Site
from tests.browser.test_watching import Worker
from tests.support.server import Server

LANGUAGES = ["en", "de", "fr", "es", "pt", "ja", "zh"]
# No inline style, no inline script, no markup from strings: what a careful site allows.
STRICT = (
    "default-src 'none'; script-src {server}; connect-src {server} {socket}; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
# Keeps what the elements of a page tell, from before they are defined.
HEAR = """
  window.heard = [];
  new MutationObserver(() => {
    for (const it of document.querySelectorAll("live-job:not([data-heard])")) {
      it.dataset.heard = "";
      for (const name of ["change", "end", "error"])
        it.addEventListener(name, ({ detail: { detail, job } }) =>
          heard.push([name, detail ?? job?.status]));
    }
  }).observe(document, { childList: true, subtree: true });
"""


def heard(page: Page) -> list[Any]:
    told: list[Any] = page.evaluate("heard")
    return told


# What it shows


def test_one_tag_in_a_strict_page_of_another_origin_shows_a_moving_job(
    show: Any, server: Server, worker: Worker
) -> None:
    steps = [{"name": "load", "title": "Load scene"}, {"name": "render"}]
    id = worker.create(title="City flyover", unit="frames", steps=steps)
    socket = server.url.replace("http", "ws")
    page = show(element(id), policy=STRICT.format(server=server.url, socket=socket))
    expect(page.get_by_text("City flyover")).to_be_visible()
    expect(page.get_by_text("Next in line")).to_be_visible()
    step = {"type": "step", "name": "load", "status": "succeeded"}
    worker.report(id, step, {"type": "error", "message": "Checksum differs", "item": "tile 7"})
    for percent in (10, 42):
        worker.reach(id, percent)
        expect(bar(page)).to_have_attribute("aria-valuenow", str(percent))
        expect(page.get_by_text(f"at {percent}")).to_be_visible()
    expect(page.get_by_text("42 of 100 frames")).to_be_visible()
    expect(page.get_by_text("tile 7: Checksum differs")).to_be_visible()
    load = page.get_by_role("listitem").filter(has_text="Load scene")
    expect(load.get_by_role("img", name="Succeeded")).to_be_visible()
    worker.http.put(f"/v1/jobs/{id}/files/clip.txt", content=b"film").raise_for_status()
    with page.expect_download() as download:
        page.get_by_role("link", name="clip.txt").click()
    assert Path(download.value.path()).read_bytes() == b"film"
    worker.report(id, {"type": "succeed"})
    expect(page.get_by_text("Succeeded").last).to_be_visible()
    expect(page.get_by_role("button", name="Cancel")).to_be_hidden()


def test_a_page_hears_each_change_and_the_end_once(show: Any, worker: Worker, site: Site) -> None:
    id = worker.create()
    page = show("")
    page.evaluate(HEAR)
    page.evaluate(f"document.querySelector('main').innerHTML = '{element(id)}'")
    expect(bar(page)).to_have_attribute("aria-valuenow", "0")
    worker.reach(id, 30)
    expect(bar(page)).to_have_attribute("aria-valuenow", "30")
    worker.report(id, {"type": "fail", "message": "Out of memory"})
    expect(page.get_by_text("Out of memory")).to_be_visible()
    expect(page.get_by_text("Failed at 30%")).to_be_visible()
    page.wait_for_function("heard.some(([name]) => name === 'end')")
    told = heard(page)
    assert [name for name, _ in told].count("end") == 1
    assert told[0] == ["change", "queued"]
    assert ["change", "failed"] in told
    it = "document.querySelector('live-job')"
    assert page.evaluate(f"[{it}.job.error.message, {it}.state]") == ["Out of memory", "ended"]


HOSTILE = '<img src=x onerror="window.hacked=1"><b>bold</b>\u202e\x1b[31m{0}'


def test_no_text_of_a_worker_becomes_markup(show: Any, worker: Worker) -> None:
    long = HOSTILE + "x" * 3000
    id = worker.create(title=HOSTILE * 3, unit=HOSTILE[:20], type="<i>t</i>",
                       steps=[{"name": "s", "title": HOSTILE}])  # fmt: skip
    name = "<img src=x onerror=hacked=1>.txt"
    worker.http.put(f"/v1/jobs/{id}/files/{name}", content=b"1").raise_for_status()
    worker.report(
        id,
        {"type": "progress", "current": 3, "message": HOSTILE},
        {"type": "log", "message": long},
        {"type": "error", "message": HOSTILE, "item": HOSTILE},
        {"type": "ask", "prompt": HOSTILE, "schema": {"enum": [HOSTILE, "javascript:alert(1)"]}},
    )
    page = show(element(id) + element(id, "compact"))
    expect(page.get_by_role("log")).to_contain_text("xxx")
    expect(page.get_by_role("link")).to_contain_text(name)
    expect(page.locator("live-job i")).to_have_count(2)  # the two bars
    tags = page.evaluate(
        """() => [...document.querySelectorAll("live-job")].flatMap((it) =>
          [...it.shadowRoot.querySelectorAll("*")].map((node) => node.localName))"""
    )
    assert not {"img", "b", "script"} & set(tags)
    assert page.evaluate("window.hacked") is None
    text = page.evaluate("document.querySelector('live-job').shadowRoot.textContent")
    assert HOSTILE.splitlines()[0].replace("\u202e\x1b[31m", "\\u202e") in text
    worker.report(id, {"type": "fail", "message": HOSTILE, "code": "x"})
    expect(page.get_by_text("Failed at 3%").first).to_be_visible()


def test_states_without_a_job_have_words_and_slots(show: Any, worker: Worker) -> None:
    slots = '<b slot="empty">Nothing here yet</b><i slot="footer">by us</i>'
    id = worker.create(title="Real")
    page = show(
        "<live-job id=none></live-job>"
        f"<live-job id=missing job=nope-{uuid4().hex}></live-job>"
        f"<live-job id=mine job=nope>{slots}</live-job>"
        "<live-job id=wrong src='http://[' job=x></live-job>"
        "<live-job id=evil src='javascript:alert(1)' job=x></live-job>"
        "<live-job id=odd renew='http://[' job=x></live-job>"
        f"<live-job id=titled job={id}><b slot=title>Our title</b></live-job>"
    )
    expect(page.locator("#none").get_by_text("No job is chosen.")).to_be_visible()
    expect(page.locator("#missing").get_by_text("There is no such job.")).to_be_visible()
    expect(page.locator("#mine").get_by_text("Nothing here yet")).to_be_visible()
    expect(page.locator("#mine").get_by_text("by us")).to_be_visible()
    expect(page.locator("#wrong").get_by_text("Invalid URL")).to_be_visible()
    expect(page.locator("#evil").get_by_text("not an address of a server")).to_be_visible()
    expect(page.locator("#odd").get_by_text("Invalid URL")).to_be_visible()
    expect(page.locator("#titled").get_by_text("Our title")).to_be_visible()
    expect(page.locator("#titled").get_by_text("Real")).to_be_hidden()


def test_every_language_has_every_text(show: Any, worker: Worker) -> None:
    id = worker.create(title="Film")
    page = show(element(id, 'lang="de"'))
    words = page.evaluate("customElements.get('live-job').words")
    assert list(words) == LANGUAGES
    values = {
        lang: {k: re.findall(r"\{\d\}", v) for k, v in own.items()} for lang, own in words.items()
    }
    for lang in LANGUAGES:
        assert values[lang].keys() == values["en"].keys()
        assert all(sorted(values[lang][key]) == values["en"][key] for key in values["en"]), lang
    expect(page.get_by_role("button", name="Abbrechen")).to_be_visible()
    worker.reach(id, 42)
    expect(page.get_by_text("42 %")).to_be_visible()
    for lang, word in [
        ("ja", "キャンセル"),
        ("pt-BR", "Cancelar"),
        ("en_US", "Cancel"),
        ("!", "Cancel"),
    ]:
        page.evaluate(f"document.querySelector('live-job').lang = '{lang}'")
        expect(page.get_by_role("button", name=word, exact=True)).to_be_visible()
        expect(bar(page)).to_have_attribute("aria-valuenow", "42")


def test_screen_readers_hear_quarters_and_the_end(show: Any, worker: Worker) -> None:
    id = worker.create()
    worker.reach(id, 5)
    page = show(element(id))
    expect(bar(page)).to_have_attribute("aria-valuenow", "5")
    status = page.get_by_role("status")
    page.evaluate(
        """() => {
          window.said = [];
          const node = document.querySelector("live-job").shadowRoot.querySelector(".sr");
          const observer = new MutationObserver(() => said.push(node.textContent));
          observer.observe(node, { childList: true });
        }"""
    )
    for percent in (6, 7, 30, 31, 49, 60, 61):
        worker.reach(id, percent)
        expect(bar(page)).to_have_attribute("aria-valuenow", str(percent))
    worker.report(id, {"type": "succeed"})
    expect(status).to_have_text("Succeeded")
    assert page.evaluate("said") == ["Running, 25%", "Running, 50%", "Succeeded"]


# What people do with it


def test_a_job_is_cancelled_by_keyboard_alone(show: Any, worker: Worker) -> None:
    id = worker.create()
    worker.reach(id, 10)
    page = show("<button>Before</button>" + element(id))
    button = page.get_by_role("button", name="Cancel")
    expect(button).to_be_visible()
    page.get_by_text("Before").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Really?")).to_be_focused()
    assert not worker.http.get(f"/v1/jobs/{id}").json()["cancel_requested"]
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="End it now")).to_be_focused()
    assert worker.http.get(f"/v1/jobs/{id}").json()["cancel_requested"]
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Cancelled").last).to_be_visible()


def test_a_question_is_answered_by_keyboard_alone(show: Any, worker: Worker) -> None:
    id = worker.create()
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 3}, "copies": {"type": "integer"}},
        "required": ["name"],
    }
    page = show(element(id))
    page.evaluate("window.keys = []; addEventListener('keydown', ({ key }) => keys.push(key))")
    worker.report(id, {"type": "ask", "prompt": "Who signs?", "schema": schema})
    expect(page.get_by_text("Who signs?", exact=True)).to_be_visible()
    page.get_by_label("name").focus()
    page.keyboard.type("jkjk")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("longer than 3")
    expect(page.get_by_label("name")).to_be_focused()
    page.get_by_label("name").fill("Ann")
    page.get_by_label("name").press("Tab")
    page.keyboard.type("7")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Who signs?", exact=True)).to_be_hidden()
    assert page.evaluate("document.activeElement.localName") == "live-job"
    receipt = worker.http.post(f"/v1/jobs/{id}/reports", json={"type": "heartbeat"}).json()
    assert receipt["answer"]["value"] == {"name": "Ann", "copies": 7}
    assert page.evaluate("keys") == []


def test_readonly_and_compact_have_no_form(show: Any, worker: Worker) -> None:
    id = worker.create()
    worker.report(id, {"type": "ask", "prompt": "Publish?", "schema": {"type": "boolean"}})
    page = show(element(id, "readonly id=a") + element(id, "compact id=b"))
    for name in ("a", "b"):
        expect(page.locator(f"#{name}").get_by_text("Publish?").last).to_be_visible()
    expect(page.get_by_role("button")).to_have_count(1)
    expect(page.locator("#b").get_by_role("button", name="Cancel")).to_be_visible()
    page.evaluate("document.querySelector('#a').readonly = false")
    page.locator("#a").get_by_role("button", name="Yes").click()
    expect(page.locator("#a").get_by_text("Publish?")).to_have_count(0)
