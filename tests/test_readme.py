"""What the README tells people to type works, in the order in which it says it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx2

from tests.support.server import BIN, LONG_ENOUGH, Server

README = Path(__file__).parents[1] / "README.md"


def blocks(language: str) -> list[str]:
    fence = rf"^```{language}\n(.*?)^```$"
    found = re.findall(fence, README.read_text(), re.DOTALL | re.MULTILINE)
    assert found
    return found


def commands() -> str:
    return "\n".join(blocks("bash"))


def test_the_python_of_the_readme_does_what_it_says(server: Server, tmp_path: Path) -> None:
    made = "from celery import Celery\napp = Celery()\n"
    program = "\n".join([made, *blocks("python")])
    environment = {"LIVEJOBS_URL": server.url, "LIVEJOBS_SPOOL": str(tmp_path)}
    subprocess.run([sys.executable, "-c", program], env=os.environ | environment, check=True)
    (job,) = httpx2.get(server.url + "/v1/jobs?q=final cut").json()["jobs"]
    assert (job["status"], job["progress"]["current"]) == ("succeeded", 1000)


def test_the_commands_of_the_readme_do_what_it_says(server: Server, tmp_path: Path) -> None:
    (tmp_path / ".curlrc").write_text('fail\nno-progress-meter\nwrite-out = "\\n"\n')
    shell = subprocess.run(
        [
            "bash",
            "-euxo",
            "pipefail",
            "-c",
            commands().replace("http://127.0.0.1:8000", server.url),
        ],
        env=os.environ
        | {
            "CURL_HOME": str(tmp_path),
            "LIVEJOBS_SPOOL": str(tmp_path / "spool"),
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        timeout=3 * LONG_ENOUGH,
        check=False,
    )
    assert shell.returncode == 0, shell.stdout + shell.stderr
    job = httpx2.get(server.url + "/v1/jobs/teaser").json()
    assert (job["status"], job["progress"]["current"]) == ("succeeded", 1000)
    assert (job["results_total"], job["logs_total"], job["counters"]) == (1, 1, {"retries": 1})
    assert "Pass 2" in shell.stdout
    assert "event: end" in shell.stdout
    (counted,) = httpx2.get(server.url + "/v1/jobs?q=Count to three").json()["jobs"]
    assert (counted["status"], counted["logs_total"]) == ("succeeded", 3)
