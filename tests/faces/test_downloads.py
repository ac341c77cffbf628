"""The files of translations and renders through their faces: when there is one to have, how it
comes, and what is said when it does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from tests.support.api import Api
from tests.support.desk import eventually
from tests.support.server import Server

DOWNLOADS = {"translation": "/api/v1/download/{id}", "render": "/api/jobs/{id}/download"}
BYTES = bytes(range(256)) * 40
every_face = pytest.mark.parametrize("face", DOWNLOADS)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def api(data: Path) -> Iterator[Api]:
    with Server(data) as server, Api(server.url) as api:
        done(api, "film", "output.mp4", "video/mp4")
        yield api


def done(api: Api, id: str, name: str | None, media_type: str = "", **meta: object) -> None:
    api.create(id=id, meta=meta)
    if name is not None:
        headers = {"content-type": media_type}
        url = f"/v1/jobs/{id}/files/{name}"
        assert api.put(url, content=BYTES, headers=headers).status_code == 201
    api.report(id, {"type": "succeed"})


def get(api: Api, face: str, id: str = "film", **headers: str) -> httpx.Response:
    return api.get(DOWNLOADS[face].format(id=id), headers=headers)


def refused(answer: httpx.Response, face: str, status: int, why: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.json() == {"detail" if face == "translation" else "error": why}
    assert answer.headers["cache-control"] == "no-store"


@every_face
def test_the_file_comes_whole_and_as_an_attachment(api: Api, face: str) -> None:
    answer = get(api, face)
    assert (answer.status_code, answer.content) == (200, BYTES)
    assert answer.headers["content-disposition"].startswith('attachment; filename="output.mp4"')
    assert answer.headers["content-length"] == str(len(BYTES))
    assert answer.headers["accept-ranges"] == "bytes"


def test_a_render_has_its_own_type_and_a_translation_none(api: Api) -> None:
    assert get(api, "render").headers["content-type"] == "video/mp4"
    assert get(api, "translation").headers["content-type"] == "application/octet-stream"


def test_an_image_is_an_image(api: Api) -> None:
    done(api, "still", "still.jpg", "image/jpeg")
    assert get(api, "render", "still").headers["content-type"] == "image/jpeg"


def test_a_translation_says_how_it_was_made(api: Api) -> None:
    done(
        api, "made", "a.txt", "text/plain", processing_type="adv\r\nän", format_preservation=True
    )  # fmt: skip
    headers = get(api, "translation", "made").headers
    assert headers["x-processing-type"] == "advn"
    assert headers["x-format-preserved"] == "true"
    headers = get(api, "translation").headers
    assert (headers["x-processing-type"], headers["x-format-preserved"]) == ("", "false")


@every_face
def test_head_tells_the_same_without_the_bytes(api: Api, face: str) -> None:
    head = api.head(DOWNLOADS[face].format(id="film"))
    got = get(api, face)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-length", "content-type", "etag", "content-disposition"):
        assert head.headers[name] == got.headers[name]


@every_face
def test_a_part_can_be_asked_for(api: Api, face: str) -> None:
    answer = get(api, face, range="bytes=10-19")
    assert (answer.status_code, answer.content) == (206, BYTES[10:20])
    assert answer.headers["content-range"] == f"bytes 10-19/{len(BYTES)}"


@every_face
def test_a_part_that_is_not_there_is_416_in_the_faces_shape(api: Api, face: str) -> None:
    answer = get(api, face, range=f"bytes={len(BYTES)}-")
    why = f"The file has {len(BYTES)} bytes, and none of them is in the requested range."
    refused(answer, face, 416, why)
    assert answer.headers["content-range"] == f"bytes */{len(BYTES)}"


@every_face
def test_a_file_that_is_known_is_not_sent_again(api: Api, face: str) -> None:
    tag = get(api, face).headers["etag"]
    assert not tag.startswith("W/")
    assert get(api, face, **{"if-none-match": tag}).status_code == 304


@every_face
@pytest.mark.parametrize("state", ["queued", "running", "failed", "cancelled"])
def test_only_what_is_completed_can_be_had(api: Api, face: str, state: str) -> None:
    id = api.create()
    if state != "queued":
        api.report(id, {"type": "start"})
        api.put(f"/v1/jobs/{id}/files/part", content=BYTES)
    if state == "failed":
        api.report(id, {"type": "fail", "message": "no"})
    elif state == "cancelled":
        api.post(f"/v1/jobs/{id}/cancel?force=true")
    status, why = {
        "translation": (400, "Translation not completed"),
        "render": (409, "Job is not completed"),
    }[face]
    refused(get(api, face, id), face, status, why)


MISSING = {"translation": "Output file not found", "render": "File not found"}


@every_face
def test_a_job_without_a_file_has_none_to_give(api: Api, face: str) -> None:
    done(api, f"bare-{face}", None)
    refused(get(api, face, f"bare-{face}"), face, 404, MISSING[face])


@every_face
def test_a_file_that_has_gone_from_the_disk_is_404(api: Api, face: str, data: Path) -> None:
    before = kept(data)
    done(api, f"lost-{face}", "lost.bin", "video/mp4")
    assert get(api, face, f"lost-{face}").status_code == 200
    (bytes_of_it,) = kept(data) - before
    bytes_of_it.unlink()
    refused(get(api, face, f"lost-{face}"), face, 404, MISSING[face])


def kept(data: Path) -> set[Path]:
    return {path for path in (data / "files").rglob("*") if path.is_file()}


@every_face
def test_a_job_that_is_not_there_is_404(api: Api, face: str) -> None:
    refused(get(api, face, "none"), face, 404, "Job not found")


def test_a_file_that_lies_elsewhere_is_pointed_at(api: Api) -> None:
    api.create(id="far")
    there = {"name": "out.mp4", "url": "https://files.example/out.mp4"}
    assert api.post("/v1/jobs/far/files", json=there).status_code == 201
    api.report("far", {"type": "succeed"})
    for face in DOWNLOADS:
        answer = get(api, face, "far")
        assert (answer.status_code, answer.headers["location"]) == (302, there["url"])


def test_a_download_is_counted_and_noted(api: Api) -> None:
    done(api, "counted", "a.mp4", "video/mp4")
    assert get(api, "render", "counted").status_code == 200

    def file() -> Any:
        return api.get("/v1/jobs/counted/files").json()["files"][0]

    # The client may have all bytes before the server notes that it has sent them.
    eventually(lambda: file()["downloads"] == 1)
    assert file()["last_downloaded_at"]
