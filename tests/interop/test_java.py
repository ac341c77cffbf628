"""The client of the JDK, as it is by default."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.support.api import Api
from tests.support.needs import need
from tests.support.server import LONG_ENOUGH, Server

PROGRAM = Path(__file__).parent / "clients" / "Report.java"


def test_java_reports_although_it_offers_http_2_in_the_clear(server: Server) -> None:
    need(java := shutil.which("java"), "java is not installed")
    with Api(server.url) as api:
        id = api.create()
        # Without optimization: it takes longer than it saves.
        command = [str(java), "-XX:TieredStopAtLevel=1", str(PROGRAM), server.url, id]
        said = subprocess.check_output(command, text=True, timeout=LONG_ENOUGH)
        assert said.splitlines() == 3 * ["200 HTTP_1_1"]
        lines = api.get(f"/v1/jobs/{id}/logs").json()["logs"]
        assert [line["message"] for line in lines] == ["1", "2", "3"]
