"""Real programs under `livejobs run`: their progress is the job's, and their log is short."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import Any
from zipfile import ZipFile

import pytest

from tests.cli.run.runner import Runner
from tests.cli.run.screen import Screen
from tests.cli.run.test_terminal import job_on, screen
from tests.client.worker import all_logs
from tests.support.api import Api
from tests.support.needs import need

TQDM = """if 1:
    from tqdm import tqdm
    print("begin")
    for _ in tqdm(range(50), desc="Frames", unit="frame", mininterval=0):
        pass
    print("end")
    """


def test_tqdm_with_pipes(runner: Runner, api: Api) -> None:
    done = runner.run(*runner.script(TQDM))
    progress = api.job(done.job)["progress"]
    assert (progress["current"], progress["total"]) == (50, 50)
    assert (progress["unit"], progress["message"]) == ("frame", "Frames")
    logs = all_logs(api, done.job)
    assert len(logs) == 3  # the bar once, as it was in the end
    assert {"begin", "end"} < set(logs)


def test_tqdm_on_a_terminal(runner: Runner, api: Api) -> None:
    with screen(runner, *runner.script(TQDM)) as shown:
        assert shown.end() == 0
    assert "█".encode() in shown.seen
    job = api.job(job_on(shown))
    assert (job["progress"]["current"], job["progress"]["total"]) == (50, 50)
    assert job["logs_total"] == 3


def test_a_recorded_pip(runner: Runner, api: Api, tmp_path: Path) -> None:
    bar = "\x1b[90m" + "━" * 40 + "\x1b[0m"
    recorded = tmp_path / "recorded"
    recorded.write_bytes((
        "Collecting hypothesis\r\n"
        "  Downloading hypothesis-6.170.17-cp311-cp311-manylinux2014_x86_64.whl (1.2 MB)\r\n"
        f"\x1b[?25l     {bar} \x1b[32m0.0/1.2 MB\x1b[0m \x1b[31m?\x1b[0m eta \x1b[36m-:--:--\x1b[0m"
        f"\r\x1b[2K     {bar} \x1b[32m1.2/1.2 MB\x1b[0m \x1b[31m176.0 MB/s\x1b[0m eta "
        "\x1b[36m0:00:00\x1b[0m\r\n"
        "\x1b[?25hWould install hypothesis-6.170.17\r\n"
    ).encode())  # fmt: skip
    done = runner.run("--", "cat", str(recorded))
    assert done.out == recorded.read_bytes()
    progress = api.job(done.job)["progress"]
    assert (progress["current"], progress["total"], progress["unit"]) == (1.2, 1.2, "MB")
    logs = all_logs(api, done.job)
    assert (len(logs), logs[-1]) == (4, "Would install hypothesis-6.170.17")


def test_pip_installs_a_package(runner: Runner, api: Api, files: str) -> None:
    need(find_spec("pip"), "pip is not in this environment")
    wheel = runner.folder / "web" / "large_package-1.0-py3-none-any.whl"
    info = "large_package-1.0.dist-info"
    with ZipFile(wheel, "w") as file:
        file.writestr("large_package.bin", os.urandom(3_000_000))
        file.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: large-package\nVersion: 1.0\n"
        )
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{info}/RECORD", "")
    install = ["-m", "pip", "install", "--isolated", "--no-index", "--no-deps", "--no-cache-dir"]
    where = ["--target", "installed", f"{files.rpartition('/')[0]}/{wheel.name}"]
    pip = failing(sys.executable, *install, *where)
    with screen(runner, *pip, TERM="xterm", PIP_DISABLE_PIP_VERSION_CHECK="1") as shown:
        assert shown.end() == 9
    assert (runner.folder / "installed" / "large_package.bin").stat().st_size == 3_000_000
    assert "━".encode() in shown.seen
    progress = api.job(job_on(shown))["progress"]
    assert (progress["current"], progress["total"], progress["unit"]) == (3.0, 3.0, "MB")
    assert any("Successfully installed" in line for line in all_logs(api, job_on(shown)))


@pytest.mark.parametrize("options", [[], ["-nostats", "-progress", "pipe:1"]])
def test_ffmpeg_transcodes_a_clip_and_the_file_is_uploaded(
    runner: Runner, api: Api, options: list[str]
) -> None:
    need(shutil.which("ffmpeg"), "ffmpeg")
    clip = ["-f", "lavfi", "-i", "testsrc=duration=2:size=64x64:rate=25"]
    runner.run("--", "ffmpeg", "-y", "-loglevel", "error", *clip, "clip.mp4")
    done = runner.run(
        "--file", "out.mp4", "--", "ffmpeg", "-nostdin", "-y", "-i", "clip.mp4", *options, "out.mp4"
    )
    job = api.job(done.job)
    assert job["status"] == "succeeded"
    assert (job["progress"]["total"], job["progress"]["unit"]) == (2, "s")
    assert job["progress"]["current"] > 1
    (file,) = job["files"]
    assert (file["name"], file["media_type"]) == ("out.mp4", "video/mp4")
    assert file["size"] == (runner.folder / "out.mp4").stat().st_size


def failing(*command: str) -> tuple[str, ...]:
    return "--", "sh", "-c", '"$@"; exit 9', "sh", *command


def test_rsync(runner: Runner, api: Api) -> None:
    need(shutil.which("rsync"), "rsync")
    (runner.folder / "large").write_bytes(os.urandom(5_000_000))
    done = runner.run(*failing("rsync", "--info=progress2", "large", "copy"), code=9)
    assert own_percent(api, done.job) == 100
    assert api.job(done.job)["logs_total"] <= 2


@pytest.fixture
def files(tmp_path: Path) -> Iterator[str]:
    """A web server with a file to download."""

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(tmp_path / "web"))

        def log_message(self, format: str, *args: Any) -> None:
            pass

    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "large").write_bytes(os.urandom(5_000_000))
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as web:
        Thread(target=web.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{web.server_port}/large"
        web.shutdown()


@pytest.mark.parametrize(
    "command", [["curl", "-o", "got"], ["curl", "-#", "-o", "got"], ["wget", "-O", "got"]]
)
def test_downloads(runner: Runner, api: Api, files: str, command: list[str]) -> None:
    need(shutil.which(command[0]), command[0])
    done = runner.run(*failing(*command, files), code=9)
    assert (runner.folder / "got").read_bytes() == (runner.folder / "web" / "large").read_bytes()
    assert own_percent(api, done.job) == 100


def test_a_download_of_a_jobs_file(runner: Runner, api: Api) -> None:
    need(shutil.which("curl"), "curl")
    job = api.create()
    data = os.urandom(300_000)
    api.put(f"/v1/jobs/{job}/files/data.bin", content=data)
    url = f"{runner.url}/v1/jobs/{job}/files/data.bin"
    done = runner.run(*failing("curl", url), code=9)
    assert done.out == data
    assert own_percent(api, done.job) == 100


def own_percent(api: Api, job: str) -> Any:
    """What the program showed: 100 is set by the end of a job that succeeds, and these fail."""
    state = api.job(job)
    assert state["status"] == "failed"
    return state["progress"]["percent"]


def test_an_own_expression(runner: Runner, api: Api) -> None:
    done = runner.run(
        "--progress", r"n=(?P<current>\d+) m=(?P<total>\d+)", "--",
        "sh", "-c", "echo n=3 m=8; echo 99%; exit 1", code=1,
    )  # fmt: skip
    progress = api.job(done.job)["progress"]
    assert (progress["current"], progress["total"]) == (3, 8)


def test_vim_writes_a_file(runner: Runner, api: Api) -> None:
    need(shutil.which("vim"), "vim")
    with Screen(
        runner.command("--no-qr", "--", "vim", "-u", "NONE", "text"),
        runner.environment(TERM="xterm"),
        runner.folder,
    ) as shown:
        shown.until(b"\x1b[?1049h")
        shown.type(b"ihello\x1b:wq\r")
        assert shown.end() == 0
    assert (runner.folder / "text").read_text() == "hello\n"
    assert all_logs(api, job_on(shown)) == []
