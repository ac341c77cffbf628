"""Frames, in Chromium: a job in a page of another origin, and files in a page of ours."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2 as httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import PATIENCE, Opener
from tests.support.keyed import KEYED, client, make_token
from tests.support.server import Server

PDF = b"""%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 300]>>endobj
trailer<</Root 1 0 R>>
"""
SPEAKS = "parent.postMessage('it ran', '*'); document.title = 'it ran'"
HTML = f'<p>shown</p><script>{SPEAKS}</script><img src=x onerror="{SPEAKS}">'.encode()
SVG = f"""<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>{SPEAKS}</script>
<rect width="9" height="9"/></svg>""".encode()


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("data"), env=KEYED) as server:
        yield server


@pytest.fixture(scope="module")
def admin(closed: Server) -> Iterator[httpx.Client]:
    with client(closed) as admin:
        yield admin


@contextmanager
def other_site(html: str) -> Iterator[str]:
    """A page of another origin."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = html.encode() if self.path == "/" else b""
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    site = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=site.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{site.server_port}/"
    finally:
        site.shutdown()
        thread.join()
        site.server_close()


def test_a_page_of_another_origin_frames_a_job_and_shows_its_badge(
    visit: Opener, closed: Server, admin: httpx.Client
) -> None:
    admin.put("/v1/jobs/framed", json={"title": "Teaser"})
    token = make_token(admin, jobs=["framed"])
    job = f"{closed.url}/jobs/framed"
    html = (
        f'<iframe src="{job}/embed?token={token}"></iframe>'
        f'<img src="{job}/badge.svg?token={token}">'
    )
    with other_site(html) as url:
        page = visit(url)
        element = page.frame_locator("iframe").locator("live-job")
        expect(element).to_contain_text("Teaser: queued")
        page.wait_for_function("document.querySelector('img').naturalHeight === 20")


def test_an_embedded_job_is_text_where_there_is_no_script(
    browser: Browser, closed: Server, admin: httpx.Client
) -> None:
    admin.put("/v1/jobs/plain", json={"title": "<b>Teaser</b>"})
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{closed.url}/jobs/plain/embed?token={make_token(admin)}")
    expect(page.get_by_text("<b>Teaser</b>: queued")).to_be_visible(timeout=PATIENCE)
    context.close()


def test_files_are_shown_in_a_page_of_ours_but_can_t_act(
    whole_browser: Browser, closed: Server, admin: httpx.Client
) -> None:
    admin.put("/v1/jobs/files")
    kinds = {"a.pdf": "application/pdf", "a.html": "text/html", "a.svg": "image/svg+xml"}
    for (name, kind), data in zip(kinds.items(), (PDF, HTML, SVG), strict=True):
        answer = admin.put(
            f"/v1/jobs/files/files/{name}", content=data, headers={"content-type": kind}
        )
        assert answer.status_code == 201
    context = whole_browser.new_context()
    page = context.new_page()
    page.goto(f"{closed.url}/jobs/files?token={make_token(admin, jobs=['files'])}")
    token = make_token(admin, jobs=["files"])
    assert page.evaluate(SHOW, token) == []
    expect(page.frame_locator("#a\\.html").get_by_text("shown")).to_be_visible(timeout=PATIENCE)
    # The browser's own viewer of PDF runs, which it does in a process of its own.
    wait_for_viewer(page)
    context.close()


# Frames of all three files and an image. It returns what the files told the page while they loaded.
SHOW = """async (token) => {
  const heard = [];
  addEventListener("message", (event) => event.data === "it ran" && heard.push(event.data));
  const shown = [["iframe", "a.html"], ["iframe", "a.pdf"], ["iframe", "a.svg"], ["img", "a.svg"]];
  const load = ([tag, name]) => new Promise((loaded, failed) => {
    const element = document.createElement(tag);
    element.onload = loaded;
    element.onerror = failed;
    element.src = `/v1/jobs/files/files/${name}?inline=1&token=${token}`;
    if (tag === "iframe") element.id = name;
    document.body.append(element);
  });
  await Promise.all(shown.map(load));
  return heard;
}"""


def wait_for_viewer(page: Page) -> None:
    for _ in range(PATIENCE // 100):
        if any(frame.url.startswith("chrome-extension://") for frame in page.frames):
            return
        page.wait_for_timeout(100)
    raise AssertionError([frame.url for frame in page.frames])
