"""The examples of docs/workers.md run as they stand, through a proxy where things go wrong."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple, Self

import pytest

from tests.client.worker import all_logs
from tests.support.api import Api
from tests.support.needs import need
from tests.support.server import LONG_ENOUGH, Server, clean_environment

PAGE = (Path(__file__).parents[2] / "docs" / "workers.md").read_text()
SECTIONS = dict(re.findall(r"^## (.*?)$(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))
IMPORTS = re.compile(
    r"^(package|import|use) .*$|^import \(.*?^\)$|^<\?php$", re.DOTALL | re.MULTILINE
)


class Language(NamedTuple):
    files: tuple[str, ...]
    """One for each block, or one for all of them."""
    run: tuple[str, ...]
    build: tuple[str, ...] = ("true",)

    @property
    def needs(self) -> str:
        return (self.run if self.build == ("true",) else self.build)[0]


LANGUAGES = {
    "Shell": Language(("worker.sh",), ("dash", "worker.sh")),
    "Node": Language(("worker.mjs",), ("node", "worker.mjs")),
    "Go": Language(
        ("report.go", "main.go"), ("./worker",),
        # Without optimization: on a new machine Go also compiles its own library.
        ("go", "build", "-gcflags=all=-N -l", "-o", "worker", "report.go", "main.go"),
    ),
    "Rust": Language(
        ("reporter.rs", "main.rs"), ("./main",),
        ("rustc", "--edition", "2021", "--deny", "warnings", "main.rs"),
    ),
    "Java": Language(
        # Without optimization: it takes longer than it saves.
        ("Reporter.java", "Render.java"), ("java", "-XX:TieredStopAtLevel=1", "Render"),
        (
            "javac", "-J-XX:TieredStopAtLevel=1", "-Xlint:all", "-Werror",
            "Reporter.java", "Render.java",
        ),
    ),
    "PHP": Language(("worker.php",), ("php", "worker.php")),
}  # fmt: skip


def works(program: str) -> bool:
    """rustup leaves a rustc that only says that there is no toolchain."""
    if shutil.which(program) is None:
        return False
    return subprocess.run([program, "--version"], capture_output=True, check=False).returncode == 0


# Few machines have these, and a skipped test is a failure in CI.
RARE = {"Rust", "PHP"}
HERE = [name for name in LANGUAGES if name not in RARE or works(LANGUAGES[name].needs)]


def blocks(language: str) -> list[str]:
    return re.findall(r"^```\w+\n(.*?)^```$", SECTIONS[language], re.DOTALL | re.MULTILINE)


class Between:
    """A proxy. Its deeds: what goes wrong with the request after so many that passed."""

    def __init__(self, server: Server, job: str, deeds: dict[int, str]) -> None:
        self.server = server
        self.passed = 0
        self.times: list[float] = []
        self._path = f"/v1/jobs/{job}/"
        self._deeds = deeds
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                proxy.handle(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._listener.server_port}"

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        self.times.append(time.monotonic())
        body = handler.rfile.read(int(handler.headers["content-length"]))
        deed = self._deeds.pop(self.passed, "")
        if deed == "busy":
            return answer(handler, 429, b"{}", "1")
        if deed == "date":  # as a proxy may send it
            return answer(handler, 503, b"<html>", "Fri, 27 Nov 2026 14:00:00 GMT")
        if deed == "refuse":
            return answer(handler, 403, b'{"detail": "You may not."}')
        if deed == "cancel":
            self._forward("cancel", b"")
        if deed == "kill":
            return self._kill(handler, body)
        status, said = self._forward("reports", body)
        self.passed += status < 300
        answer(handler, status, said)
        return None

    def _kill(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        """The server keeps the report, and its answer is lost."""
        self._forward("reports", body)
        self.server.kill()
        handler.close_connection = True
        handler.connection.close()
        self.server.restart()

    def _forward(self, path: str, body: bytes) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port)
        headers = {"content-type": "application/json"} if body else {}
        try:
            connection.request("POST", self._path + path, body, headers)
            said = connection.getresponse()
            return said.status, said.read()
        except OSError:  # the server is away
            return 502, b"<html>"
        finally:
            connection.close()

    def __enter__(self) -> Self:
        threading.Thread(target=self._listener.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._listener.shutdown()
        self._listener.server_close()


def answer(handler: BaseHTTPRequestHandler, status: int, body: bytes, after: str = "") -> None:
    handler.send_response(status)
    if after:
        handler.send_header("Retry-After", after)
    handler.send_header("content-length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


class Worker(NamedTuple):
    command: list[str]
    folder: Path
    server: Server

    def run(self, deeds: dict[int, str]) -> tuple[subprocess.CompletedProcess[str], str, Between]:
        """Its end, its job, and the proxy that it went through."""
        with Api(self.server.url) as api:
            job = api.create()
        with Between(self.server, job, deeds) as between:
            done = subprocess.run(
                self.command,
                cwd=self.folder,
                env=clean_environment() | {"LIVEJOBS_URL": between.url, "LIVEJOBS_JOB": job},
                capture_output=True, text=True, timeout=LONG_ENOUGH, check=False,
            )  # fmt: skip
        return done, job, between


@pytest.fixture(scope="module", params=HERE)
def worker(
    request: pytest.FixtureRequest, shared: Server, tmp_path_factory: pytest.TempPathFactory
) -> Worker:
    language = LANGUAGES[request.param]
    need(shutil.which(language.needs), f"{language.needs} is not installed")
    folder = tmp_path_factory.mktemp(request.param)
    texts = blocks(request.param)
    if len(language.files) == 1:
        texts = ["".join(texts)]
    for name, text in zip(language.files, texts, strict=True):
        (folder / name).write_text(text)
    without_c = os.environ | {"CGO_ENABLED": "0"}
    subprocess.run(language.build, cwd=folder, env=without_c, check=True, timeout=5 * LONG_ENOUGH)
    return Worker(list(language.run), folder, shared)


LINES = [f"Frame {frame}" for frame in range(1, 11)]


def test_each_report_counts_once_although_the_server_is_busy_and_is_killed(worker: Worker) -> None:
    done, job, between = worker.run({0: "busy", 7: "kill", 9: "date"})
    assert done.returncode == 0, done.stderr
    assert between.times[1] - between.times[0] >= 1.0  # as Retry-After said
    with Api(worker.server.url) as api:
        assert all_logs(api, job) == LINES
        state = api.job(job)
    assert (state["status"], state["progress"]["current"]) == ("succeeded", 10)
    assert state["result"] == {"path": "out.mp4"}


def test_a_worker_ends_when_its_job_is_cancelled(worker: Worker) -> None:
    done, job, _ = worker.run({5: "cancel"})
    assert done.returncode == 0, done.stderr
    with Api(worker.server.url) as api:
        assert api.job(job)["status"] == "cancelled"
        assert all_logs(api, job) == LINES[:3]


def test_a_worker_ends_at_a_refusal_and_shows_the_reason(worker: Worker) -> None:
    done, _, between = worker.run({3: "refuse"})
    assert done.returncode != 0
    assert "You may not." in done.stderr + done.stdout
    assert len(between.times) == 4


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_example_has_at_most_30_lines_beside_its_imports(language: str) -> None:
    for block in blocks(language):
        lines = [line for line in IMPORTS.sub("", block).splitlines() if line.strip()]
        assert len(lines) <= 30


def test_any_text_becomes_a_string_in_the_shell(tmp_path: Path) -> None:
    text = 'a "b" \\c\\ \t\n %s $(x) `y` \' é 😀 \x07 -n'
    script = blocks("Shell")[0] + 'quote "$1"; quote ""'
    said = subprocess.check_output(
        ["dash", "-c", script, "sh", text], env=os.environ | {"LIVEJOBS_JOB": "x"}, text=True
    )
    assert said.endswith('""')
    assert json.loads(said[:-2]) == re.sub(r"[\x00-\x1f]", " ", text)


def test_the_first_line_of_the_page(shared: Server) -> None:
    need(shutil.which("curl"), "curl")
    found = re.search(r"^curl .*$", PAGE, re.MULTILINE)
    assert found
    line = found[0].replace("http://127.0.0.1:8000", shared.url)
    subprocess.run(["sh", "-ec", line], check=True, capture_output=True)
    with Api(shared.url) as api:
        assert api.job("teaser")["progress"]["percent"] == 42
