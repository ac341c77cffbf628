"""A job's files on its page: links that download, and previews."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Opener
from tests.support.desk import Desk
from tests.support.needs import need

ADMIN = "the-first-admin-key"
PIXEL = b"GIF89a\1\0\1\0\x80\0\0\xff\0\0\0\0\0,\0\0\0\0\1\0\1\0\0\2\2D\1\0;"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    desk = Desk(tmp_path_factory.mktemp("desk"))
    yield desk
    desk.close()


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path, env={"LIVEJOBS_ADMIN_KEY": ADMIN})
    desk.http.headers["x-api-key"] = ADMIN
    yield desk
    desk.close()


def made(path: Path, *source: str) -> bytes:
    need(shutil.which("ffmpeg"), "ffmpeg is not installed")
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", *source, str(path)]
    subprocess.run(command, check=True, timeout=300)
    return path.read_bytes()


def page_of(desk: Desk, job: str) -> str:
    return f"{desk.server.url}/jobs/{job.rpartition('/')[2]}"


def row(page: Page, name: str) -> Locator:
    return page.locator(".file").filter(has=page.get_by_role("link", name=name, exact=True))


def downloaded(page: Page, name: str) -> tuple[str, bytes]:
    with page.expect_download() as begun:
        page.get_by_role("link", name=name, exact=True).click()
    return begun.value.suggested_filename, begun.value.path().read_bytes()


def test_files_appear_when_uploaded_and_a_click_downloads_them(desk: Desk, visit: Opener) -> None:
    job, data = desk.job(), os.urandom(123_456)
    page = visit(page_of(desk, job))
    expect(page.get_by_role("tab", name="Files")).to_have_attribute("aria-selected", "false")
    desk.put(job, "größe 1.bin", data)
    expect(row(page, "größe 1.bin")).to_contain_text("123.5 kB")
    assert downloaded(page, "größe 1.bin") == ("größe 1.bin", data)
    expect(page.get_by_role("link", name="Download all")).to_be_hidden()
    desk.attach(job, url="https://example.org/elsewhere")
    expect(row(page, "elsewhere")).to_be_visible()
    name, zipped = downloaded(page, "Download all")
    assert (name, zipped[:2]) == (f"{job.rpartition('/')[2]}.zip", b"PK")


def test_a_name_of_a_file_is_text(desk: Desk, visit: Opener) -> None:
    job, name = desk.job(), "<img src=x onerror=alert(1)>.txt"
    quoted = "".join(f"%{byte:02X}" for byte in name.encode())
    desk.put(job, quoted, b"x").raise_for_status()
    page = visit(page_of(desk, job))
    expect(row(page, name)).to_be_visible()
    assert page.locator("main img").count() == 0
    assert downloaded(page, name)[1] == b"x"


def test_a_film_plays_in_place_and_seeks(desk: Desk, visit: Opener, tmp_path: Path) -> None:
    """Black, then white. The white part is beyond the megabytes that a browser reads ahead."""
    film = made(
        tmp_path / "film.mp4", "color=black:s=320x180:d=20[a];color=white:s=320x180:d=20[b];"
        "[a][b]concat", "-f", "lavfi", "-i", "anoisesrc=d=40", "-c:v", "libx264", "-pix_fmt",
        "yuv420p", "-g", "25", "-c:a", "pcm_s16be", "-f", "mov",
    )  # fmt: skip
    job = desk.job()
    desk.put(job, "film.mp4", film)
    page = visit(page_of(desk, job))
    video = page.locator("video")
    expect(video).to_have_js_property("readyState", 4)
    assert round(video.evaluate("it => it.duration")) == 40
    assert [brightness(video, at) > 128 for at in (1, 30, 2, 39)] == [False, True, False, True]
    ranges: list[str] = []
    page.on("request", lambda it: ranges.append(it.headers.get("range", "")))
    with page.expect_request(re.compile("inline=1")) as asked:
        page.reload()
    expect(video).to_have_js_property("readyState", 4)
    assert any(re.fullmatch("bytes=[0-9]{7,}-", one) for one in ranges)
    got = httpx.get(asked.value.url)
    assert got.headers["content-disposition"] == 'inline; filename="film.mp4"'
    assert hashlib.sha256(got.content).hexdigest() == desk.files(job)[0]["sha256"]


def brightness(video: Locator, at: float) -> float:
    """Seek there, wait until the browser shows that frame, and return its red value.

    `seeked` alone is too early: a busy browser then still shows the frame before.
    """
    red: float = video.evaluate(
        """(video, at) => new Promise((resolve) => {
          const draw = (now, { mediaTime }) => {
            if (Math.abs(mediaTime - at) > 0.1) return video.requestVideoFrameCallback(draw);
            const canvas = new OffscreenCanvas(1, 1).getContext("2d");
            canvas.drawImage(video, 0, 0, 1, 1);
            resolve(canvas.getImageData(0, 0, 1, 1).data[0]);
          };
          video.requestVideoFrameCallback(draw);
          video.currentTime = at;
        })""",
        at,
    )
    return red


def test_files_that_the_browser_can_show_have_a_preview_and_others_a_link(
    desk: Desk, visit: Opener, tmp_path: Path
) -> None:
    job = desk.job()
    desk.put(job, "voice.mp3", made(tmp_path / "voice.mp3", "sine=d=2"))
    for name, data in {"a.gif": PIXEL, "a.tiff": b"II*\0", "a.mkv": b"x", "a.txt": b"x"}.items():
        desk.put(job, name, data)
    page = visit(page_of(desk, job))
    expect(page.locator("audio")).to_have_js_property("duration", 2.0)
    expect(page.locator("main img")).to_have_count(1)
    expect(page.get_by_role("img", name="a.gif")).to_have_js_property("naturalWidth", 1)
    for name in ("a.tiff", "a.mkv", "a.txt"):
        expect(row(page, name)).to_be_visible()
        expect(row(page, name).locator(".preview")).to_have_count(0)


def test_a_picture_that_is_replaced_is_shown_anew(desk: Desk, visit: Opener) -> None:
    job = desk.job()
    desk.put(job, "a.gif", PIXEL)
    page = visit(page_of(desk, job))
    picture = page.get_by_role("img", name="a.gif")
    expect(picture).to_have_js_property("naturalWidth", 1)
    desk.put(job, "a.gif", PIXEL.replace(b"\1\0\1\0\x80", b"\7\0\1\0\x80", 1))
    expect(picture).to_have_js_property("naturalWidth", 7)


def test_players_leave_connections_for_other_requests(
    desk: Desk, visit: Opener, tmp_path: Path
) -> None:
    job, voice = desk.job(), made(tmp_path / "voice.wav", "sine=d=60", "-ar", "96000")
    for n in range(8):
        desk.put(job, f"{n}.wav", voice)
    page = visit(page_of(desk, job))
    expect(page.locator(".file")).to_have_count(8)
    expect(page.locator("audio")).to_have_count(3)
    desk.http.post(f"{job}/reports", json={"type": "log", "message": "still heard"})
    page.get_by_role("tab", name="Log").click()
    expect(page.get_by_text("still heard")).to_be_visible()
    page.get_by_role("tab", name="Files").click()
    assert len(downloaded(page, "7.wav")[1]) == len(voice)


# With access control


def test_a_token_is_enough_to_download_files_and_see_pictures(closed: Desk, visit: Opener) -> None:
    made = closed.http.post("/v1/jobs", json={}).json()
    job = f"/v1/jobs/{made['id']}"
    closed.put(job, "a.gif", PIXEL)
    page = visit(closed.server.url + made["view"]["url"])
    expect(page.get_by_role("img", name="a.gif")).to_have_js_property("naturalWidth", 1)
    assert downloaded(page, "a.gif") == ("a.gif", PIXEL)


def test_a_login_downloads_files_by_links_without_a_token(closed: Desk, visit: Opener) -> None:
    job = closed.job()
    closed.put(job, "a.gif", PIXEL)
    closed.put(job, "b", b"b")
    closed.http.post(f"{job}/reports", json={"type": "succeed"})
    page = visit(page_of(closed, job))
    page.get_by_label("Key").fill(ADMIN)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("img", name="a.gif")).to_have_js_property("naturalWidth", 1)
    assert downloaded(page, "a.gif") == ("a.gif", PIXEL)
    assert downloaded(page, "Download all")[1].startswith(b"PK")
    assert "token=" not in page.content()
    assert ADMIN not in page.content()
