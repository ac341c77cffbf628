"""Files that lie elsewhere are attached to a job."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.desk import Desk, problem


def test_a_file_on_this_machine_is_attached_where_it_lies(desk: Desk) -> None:
    job = desk.job()
    (desk.root / "deep").mkdir(exist_ok=True)
    path = desk.root / "deep" / "a.log"
    path.write_text("one\n")
    assert desk.attach(job, path=str(path)).json()["size"] == 4
    assert desk.attach(job, path=str(path), name="b", media_type="text/x-y").status_code == 201
    assert desk.http.get(f"{job}/files/b").headers["content-type"] == "text/x-y"
    path.write_text("one\ntwo\n")
    assert desk.http.get(f"{job}/files/a.log").text == "one\ntwo\n"
    path.unlink()
    problem(desk.http.get(f"{job}/files/a.log"), 404, "no_file")


def test_only_what_lies_below_a_root_is_attached(desk: Desk, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s")
    (desk.root / "link").unlink(missing_ok=True)
    (desk.root / "link").symlink_to(secret)
    (desk.root / "out").unlink(missing_ok=True)
    (desk.root / "out").symlink_to(tmp_path)
    pipe = desk.root / "pipe"
    if not pipe.exists():
        os.mkfifo(pipe)
    job = desk.job()
    for path in (
        secret, desk.root / "link", desk.root / "out" / "secret", pipe, desk.root, "/dev/zero",
        desk.root / ".." / "data" / "token-secret", desk.root / "nothing", "root/a", "\0", "/",
        f"{desk.root}x", f"{desk.root}/a\0b", f"{desk.root}/{'x' * 300}", f"{desk.root}//",
    ):  # fmt: skip
        problem(desk.attach(job, path=str(path), name="x"), 422, "invalid")
    assert desk.files(job) == []


def test_a_link_put_in_the_place_of_a_file_later_is_not_followed(
    desk: Desk, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s")
    job, path = desk.job(), desk.root / "swapped"
    path.unlink(missing_ok=True)
    path.write_text("good")
    assert desk.attach(job, path=str(path)).status_code == 201
    path.unlink()
    path.symlink_to(secret)
    problem(desk.http.get(f"{job}/files/swapped"), 404, "no_file")


def test_a_file_elsewhere_is_redirected_to(desk: Desk) -> None:
    job = desk.job()
    attached = desk.attach(job, url="https://example.org/d/out.mp4?x=1", size=5)
    assert attached.json() == {
        "name": "out.mp4", "size": 5, "media_type": "video/mp4", "sha256": None,
        "url": f"{job}/files/out.mp4",
    }  # fmt: skip
    answer = desk.http.get(f"{job}/files/out.mp4")
    assert (answer.status_code, answer.headers["location"]) == (
        302,
        "https://example.org/d/out.mp4?x=1",
    )


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "file:///etc/passwd", "//example.org/x", "http://", "http:///x",
     "https://u:p@example.org/x", "https://example.org/a b", "https://example.org/\n", "ftp://x/y"],
)  # fmt: skip
def test_what_is_no_web_address_is_refused(desk: Desk, url: str) -> None:
    problem(desk.attach(desk.job(), url=url, name="x"), 422, "invalid")


@pytest.mark.parametrize("body", [{}, {"name": "x"}, {"path": "/x", "url": "http://x/y"}])
def test_either_a_path_or_a_url_is_attached(desk: Desk, body: dict[str, str]) -> None:
    problem(desk.attach(desk.job(), **body), 422, "invalid")


def test_a_file_that_grows_is_followed_to_the_end_of_its_job(desk: Desk) -> None:
    job, path = desk.job(), desk.root / "growing"
    path.write_text("one\n")
    desk.attach(job, path=str(path))
    with desk.http.stream("GET", f"{job}/files/growing?follow=1") as answer:
        lines = answer.iter_lines()
        assert next(lines) == "one"
        with path.open("a") as more:
            more.write("two\n")
        assert next(lines) == "two"
        with path.open("a") as more:
            more.write("three\n")
        desk.http.post(f"{job}/reports", json={"type": "succeed"})
        assert list(lines) == ["three"]
