"""`livejobs run` with pipes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from livejobs.cli.run import command
from livejobs.client.reader import asking
from tests.cli.run.runner import Finished, Runner, finish, job_in
from tests.client.worker import all_logs
from tests.support.api import Api
from tests.support.server import LONG_ENOUGH, Server, clean_environment, hold_port


def entries(api: Api, job: str) -> list[tuple[str, str]]:
    page = api.get(f"/v1/jobs/{job}/logs", params={"limit": 1000}).json()
    return [(entry["source"], entry["message"]) for entry in page["logs"]]


def test_the_exit_code_is_kept_and_fails_the_job(runner: Runner, api: Api) -> None:
    done = runner.run("--", "sh", "-c", "echo out; echo err >&2; exit 3", code=3)
    job = api.job(done.job)
    assert (job["status"], job["type"]) == ("failed", "sh")
    assert job["title"] == "sh -c 'echo out; echo err >&2; exit 3'"
    assert job["error"]["message"] == "Exit code 3"
    assert sorted(job["error"]["detail"].split("\n")) == ["err", "out"]
    assert sorted(entries(api, done.job)) == [("stderr", "err"), ("stdout", "out")]


def test_output_and_errors_pass_through_apart_and_the_link_is_on_stderr(
    runner: Runner, api: Api
) -> None:
    done = runner.run("--title", "Teaser", "--type", "render", "--", "sh", "-c", "cat; echo e >&2",
                      input=b"typed\n")  # fmt: skip
    assert done.out == b"typed\n"
    assert done.errors == f"livejobs: {runner.url}/jobs/{done.job}\ne\n"
    job = api.job(done.job)
    assert (job["status"], job["title"], job["type"]) == ("succeeded", "Teaser", "render")


def test_options_after_the_command_are_the_commands(runner: Runner) -> None:
    assert runner.run("echo", "--title", "x", "--", "-n").out == b"--title x -- -n\n"


@pytest.mark.parametrize(
    ("number", "status", "message"),
    [
        (signal.SIGTERM, "failed", "Ended by signal SIGTERM"),
        (signal.SIGKILL, "failed", "Ended by signal SIGKILL"),
        (signal.SIGINT, "cancelled", None),
    ],
)
def test_a_command_that_a_signal_ends(
    runner: Runner, api: Api, number: signal.Signals, status: str, message: str | None
) -> None:
    done = runner.run("--", "sh", "-c", f"kill -{number.value} $$", code=128 + number)
    job = api.job(done.job)
    assert job["status"] == status
    assert (job["error"] or {}).get("message") == message


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGCONT]
)
def test_signals_pass_on_once(runner: Runner, number: signal.Signals) -> None:
    process = runner.start(*runner.script(
        f"""if 1:
        import os, signal, time
        got = []
        for number in ({number.value}, {signal.SIGWINCH.value}):
            signal.signal(number, lambda number, frame: got.append(number))
        print("ready", flush=True)
        while {signal.SIGWINCH.value} not in got: time.sleep(0.05)
        print(*got)
        """
    ))  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(number)
    process.send_signal(signal.SIGWINCH)
    assert sorted(map(int, finish(process, 0).out.split())) == sorted((number, signal.SIGWINCH))


def test_a_stopped_run_stops_its_command_and_continues_with_it(runner: Runner) -> None:
    process = runner.start("--", "sh", "-c", "echo $$; read x; echo $x")
    assert process.stdout is not None
    child = int(process.stdout.readline())
    process.send_signal(signal.SIGTSTP)
    # A session without a shell is never stopped by SIGTSTP, so both go on.
    assert finish(process, 0, b"text\n").out == b"text\n"
    assert not Path(f"/proc/{child}").exists()


def test_a_command_that_does_not_exist_makes_no_job(runner: Runner, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("no program")
    assert runner.run("--", "no-such-command", code=127).errors == (
        "livejobs: There is no command 'no-such-command'.\n"
    )
    assert runner.run("--", str(text), code=126).errors == (
        f"livejobs: {text} cannot be executed.\n"
    )


def test_a_file_that_the_kernel_refuses_fails_the_job(
    runner: Runner, api: Api, tmp_path: Path
) -> None:
    text = tmp_path / "text"
    text.write_bytes(b"\x7fELF no program")
    text.chmod(0o755)
    done = runner.run("--", str(text), code=126)
    assert api.job(done.job)["error"]["code"] == "not_executable"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--progress", "("), "regular expression"),
        (("--progress", "x"), "(?P<current>"),
        (("--url", "nowhere"), "http://"),
        (("--key", "schlüssel"), "the key"),
        (("--kill-after", "-1"), "--kill-after"),
    ],
)
def test_wrong_options_are_exit_code_2_and_one_line(
    runner: Runner, arguments: tuple[str, ...], words: str
) -> None:
    done = runner.run(*arguments, "--", "echo", "ran", code=2)
    assert done.out == b""
    assert words in done.errors
    assert done.errors.count("\n") == 1


# The server


def delivered(runner: Runner, api: Api, job: str) -> Any:
    """The job, once another run has sent what was kept of it."""
    process = runner.start("--", "sh", "-c", "read x")
    try:
        patience = time.monotonic() + LONG_ENOUGH
        while api.get(f"/v1/jobs/{job}?until=finished").json().get("completed_at") is None:
            assert time.monotonic() < patience
    finally:
        finish(process, 0, b"\n")
    return api.job(job)


def test_without_a_server_the_command_runs_and_the_next_run_delivers_its_reports(
    runner: Runner, tmp_path: Path
) -> None:
    with Server(tmp_path / "data") as server, Api(server.url) as api:
        away = Runner(server.url, tmp_path)
        server.kill()
        done = away.run("--", "sh", "-c", "echo hello; echo $LIVEJOBS_JOB; exit 3", code=3)
        hello, job = done.out.decode().split()
        assert hello == "hello"
        assert done.errors.count("\n") == 1
        assert f"No server answers at {away.url} (Connection refused)." in done.errors
        assert "The command runs all the same." in done.errors
        server.restart()
        state = delivered(away, api, job)
        assert state["error"]["message"] == "Exit code 3"
        assert all_logs(api, job)[0] == "hello"


def test_a_command_that_requires_a_server_is_not_run_without(runner: Runner) -> None:
    with hold_port() as held:
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        done = runner.run("--require", "--url", url, "--", "echo", "ran", code=2)
    assert done.out == b""
    assert "The command was not run." in done.errors


def test_a_server_that_dies_is_named_after_the_command(tmp_path: Path) -> None:
    with Server(tmp_path / "data") as server:
        process = Runner(server.url, tmp_path).start(
            "--", "sh", "-c", "echo ready; read x; echo last; exit 4"
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        server.kill()
        done = finish(process, 4, b"\n")
        assert done.out == b"last\n"
        assert "kept and sent later" in done.errors
        server.restart()
        with Api(server.url) as api:
            state = delivered(Runner(server.url, tmp_path), api, done.job)
            assert state["status"] == "failed"
            assert all_logs(api, done.job) == ["ready", "last"]


def test_a_server_that_refuses_the_key_is_named_and_the_command_runs(tmp_path: Path) -> None:
    with Server(tmp_path / "data", env={"LIVEJOBS_ADMIN_KEY": "k" * 40}) as server:
        runner = Runner(server.url, tmp_path)
        show = ("--", "sh", "-c", "echo ${LIVEJOBS_JOB-none} ${LIVEJOBS_KEY-none}")
        done = runner.run("--key", "wrong", *show)
        assert done.out == b"none none\n"
        assert "refuses the job" in done.errors
        assert runner.run("--require", "--key", "wrong", *show, code=2).out == b""
        done = runner.run("--key", "k" * 40, *show)
        assert done.out.decode().split() == [done.job, "k" * 40]
        assert "?token=" in done.errors  # a link that works on a phone, which has no key


# Cancelling


def test_a_cancel_ends_the_command_and_all_of_its_processes(runner: Runner, api: Api) -> None:
    process = runner.start("--", "sh", "-c", "echo ready; sleep 1000; echo never")
    assert process.stderr is not None
    job = job_in(process.stderr.readline().decode())
    api.until(job, lambda state: state["logs_total"] == 1)
    api.post(f"/v1/jobs/{job}/cancel")
    assert finish(process, 128 + signal.SIGTERM).out == b"ready\n"
    assert api.job(job)["status"] == "cancelled"


def test_a_command_that_ignores_sigterm_is_killed(runner: Runner, api: Api) -> None:
    loop = "trap 'echo no' TERM; while :; do echo ready; sleep 0.1; done"
    process = runner.start("--kill-after", "0.2", "--", "sh", "-c", loop)
    assert process.stderr is not None
    job = job_in(process.stderr.readline().decode())
    api.until(job, lambda state: state["logs_total"] > 0)
    api.post(f"/v1/jobs/{job}/cancel")
    finish(process, 128 + signal.SIGKILL)
    assert api.job(job)["status"] == "cancelled"
    assert "no" in all_logs(api, job)


def test_a_command_that_ends_well_after_a_cancel_is_cancelled(runner: Runner, api: Api) -> None:
    loop = "trap 'exit 0' TERM; while :; do echo ready; sleep 0.1; done"
    process = runner.start("--", "sh", "-c", loop)
    assert process.stderr is not None
    job = job_in(process.stderr.readline().decode())
    api.until(job, lambda state: state["logs_total"] > 0)
    api.post(f"/v1/jobs/{job}/cancel")
    finish(process, 0)
    assert api.job(job)["status"] == "cancelled"


# Within the command


def test_the_sdk_inside_reports_to_the_same_job_and_does_not_end_it(
    runner: Runner, api: Api
) -> None:
    done = runner.run(*runner.script(
        """if 1:
        import livejobs
        with livejobs.job("inner", total=4) as job:
            job.progress(2)
            job.result({"frames": 7})
            job.log("from within")
        livejobs.current().meta(own=True)
        print("after")
        """
    ))  # fmt: skip
    job = api.job(done.job)
    assert (job["status"], job["progress"]["total"], job["meta"]) == ("succeeded", 4, {"own": True})
    assert [result["value"] for result in job["results"]] == [{"frames": 7}]
    assert sorted(all_logs(api, done.job)) == ["after", "from within"]


def test_a_run_within_a_run_is_a_child_of_its_job(runner: Runner, api: Api) -> None:
    done = runner.run("--", *runner.command("--", "sh", "-c", "exit 5"), code=5)
    inner = job_in(done.errors.partition("\n")[2])
    assert api.job(inner)["parent"] == done.job
    assert api.job(done.job)["children"]["failed"] == 1


# Output


def test_binary_output_passes_unchanged_and_is_not_logged(runner: Runner, api: Api) -> None:
    data = bytes(range(256)) * 4000 + os.urandom(300_000)
    done = runner.run("--", "cat", input=data)
    assert done.out == data
    assert all_logs(api, done.job) == [
        "Binary output, which is not logged.", "1,324,000 bytes of binary output.",
    ]  # fmt: skip


def test_a_million_lines_pass_and_none_is_lost(runner: Runner, api: Api) -> None:
    done = runner.run("--", "seq", "1000000")
    assert done.out == b"".join(b"%d\n" % number for number in range(1, 1_000_001))
    logs = all_logs(api, runner.delivered(done))
    assert len(logs) < 30_000  # many lines share an entry
    assert "\n".join(logs) == "\n".join(map(str, range(1, 1_000_001)))


def test_lines_of_a_burst_are_entries_of_their_own(runner: Runner, api: Api) -> None:
    done = runner.run("--", "seq", "5000")
    assert len(all_logs(api, runner.delivered(done))) == 5000


def test_a_reader_that_goes_away_ends_the_command_as_in_a_pipe(runner: Runner, api: Api) -> None:
    process = runner.start("--", "yes")
    assert process.stdout is not None
    assert process.stdout.readline() == b"y\n"
    process.stdout.close()
    process.stdout = None
    done = finish(process, 128 + signal.SIGPIPE)
    assert api.job(done.job)["error"]["message"] == "Ended by signal SIGPIPE"


def test_a_process_that_is_left_behind_does_not_hold_up_the_end(runner: Runner, api: Api) -> None:
    process = runner.start("--", "sh", "-c", "sleep 1000 & echo $!")
    assert process.stdout is not None
    left = int(process.stdout.readline())
    try:
        done = finish(process, 0)
    finally:
        os.kill(left, signal.SIGKILL)
    assert api.job(done.job)["status"] == "succeeded"


def test_long_lines_and_strange_bytes_are_logged(runner: Runner, api: Api) -> None:
    done = runner.run("--", "cat", input=b"x" * 100_000 + b"\n\xff\xfe caf\xc3\xa9\n\nend")
    # On a busy machine, lines that come in a burst share entries.
    text = "\n".join(all_logs(api, runner.delivered(done)))
    assert text.replace("\n", "").lstrip("x") == "\ufffd\ufffd caféend"
    assert text.count("x") == 100_000
    assert text.endswith("\n\ufffd\ufffd café\n\nend")


# Files


def test_files_are_uploaded_at_the_end_also_of_a_command_that_fails(
    runner: Runner, api: Api
) -> None:
    done = runner.run(
        "--file", "out/*.txt", "--file", "**/b.txt", "--file", "*.none", "--",
        "sh", "-c",
        "mkdir -p out deep; echo a > out/a.txt; echo b > out/b.txt; echo c > deep/b.txt; exit 1",
        code=1,
    )  # fmt: skip
    job = api.job(done.job)
    assert job["status"] == "failed"
    assert sorted(file["name"] for file in job["files"]) == ["a.txt", "b.txt", "deep_b.txt"]
    assert api.get(f"/v1/jobs/{done.job}/files/deep_b.txt").text == "c\n"
    assert "No file matches --file '*.none'." in done.errors


# The process


def test_nothing_of_the_server_is_loaded(runner: Runner) -> None:
    script = """if 1:
        import sys
        from livejobs.cli.main import main
        try:
            main(["run", "--file", "none", "--", "true"])
        except SystemExit as end:
            assert end.code == 0
        print(*sys.modules)
        """
    done = subprocess.run(
        [sys.executable, "-c", script], env=runner.environment(), capture_output=True, check=True
    )
    loaded = set(done.stdout.decode().split())
    assert "livejobs.client.sending.reporter" in loaded
    heavy = {
        "starlette", "uvicorn", "uvloop", "aiosqlite", "websockets", "asyncio", "httpx2", "rich",
        "livejobs.config", "livejobs.service", "segno",
    }  # fmt: skip
    assert loaded & heavy == set()


def test_the_server_is_the_same_one_that_readers_ask() -> None:
    assert command.URL == asking.URL


def test_a_run_that_is_ignoring_hangups_goes_on(runner: Runner) -> None:
    """As nohup starts it."""
    process = subprocess.Popen(
        ["nohup", *runner.command("--", "sh", "-c", "echo ready; read x; echo $x")],
        env=clean_environment() | {"LIVEJOBS_URL": runner.url},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGHUP)
    done: Finished = finish(process, 0, b"on\n")
    assert done.out == b"on\n"
