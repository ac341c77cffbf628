"""`livejobs run` on a terminal: the command has a pty of its own."""

from __future__ import annotations

import os
import shutil
import sys
from typing import Any

import pytest

from tests.cli.run.runner import ELSEWHERE, Runner, job_in
from tests.cli.run.screen import Screen
from tests.client.worker import all_logs
from tests.support.api import Api
from tests.support.needs import need


def screen(runner: Runner, *arguments: str, stdout: int | None = None, **more: Any) -> Screen:
    return Screen(
        runner.command("--no-qr", *arguments),
        runner.environment(**more),
        runner.folder,
        stdout=stdout,
    )


def job_on(shown: Screen) -> str:
    return job_in(shown.seen.decode())


def test_each_stream_is_a_terminal_where_ours_is_one(runner: Runner, api: Api) -> None:
    tell = "import os; print(*map(os.isatty, range(3)), os.get_terminal_size(2).columns)"
    with screen(runner, *runner.script(tell)) as shown:
        assert shown.end() == 0
    assert b"True True True 80\r\n" in shown.seen
    assert all_logs(api, job_on(shown)) == ["True True True 80"]
    ours, theirs = os.pipe()
    with screen(runner, *runner.script(tell), stdout=theirs) as shown:
        os.close(theirs)
        assert shown.end() == 0
    assert os.read(ours, 100) == b"True False True 80\n"
    os.close(ours)
    (entry,) = api.get(f"/v1/jobs/{job_on(shown)}/logs").json()["logs"]
    assert entry["source"] == "stdout"


def test_output_is_unchanged(runner: Runner, api: Api) -> None:
    data = "\x1b[31mred\x1b[0m\x07\ttab\x1b]0;title\x07 é\u202e"
    with screen(runner, *runner.script(f"print({data!r})")) as shown:
        shown.until(data.encode() + b"\r\n")
        assert shown.end() == 0
    assert all_logs(api, job_on(shown)) == ["red\ttab é\u202e"]


def test_a_password_is_typed_without_an_echo(runner: Runner, api: Api) -> None:
    ask = "import getpass; print(len(getpass.getpass()))"
    with screen(runner, *runner.script(ask)) as shown:
        before = shown.attributes
        shown.until(b"Password: ")
        shown.type(b"secret\r")
        shown.until(b"6\r\n")
        assert shown.end() == 0
        assert shown.attributes == before
    assert b"secret" not in shown.seen
    assert "secret" not in "".join(all_logs(api, job_on(shown)))


def test_a_password_is_typed_for_a_command_with_pipes(runner: Runner) -> None:
    """It gets the terminal itself when it asks for it."""
    ask = "import getpass; print(len(getpass.getpass()))"
    piped = " ".join(["exec", *map(quoted, runner.command(*runner.script(ask))), "2>&1 | cat"])
    with Screen(["sh", "-c", piped], runner.environment(), runner.folder) as shown:
        shown.until(b"Password: ")
        shown.type(b"secret\n")
        shown.until(b"6\r\n")
        assert shown.end() == 0
    assert b"secret" not in shown.seen


def quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def test_ctrl_c_interrupts_the_command_alone(runner: Runner, api: Api) -> None:
    wait = """if 1:
        import time
        try:
            print("ready", flush=True)
            while True:  # one long sleep may begin just after the signal, and never end
                time.sleep(0.05)
        except KeyboardInterrupt:
            print("stopping")
            raise SystemExit(7)
        """
    with screen(runner, *runner.script(wait)) as shown:
        shown.until(b"ready\r\n")
        shown.type(b"\x03")
        shown.until(b"stopping\r\n")
        assert shown.end() == 7
    assert api.job(job_on(shown))["error"]["message"] == "Exit code 7"


def test_ctrl_z_stops_the_job_of_the_shell_and_fg_continues_it(runner: Runner, api: Api) -> None:
    with Screen(
        ["bash", "--norc", "--noprofile", "-i"], runner.environment(PS1="$ "), runner.folder
    ) as shown:
        shown.until(b"$ ")
        # The shell shows what is typed, which is not to be taken for the output.
        script = "echo rea''dy; read x; echo got $x"
        line = map(quoted, runner.command("--no-qr", "--", "sh", "-c", script))
        shown.type(" ".join(line).encode() + b"\r")
        shown.until(b"ready\r\n")
        shown.type(b"\x1a")
        shown.until(b"Stopped")
        shown.until(b"$ ")
        shown.type(b"echo she''ll\r")
        shown.until(b"shell\r\n")
        shown.type(b"fg\r")
        shown.until(b"--no-qr")
        shown.type(b"text\r")
        shown.until(b"got text\r\n")
        shown.until(b"$ ")  # until then, keys go to the command
        shown.type(b"exit $?\r")
        assert shown.end() == 0
    assert api.job(job_on(shown))["status"] == "succeeded"


def test_a_new_size_of_the_window_is_passed_on(runner: Runner) -> None:
    wait = """if 1:
        import os, signal
        signal.signal(signal.SIGWINCH, lambda number, frame: None)
        print("ready", flush=True)
        while os.get_terminal_size().columns == 80:
            signal.sigtimedwait([], 0.05)
        print(*os.get_terminal_size())
        """
    with screen(runner, *runner.script(wait)) as shown:
        shown.until(b"ready\r\n")
        shown.resize(132, 50)
        shown.until(b"132 50\r\n")
        assert shown.end() == 0


def test_a_full_screen_program_passes_through_and_is_not_logged(runner: Runner, api: Api) -> None:
    need(shutil.which("less"), "less")
    text = runner.folder / "text"
    text.write_text("".join(f"line {number}\n" for number in range(1000)))
    with screen(runner, "--", "less", str(text), TERM="xterm", LESS="") as shown:
        shown.until(b"\x1b[?1049h")
        shown.until(b"line 5")
        shown.type(b"G")
        shown.until(b"line 999")
        shown.type(b"q")
        shown.until(b"\x1b[?1049l")
        assert shown.end() == 0
    assert all_logs(api, job_on(shown)) == []


def test_a_terminal_that_goes_away_hangs_up_the_command(runner: Runner, api: Api) -> None:
    wait = "import time; print('ready', flush=True); time.sleep(1000)"
    with screen(runner, *runner.script(wait)) as shown:
        shown.until(b"ready\r\n")
        job = job_on(shown)
        os.close(shown._slave)
        os.close(shown._master)
        assert api.ended(job)["error"]["message"] == "Ended by signal SIGHUP"
        shown._master, shown._slave = os.pipe()


def test_a_cancel_reaches_a_command_on_a_pty(runner: Runner, api: Api) -> None:
    loop = "trap '' TERM; while :; do echo tick; sleep 0.1; done"
    with screen(runner, "--kill-after", "0.2", "--", "sh", "-c", loop) as shown:
        shown.until(b"tick")
        api.post(f"/v1/jobs/{job_on(shown)}/cancel")
        assert shown.end() == 137
    assert api.job(job_on(shown))["status"] == "cancelled"


@pytest.mark.parametrize("colour", [True, False])
def test_the_link_has_a_qr_code_on_a_terminal(runner: Runner, colour: bool) -> None:
    more = {} if colour else {"NO_COLOR": "1"}
    command = runner.command("--url", runner.url.replace("127.0.0.1", ELSEWHERE), "--", "true")
    with Screen(command, runner.environment(LANG="C.UTF-8", **more), runner.folder) as shown:
        assert shown.end() == 0
    assert "▀▄".encode() in shown.seen
    assert (b"\x1b[" in shown.seen) == colour
    with screen(runner, "--", "true") as shown:
        assert shown.end() == 0
    assert "▄".encode() not in shown.seen


def test_the_exit_code_and_the_signal_are_kept_on_a_pty(runner: Runner, api: Api) -> None:
    for script, code in (("exit 3", 3), ("kill -TERM $$", 143), ("kill -KILL $$", 137)):
        with screen(runner, "--", "sh", "-c", script) as shown:
            assert shown.end() == code
    with screen(
        runner,
        "--",
        str(runner.folder),
    ) as shown:
        assert shown.end() == 126


def test_much_output_on_a_pty_is_complete(runner: Runner, api: Api) -> None:
    with screen(runner, "--", "seq", "20000") as shown:
        assert shown.end() == 0
    expected = b"".join(b"%d\r\n" % number for number in range(1, 20_001))
    assert shown.seen.endswith(expected)
    assert "\n".join(all_logs(api, job_on(shown))) == "\n".join(map(str, range(1, 20_001)))


def test_a_bar_of_rich_is_progress(runner: Runner, api: Api) -> None:
    script = """if 1:
        from rich.progress import Progress
        with Progress(auto_refresh=False) as bars:
            one, two = bars.add_task("Frames", total=4), bars.add_task("Sound", total=4)
            for _ in range(3):
                bars.advance(one); bars.advance(two); bars.refresh()
        """
    with screen(runner, "--", sys.executable, "-c", script, TERM="xterm") as shown:
        assert shown.end() == 0
    job = api.job(job_on(shown))
    assert job["progress"]["message"] in ("Frames", "Sound")
    assert len(all_logs(api, job["id"])) <= 2


def test_a_command_may_let_go_of_the_terminal_and_open_it_again(runner: Runner) -> None:
    script = "exec >/dev/null 2>&1 </dev/null; sleep 0.1; exec >/dev/tty; echo back"
    with screen(runner, "--", "sh", "-c", script) as shown:
        shown.until(b"back\r\n")
        assert shown.end() == 0
