"""`livejobs watch`: in a terminal, and into a pipe."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.cli.read.shell import MAIN_SCREEN, Shell
from tests.support.api import Api
from tests.support.server import LONG_ENOUGH, Server

ALTERNATE = "\x1b[?1049h"


def half_done(api: Api, **fields: Any) -> str:
    id = api.create(
        title="Teaser", total=1000, unit="frames", steps=["extract", "encode"], **fields
    )
    api.report(
        id,
        {"type": "progress", "current": 420, "message": "Pass 2"},
        {"type": "step", "name": "extract", "status": "succeeded"},
        {"type": "step", "name": "encode", "current": 3, "total": 10},
        {"type": "log", "message": "hello"},
        {"type": "log", "message": "careful", "level": "warning"},
        {"type": "count", "counters": {"merged": 3}},
    )
    return id


# In a terminal


@pytest.mark.parametrize(("width", "height"), [(40, 12), (80, 24), (160, 50)])
def test_a_job_is_shown_to_its_end(width: int, height: int, shell: Shell, api: Api) -> None:
    id = half_done(api)
    with shell.terminal("watch", id, width=width, height=height) as terminal:
        terminal.until("● running  Teaser", "42%", "420/1,000 frames · Pass 2", "✓ extract", "30%",
                       "careful", "q quit")  # fmt: skip
        api.report(id, {"type": "progress", "current": 900})
        terminal.until("90%")
        api.report(id, {"type": "succeed"})
        code, left = terminal.ended()
        assert terminal.restored
    assert code == 0
    assert "✓ succeeded  Teaser" in left
    assert "100%" in left
    assert "merged 3" in left
    assert "quit" not in left
    assert max(map(len, left.splitlines())) <= width


def test_a_failed_job_leaves_its_reason_and_its_last_lines(shell: Shell, api: Api) -> None:
    id = half_done(api)
    with shell.terminal("watch", id) as terminal:
        terminal.until("careful")
        failed = {"type": "fail", "message": "It broke", "detail": "Traceback\nValueError: 3"}
        api.report(id, {"type": "log", "message": "last words"}, failed)
        code, left = terminal.ended()
    assert code == 0
    for text in ("✗ failed  Teaser", "It broke", "ValueError: 3", "last words"):
        assert text in left
    with shell.terminal("watch", id) as again:
        code, same = again.ended()
        assert ALTERNATE not in again.raw
    assert (code, same.split("\n\n")[1:]) == (0, left.split("\n\n")[1:])


def test_what_a_job_says_cannot_control_the_terminal(shell: Shell, api: Api) -> None:
    evil = "\x1b]0;title\x07\x9b2J\u202ez\r\n[bold]:smile:"
    id = api.create(
        title=evil, type=evil[:50], unit=evil[:20], steps=[{"name": "a", "title": evil}]
    )
    api.report(
        id,
        {"type": "progress", "current": 1, "message": evil},
        {"type": "step", "name": "a", "status": "running"},
        {"type": "log", "message": evil, "source": evil},
        {"type": "error", "message": evil, "item": evil},
        {"type": "count", "counters": {"count": 1}},
    )
    with shell.terminal("watch", id, width=160) as terminal:
        terminal.until("[bold]:smile:", "quit")
        api.report(id, {"type": "fail", "message": evil, "detail": evil})
        terminal.ended()
        for harm in ("\x1b]", "\x07", "\x9b", "\u202e"):
            assert harm not in terminal.raw
        assert "\\x1b]0;title\\x07\\x9b2J\\u202ez" in terminal.raw


def test_watching_goes_on_after_a_restart(server: Server) -> None:
    with Api(server.url) as api:
        id = half_done(api)
    with Shell(server.url).terminal("watch", id) as terminal:
        terminal.until("careful")
        server.kill()
        terminal.until("Trying again")
        server.restart()
        with Api(server.url) as api:
            api.report(id, {"type": "log", "message": "after"})
            terminal.until("after")
            terminal.until("q quit")
            api.report(id, {"type": "succeed"})
        assert terminal.ended()[0] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_the_terminal_as_it_was(
    number: signal.Signals, shell: Shell, api: Api
) -> None:
    id = half_done(api)
    with shell.terminal("watch", id) as terminal:
        terminal.until("● running", "q quit")
        if number is signal.SIGINT:
            terminal.press("\x03")
        else:
            terminal.process.send_signal(number)
        code, left = terminal.ended()
        assert code == 128 + number
        assert terminal.restored
        assert terminal.raw.count(ALTERNATE) == terminal.raw.count(MAIN_SCREEN) == 1
    assert "● running  Teaser" in left
    assert "Traceback" not in left


def test_it_can_be_stopped_and_continued(shell: Shell, api: Api) -> None:
    id = half_done(api)
    with shell.terminal("watch", id) as terminal:
        terminal.until("q quit")
        terminal.process.send_signal(signal.SIGTSTP)
        _until_stopped(terminal.process.pid)
        assert terminal.restored
        terminal.process.send_signal(signal.SIGCONT)
        terminal.until("q quit")
        terminal.press("q")
        assert terminal.ended()[0] == 0


def _until_stopped(pid: int) -> None:
    while True:
        stat = Path(f"/proc/{pid}/stat").read_text()
        if stat.rpartition(")")[2].split()[0] == "T":
            return


def test_keys_filter_the_log_and_cancel_the_job(shell: Shell, api: Api) -> None:
    id = half_done(api)
    with shell.terminal("watch", id) as terminal:
        terminal.until("hello", "careful", "f log: all lines")
        terminal.press("ff")
        assert "hello" not in terminal.until("careful", "log: from warning")
        terminal.press("/car\r")
        terminal.until("find: car")
        terminal.press("c")
        terminal.until("Cancel Teaser?")
        terminal.press("n")
        terminal.until("q quit")
        assert not api.job(id)["cancel_requested"]
        terminal.press("cy")
        terminal.until("The worker is asked to stop.")
        assert api.job(id)["cancel_requested"]
        api.report(id, {"type": "cancelled"})
        code, left = terminal.ended()
    assert code == 0
    assert "■ cancelled" in left


@pytest.mark.parametrize("width", [40, 80, 160])
def test_the_jobs_of_a_project_are_shown(width: int, shell: Shell, api: Api) -> None:
    project = f"shown{width}"
    first = half_done(api, project=project)
    with shell.terminal("watch", "--project", project, width=width) as terminal:
        terminal.until("Teaser", "q quit")
        second = api.create(project=project, title="Second")
        terminal.until("1 queued")
        api.report(second, {"type": "progress", "percent": 77})
        terminal.until("77%")
        terminal.until("q quit")
        terminal.press("jj")
        terminal.until(">")
        terminal.press("\r")  # the second row: running jobs are in order of creation
        terminal.until("careful")
        api.report(first, {"type": "progress", "current": 555})
        terminal.until("555/1,000")
        terminal.press("\x1b")
        terminal.until("2 running")
        terminal.press("ff")
        terminal.until("No job fits the filter.")
        terminal.press("q")
        code, left = terminal.ended()
        assert terminal.restored
    assert (code, left) == (0, "")


# Into a pipe


def test_each_change_is_a_line(shell: Shell, api: Api) -> None:
    id = api.create(total=1000, unit="frames\x1b")
    with shell.start("watch", id) as process:
        assert process.stdout is not None
        lines = iter(process.stdout)
        assert next(lines).split(" ", 1)[1] == "queued 0%\n"
        api.report(id, {"type": "progress", "current": 420, "message": "Pass\n2"})
        assert next(lines).split(" ", 1)[1] == "running 42% 420/1000 frames\\x1b Pass 2\n"
        api.report(id, {"type": "log", "message": "no change that is on the line"})
        api.report(id, {"type": "succeed"})
        assert [line.split(" ")[1] for line in lines] == ["succeeded"]
        assert process.wait(LONG_ENOUGH) == 0


def test_states_are_json_for_programs(shell: Shell, api: Api) -> None:
    id = half_done(api)
    api.report(id, {"type": "succeed"})
    assert json.loads(shell.out("watch", "--json", id))["status"] == "succeeded"


def test_changes_of_a_project_go_on_after_a_restart(server: Server) -> None:
    with Api(server.url) as api:
        api.report(api.create(id="over"), {"type": "succeed"})
        id = api.create(id="mine", type="t")
        api.create(type="other")
    with Shell(server.url).start("watch", "--type", "t") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().endswith(f" {id} queued\n")
        server.kill()
        assert "Trying again" in process.stderr.readline()
        server.restart()
        with Api(server.url) as api:
            api.report(id, {"type": "fail", "message": "It broke"})
        assert process.stdout.readline().endswith(f" {id} failed It broke\n")
        process.send_signal(signal.SIGINT)
        assert process.wait(LONG_ENOUGH) == 130
        assert process.stderr.read() == ""


def test_a_job_and_a_filter_together_are_refused(shell: Shell) -> None:
    done = shell.run("watch", "x", "--type", "y")
    assert done.returncode == 2
    assert "not both" in done.stderr
