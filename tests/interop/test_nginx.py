"""Files that nginx sends in our place."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx2
import pytest

from tests.interop.proxies import Nginx
from tests.support.server import Server

FILES_PAGE: Final = Path(__file__).parents[2] / "docs" / "files.md"


@pytest.fixture(scope="module")
def sending(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """nginx as docs/proxies.md has it, with the location that docs/files.md gives."""
    tmp_path = tmp_path_factory.mktemp("sending")
    [location] = re.findall(r"```nginx\n(location .*?)```", FILES_PAGE.read_text(), re.DOTALL)
    data = tmp_path / "data"
    location = location.replace("/var/lib/livejobs", str(data))
    with (
        Server(data, "--sendfile", "x-accel-redirect:/_files") as server,
        Nginx(server, tmp_path / "nginx", {"location / {": f"{location}location / {{"}) as running,
    ):
        httpx2.put(running.url + "/v1/jobs/j").raise_for_status()
        yield running


def kept(sending: Nginx, address: str) -> Path:
    key = httpx2.head(address).headers["etag"].strip('"')
    [path] = (sending.home.parent / "data" / "files").rglob(key)
    return path


def test_nginx_sends_a_file_as_we_would(sending: Nginx) -> None:
    data, address = os.urandom(300_000), sending.url + "/v1/jobs/j/files/ü.html"
    httpx2.put(address, content=data).raise_for_status()
    whole = httpx2.get(address)
    assert (whole.status_code, whole.content) == (200, data)
    headers = httpx2.head(address).headers
    for name in (
        "accept-ranges", "cache-control", "content-disposition", "content-length",
        "content-security-policy", "content-type", "etag", "last-modified", "repr-digest", "vary",
        "x-content-type-options",
    ):  # fmt: skip
        assert whole.headers[name] == headers[name], name
    assert "x-accel-redirect" not in whole.headers
    assert httpx2.get(address, params={"inline": "1"}).content == data


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"range": "bytes=1000-1999"}, 206),
        ({"range": "bytes=-5"}, 206),
        ({"range": "bytes=300000-"}, 416),
        ({"if-none-match": "TAG"}, 304),
        ({"if-none-match": '"other"'}, 200),
        ({"if-match": "TAG", "range": "bytes=0-9"}, 206),
        ({"if-match": '"other"'}, 412),
        ({"if-range": "TAG", "range": "bytes=0-9"}, 206),
        ({"if-range": '"other"', "range": "bytes=0-9"}, 200),
        ({"if-modified-since": "Fri, 01 Jan 2100 00:00:00 GMT"}, 304),
        ({"if-unmodified-since": "Thu, 01 Jan 1970 00:00:00 GMT"}, 412),
    ],
)
def test_ranges_and_preconditions_hold_whoever_sends(
    sending: Nginx, said: dict[str, str], status: int
) -> None:
    data, address = os.urandom(300_000), sending.url + "/v1/jobs/j/files/a"
    httpx2.put(address, content=data).raise_for_status()
    tag = httpx2.head(address).headers["etag"]
    answer = httpx2.get(address, headers={k: v.replace("TAG", tag) for k, v in said.items()})
    assert answer.status_code == status
    if status == 200:
        assert answer.content == data
    if status == 206:
        first, last = answer.headers["content-range"].split()[1].split("/")[0].split("-")
        assert answer.content == data[int(first) : int(last) + 1]
    if status in (200, 206):
        assert answer.headers["etag"] == tag


def test_two_ranges_at_once_are_nginx_s_too(sending: Nginx) -> None:
    address = sending.url + "/v1/jobs/j/files/a"
    httpx2.put(address, content=b"0123456789").raise_for_status()
    answer = httpx2.get(address, headers={"range": "bytes=0-1,8-9"})
    assert answer.status_code == 206
    assert answer.headers["content-type"].startswith("multipart/byteranges")


def test_what_nginx_sends_can_t_be_had_from_outside_by_its_path(
    sending: Nginx,
) -> None:
    address = sending.url + "/v1/jobs/j/files/a"
    httpx2.put(address, content=b"0123456789").raise_for_status()
    path = kept(sending, address)
    inside = f"{path.parent.name}/{path.name}"
    for asked in (f"/_files/{inside}", f"/x/..//_files/{inside}", "/_files/../livejobs.db"):
        assert httpx2.get(sending.url + asked).status_code == 404


def test_for_apache_the_path_is_absolute(tmp_path: Path) -> None:
    with Server(tmp_path / "data", "--sendfile", "x-sendfile") as server:
        httpx2.put(server.url + "/v1/jobs/j").raise_for_status()
        address = server.url + "/v1/jobs/j/files/a"
        httpx2.put(address, content=b"0123456789").raise_for_status()
        answer = httpx2.get(address)
        assert answer.content == b""
        assert Path(answer.headers["x-sendfile"]).read_bytes() == b"0123456789"
        assert httpx2.get(address, headers={"if-range": '"x"'}).content == b"0123456789"
