"""Which tests `--quick` leaves out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import quick

HELPER = """
import subprocess
LIMIT = 60
def start(): subprocess.Popen(["server"])
class Server:
    def __init__(self): start()
"""
TESTS = """
from tests.room.helper import LIMIT, Server
from tests.room import helper
ready = Server
def run(): return ready()
def test_slow(): run()
def test_slow_by_module(): helper.start()
def test_quick(): assert LIMIT
"""


def test_a_name_is_slow_if_it_leads_to_a_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = tmp_path / "tests" / "room"
    room.mkdir(parents=True)
    (room / "helper.py").write_text(HELPER)
    (room / "test_it.py").write_text(TESTS)
    monkeypatch.setattr(quick, "ROOT", tmp_path)
    assert quick.slow_names(room / "helper.py") == {"subprocess", "start", "Server"}
    assert quick.slow_names(room / "test_it.py") == {
        "Server", "helper", "ready", "run", "test_slow", "test_slow_by_module"
    }  # fmt: skip
