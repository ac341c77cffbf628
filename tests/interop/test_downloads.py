"""Common download programs: cut off, resumed, in parallel, seeking. And two HTTP checkers."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from tests.support.desk import Desk, eventually
from tests.support.needs import need

SIZE: Final = 20_000_000
CUT: Final = 7_000_000  # bytes after which each connection breaks


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    desk = Desk(tmp_path_factory.mktemp("desk"))
    yield desk
    desk.close()


class Item:
    """A file of a job, with the answer to its upload."""

    def __init__(self, desk: Desk, name: str, data: bytes) -> None:
        self.desk = desk
        self.job = desk.job()
        self.told = desk.put(self.job, name, data).raise_for_status().json()
        self.path = self.told["url"]
        self.url = desk.server.url + self.path

    def check(self, path: Path) -> None:
        assert hashlib.sha256(path.read_bytes()).hexdigest() == self.told["sha256"]

    def wait_for_ranges(self, enough: Callable[[list[str]], object]) -> None:
        """Wait until `enough` is true of the ranges in the server's audit log."""

        def noted() -> list[str]:
            acts = self.desk.http.get("/v1/audit?limit=1000").json()["acts"]
            mine = [it["detail"] for it in acts if it["job"] == self.job.rpartition("/")[2]]
            return [one for act in mine for one in act.get("ranges", [])]

        eventually(lambda: enough(noted()))


def first(asked: str) -> int:
    return int(asked.partition("-")[0])


@pytest.fixture
def item(desk: Desk) -> Item:
    return Item(desk, "out.bin", os.urandom(SIZE))


class CuttingProxy:
    """Passes a server's bytes on, and cuts each connection after `cut` bytes."""

    def __init__(self, port: int, cut: int) -> None:
        self._to = port
        self._cut = cut
        self.broken = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._to)) as server:
            threading.Thread(target=self._pass, args=(client, server), daemon=True).start()
            left = self._cut
            with suppress(OSError):
                while data := server.recv(min(left, 1 << 16)):
                    client.sendall(data)
                    left -= len(data)
                    if not left:
                        self.broken += 1
                        break
            for sock in (client, server):
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def _pass(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(1 << 16):
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


@pytest.fixture
def proxy(desk: Desk) -> Iterator[CuttingProxy]:
    proxy = CuttingProxy(desk.server.port, CUT)
    yield proxy
    proxy.close()


def run(*command: str | Path, codes: tuple[int, ...] = (0,)) -> subprocess.CompletedProcess[bytes]:
    name = str(command[0])
    need(shutil.which(name), f"{name} is not installed")
    home = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "RCLONE_CONFIG": "/dev/null"}
    done = subprocess.run(command, capture_output=True, timeout=300, check=False, env=home)
    assert done.returncode in codes, (done.stdout + done.stderr).decode()
    return done


def test_curl_resumes_after_a_cut(item: Item, proxy: CuttingProxy, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for codes in ((18,), (18,), (0,)):  # 18: a part only
        run("curl", "-sS", "-C", "-", "-o", out, proxy.url + item.path, codes=codes)
    item.check(out)
    assert proxy.broken == 2
    item.wait_for_ranges(lambda asked: len(asked) == 2)


def test_curl_resumes_after_it_was_killed(item: Item, tmp_path: Path) -> None:
    out = tmp_path / "out"
    slow = ["curl", "-sS", "--limit-rate", "500k", "-o", str(out), item.url]
    need(shutil.which("curl"), "curl is not installed")
    with subprocess.Popen(slow) as killed:
        try:
            eventually(lambda: out.exists() and out.stat().st_size > 100_000)
        finally:
            killed.kill()
    assert out.stat().st_size < SIZE
    run("curl", "-sS", "-C", "-", "-o", out, item.url)
    item.check(out)


def test_curl_saves_a_file_under_its_own_name(desk: Desk, tmp_path: Path) -> None:
    item = Item(desk, "render final.mp4", b"x" * 1000)
    run("curl", "-sS", "-OJ", "--output-dir", tmp_path, item.url)
    item.check(tmp_path / "render final.mp4")


def test_wget_resumes_by_itself(item: Item, proxy: CuttingProxy, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run("wget", "-q", "-c", "--tries=5", "--waitretry=0", "-O", out, proxy.url + item.path)
    item.check(out)
    assert proxy.broken == 2


def test_aria2_fetches_four_parts_at_once(item: Item, proxy: CuttingProxy, tmp_path: Path) -> None:
    run("aria2c", "-q", "-x4", "-s4", "-k1M", "--max-tries=9", "--retry-wait=0", "--no-conf",
        "-d", tmp_path, "-o", "out", proxy.url + item.path)  # fmt: skip
    item.check(tmp_path / "out")
    item.wait_for_ranges(lambda asked: len({first(one) for one in asked}) >= 3)


def test_rclone_copies_a_file(item: Item, tmp_path: Path) -> None:
    run("rclone", "copyurl", item.url, tmp_path / "out")
    item.check(tmp_path / "out")


def test_ffmpeg_seeks(desk: Desk, tmp_path: Path) -> None:
    """ffmpeg writes the index of the frames at the end of the file."""
    film = tmp_path / "film.mp4"
    run("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=640x360:r=25:d=30", "-c:v",
        "mpeg4", "-q:v", "2", "-g", "25", film)  # fmt: skip
    assert film.stat().st_size > 5_000_000
    item = Item(desk, "film.mp4", film.read_bytes())

    def frame(at: str, source: str) -> bytes:
        return run("ffmpeg", "-v", "error", "-ss", at, "-i", source, "-frames:v", "1",
                   "-f", "rawvideo", "-").stdout  # fmt: skip

    for at in ("2", "25"):
        assert frame(at, item.url) == frame(at, str(film)) != b""
    item.wait_for_ranges(lambda asked: any(first(one) > 3_000_000 for one in asked))


# Judges

# What they find that stays as it is. docs/interop.md has the reasons.
EXPLAINED: Final = {
    "This resource varies in # ways.",
    "This response is partial, but doesn't have a Content-Range header.",  # with several parts
}
PRAISE_AND_FACTS: Final = {
    "A ranged request returned the correct partial content.",
    "If-Modified-Since conditional requests are supported.",
    "If-None-Match conditional requests are supported.",
    "The Content-Length header is correct.",
    "The request precondition failed.",
    "The resource last changed # seconds ago.",
    "The resource last changed in # seconds.",
    "The server's clock is correct.",
    "This response allows only private caches to store it.",
    "This response can't be stored by caches.",
    "This response cannot be served from cache without validation.",
    "This response has already been cached for # seconds.",
    "This response instructs browsers not to 'sniff' its media type.",
    "This response sets a Content Security Policy.",
}


def found(said: str) -> set[str]:
    """Sentences without punctuation and numbers."""
    lines = re.findall(r"^ *\* (?:\[\w+\] )?(.*\.)$", said, re.MULTILINE)
    assert lines, said
    return {
        re.sub(r"\d+( seconds?)?", lambda it: "# seconds" if it[1] else "#", line) for line in lines
    }


JUDGES: Final = Path(__file__).parents[2] / ".venv" / "judges"  # see scripts/test
judged = pytest.mark.skipif(not JUDGES.is_dir(), reason="scripts/test installs the judges")


def judge(name: str, *words: str, given: bytes | None = None) -> str:
    command = [str(JUDGES / "bin" / name), *words]
    environment = {**os.environ, "PYTHONPATH": str(JUDGES)}
    done = subprocess.run(command, input=given, capture_output=True, check=True, env=environment)
    return done.stdout.decode()


@judged
def test_redbot_finds_nothing_wrong(desk: Desk) -> None:
    item = Item(desk, "a.txt", b"hello\n" * 10_000)
    said = judge("redbot", "-o", "text", item.url)
    assert found(said) - PRAISE_AND_FACTS <= EXPLAINED
    assert "A ranged request returned the correct partial content." in said
    assert "If-None-Match conditional requests are supported." in said


@judged
@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ("range: bytes=0-99", 206),
        ("range: bytes=0-9,50-", 206),
        ("range: bytes=99999999-", 416),
        ("if-none-match: *", 304),
        ("if-match: none", 412),
    ],
)
def test_httplint_finds_nothing_wrong(desk: Desk, asked: str, status: int) -> None:
    item = Item(desk, "a.txt", b"hello\n" * 1000)
    answer = run("curl", "-si", "-H", asked, item.url).stdout
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    # Not with -n, "now": a judge that is seconds late finds the clock wrong. redbot looks at that.
    assert found(judge("httplint", given=answer)) - PRAISE_AND_FACTS <= EXPLAINED
