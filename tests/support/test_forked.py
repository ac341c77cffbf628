"""A server that is a fork is the same server as one with a Python of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from tests.support.forked import Fork, Template
from tests.support.server import BIN, LONG_ENOUGH, READY, DidNotStart, Server, clean_environment

# Lines of /proc/PID/status. The handlers of signals are masks.
ALIKE = ("Umask", "NoNewPrivs", "SigPnd", "SigBlk", "SigIgn", "SigCgt")


@pytest.fixture(scope="module")
def template() -> Iterator[Template]:
    template = Template("livejobs.cli.operator.serve")
    yield template
    template.stop()


@pytest.fixture(autouse=True)
def also_with_the_option_fresh(monkeypatch: pytest.MonkeyPatch, template: Template) -> None:
    monkeypatch.setattr(Server, "template", template)


@pytest.fixture(params=[False, True], ids=["forked", "fresh"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path / "data", fresh=request.param) as running:
        assert isinstance(running.process, subprocess.Popen if request.param else Fork)
        yield running


def seen(server: Server) -> dict[str, Any]:
    """What the system and a client see of a server that has just started."""
    process = Path(f"/proc/{server.process.pid}")
    status = dict(line.split(":\t") for line in (process / "status").read_text().splitlines())
    mapped = {line.split(maxsplit=5)[-1] for line in (process / "maps").read_text().splitlines()}
    return {
        "status": {name: status[name] for name in ALIKE},
        "limits": (process / "limits").read_text(),
        "folder": (process / "cwd").readlink(),
        "program": (process / "exe").readlink(),
        "descriptors": sorted(descriptors(process)),
        "libraries": {name for name in mapped if ".so" in name},
        "document": httpx.get(f"{server.url}/openapi.json").json(),
        "metrics": re.findall("^# TYPE.*", httpx.get(f"{server.url}/metrics").text, re.MULTILINE),
        "stderr": server.stderr.replace(str(server.process.pid), "PID"),
    }


def descriptors(process: Path) -> Iterator[tuple[int, str]]:
    for each in (process / "fd").iterdir():
        yield int(each.name), re.sub(r"\d+", "N", each.readlink().name)


def test_it_looks_the_same_from_outside(tmp_path: Path) -> None:
    with Server(tmp_path / "data", fresh=True) as fresh:
        expected = seen(fresh)
    with Server(tmp_path / "again" / "data") as forked:
        assert isinstance(forked.process, Fork)
        assert seen(forked) == expected


def test_it_waits_as_a_popen_does(server: Server) -> None:
    assert server.process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        server.process.wait(0.01)
    server.signal(signal.SIGTERM)
    assert server.process.wait(LONG_ENOUGH) == server.process.poll() == 0
    assert server.rest_of_stdout() == ""
    server.signal(signal.SIGTERM)  # to nobody


def test_its_exit_code_names_the_signal_that_killed_it(server: Server) -> None:
    server.signal(signal.SIGINT)
    assert server.wait() == 0
    server.restart()
    server.signal(signal.SIGKILL)
    assert server.wait() == -signal.SIGKILL


@pytest.mark.parametrize("flags", [["--port", "0", "--nonsense"], ["--max-batch", "none"]])
def test_a_start_that_fails_ends_with_the_same_text(tmp_path: Path, flags: list[str]) -> None:
    def refusal(fresh: bool) -> str:
        with pytest.raises(DidNotStart) as refused:
            Server(tmp_path / "data", *flags, fresh=fresh)
        return str(refused.value)

    assert refusal(fresh=False) == refusal(fresh=True)


def test_it_has_the_environment_and_the_folder_of_its_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    env = {"LIVEJOBS_ADMIN_KEY": "k" * 40}
    with Server(Path("data"), env=env) as server:
        assert httpx.get(f"{server.url}/v1/jobs").status_code == 401
    assert (tmp_path / "data").is_dir()
    with Server(Path("data2")) as server:
        assert httpx.get(f"{server.url}/v1/jobs").status_code == 200


def test_a_variable_that_python_or_an_import_reads_gets_a_python_of_its_own(tmp_path: Path) -> None:
    with Server(tmp_path / "data", env={"PYTHONHASHSEED": "0"}) as server:
        assert isinstance(server.process, subprocess.Popen)


def test_it_has_the_umask_of_its_start(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with Server(tmp_path / "data") as server:
            status = Path(f"/proc/{server.process.pid}/status").read_text()
    finally:
        os.umask(before)
    assert "Umask:\t0027\n" in status


def test_forks_end_with_their_template(tmp_path: Path) -> None:
    template = Template("livejobs.cli.operator.serve")
    with (tmp_path / "errors").open("w+b") as errors:
        command = [str(BIN / "livejobs"), "serve", "--data", str(tmp_path), "--port", "0"]
        fork = template.fork(command, clean_environment(), stderr=errors)
        with fork.stdout:
            assert fork.stdout.readline().startswith(READY.encode())
            template.stop()
            assert fork.stdout.read() == b""  # nobody has the other end
