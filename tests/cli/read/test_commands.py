"""`livejobs jobs`, `logs`, `get`, `wait` and `cancel`, as a person or a script uses them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from livejobs.cli.main import PLACES, main
from tests.cli.read.shell import Shell
from tests.client.cutting import Cutting
from tests.client.fake import Fake
from tests.support.api import Api
from tests.support.server import LONG_ENOUGH, Server

SERVERS = {"starlette", "uvicorn", "uvloop", "aiosqlite", "sse_starlette", "websockets", "msgspec"}


@pytest.mark.parametrize(
    "name", ["watch", "jobs", "logs", "get", "wait", "answer", "cancel", "report", "mcp"]
)
def test_a_command_for_readers_loads_nothing_of_the_server(name: str) -> None:
    program = f"""
import sys
from livejobs.cli.main import main
try:
    words = {{"jobs": [], "mcp": [], "answer": ["x", "true"]}}.get({name!r}, ["x"])
    main([{name!r}, "--url", "http://127.0.0.1:9", *words])
except SystemExit as end:
    assert end.code in (0, 2), end.code  # report has no lines to send
print(*sorted({{module.partition(".")[0] for module in sys.modules}} & {SERVERS!r}))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True,
        stdin=subprocess.DEVNULL, timeout=LONG_ENOUGH,
    )  # fmt: skip
    assert done.stdout.strip() == ""


def test_every_command_is_there_and_has_help(shell: Shell) -> None:
    listed = shell.out("--help")
    for name in PLACES:
        command = main.get_command(click.Context(main), name)
        assert command is not None
        assert command.get_help(click.Context(command, info_name=name)).startswith("Usage: ")
        assert re.search(rf"^  {name} +{re.escape(PLACES[name].line)}$", listed, re.MULTILINE)


# jobs


def test_jobs_are_listed_for_programs(shell: Shell, api: Api) -> None:
    first = api.create(type="listed", title="One\ttab\u202e")
    second = api.create(type="listed", project="other")
    rows = [row.split("\t") for row in shell.out("jobs", "--type", "listed").splitlines()]
    assert [row[:5] for row in rows] == [[first, "queued", "", "listed", "One\\ttab\\u202e"]]
    everywhere = shell.out("jobs", "--type", "listed", "--project", "*", "--json").splitlines()
    assert [json.loads(line)["id"] for line in everywhere] == [second, first]
    assert shell.out("jobs", "--type", "listed", "--project", "*", "--limit", "1").count("\n") == 1


def test_jobs_are_filtered(shell: Shell, api: Api) -> None:
    running, queued = (
        api.create(type="filtered", title="The Lighthouse"),
        api.create(type="filtered"),
    )
    api.report(running, {"type": "start"})
    api.report(api.create(type="filtered"), {"type": "fail", "message": "x"})

    def ids(*words: str) -> list[str]:
        lines = shell.out("jobs", "--type", "filtered", *words).splitlines()
        return [line.partition("\t")[0] for line in lines]

    assert ids("--status", "queued,running") == [queued, running]
    assert ids("--status", "queued", "--status", "running") == [queued, running]
    assert ids("--q", "lighthouse") == [running]
    wrong = shell.run("jobs", "--status", "done")
    assert wrong.returncode == 2
    assert "'done' is not one of 'queued', 'running'" in wrong.stderr


@pytest.mark.parametrize("width", [40, 80, 160])
def test_a_table_fits_its_terminal(width: int, shell: Shell, api: Api) -> None:
    type = f"table{width}"
    id = api.create(type=type, title="A \x1b[31mtitle " + "of many words " * 20)
    api.report(id, {"type": "progress", "percent": 42})
    with shell.terminal("jobs", "--type", type, width=width) as terminal:
        code, text = terminal.ended()
    assert code == 0
    assert id in text
    assert "42%" in text
    assert "\\x1b[31mt" in text
    assert max(map(len, text.splitlines())) <= width


def test_no_colour_leaves_the_words(shared: Server, api: Api) -> None:
    api.create(type="grey", title="Grey")
    with Shell(shared.url, NO_COLOR="1").terminal("jobs", "--type", "grey") as terminal:
        assert "○ queued" in terminal.ended()[1]
        assert "\x1b[3" not in terminal.raw


# logs


def test_a_log_is_printed_for_programs(shell: Shell, api: Api) -> None:
    id = api.create()
    api.report(
        id,
        {"type": "log", "message": "two\nlines\x1b[2J", "at": "2026-01-02T03:04:05.678Z"},
        {"type": "log", "message": "bad", "level": "error", "source": "stderr"},
    )
    first, second = shell.out("logs", id).splitlines()
    assert first == "2026-01-02T03:04:05.678Z\tinfo\t-\ttwo\\nlines\\x1b[2J"
    assert second.split("\t")[1:] == ["error", "stderr", "bad"]
    assert json.loads(shell.out("logs", id, "--level", "error", "--json"))["message"] == "bad"
    assert shell.out("logs", id, "--tail", "1").endswith("bad\n")


def test_a_log_is_followed_through_a_restart(server: Server) -> None:
    with Api(server.url) as api:
        id = api.create()
        api.report(id, {"type": "log", "message": "one"}, {"type": "log", "message": "two"})
    with Shell(server.url).start("logs", "-f", "--tail", "1", id) as process:
        assert process.stdout is not None
        assert process.stdout.readline().endswith("two\n")
        server.kill()
        server.restart()
        with Api(server.url) as api:
            api.report(id, {"type": "log", "message": "three"}, {"type": "succeed"})
        assert process.stdout.read().endswith("three\n")
        assert process.wait(LONG_ENOUGH) == 0


def test_a_log_in_a_terminal_cannot_control_it(shell: Shell, api: Api) -> None:
    id = api.create()
    api.report(
        id, {"type": "log", "message": "\x1b]0;title\x07 \x9b2J \u202e\nmore", "level": "warning"}
    )
    with shell.terminal("logs", id) as terminal:
        assert "\\x1b]0;title\\x07 \\x9b2J \\u202e\n" in terminal.ended()[1]
        assert "\x1b]" not in terminal.raw


# get


DATA = bytes(range(256)) * 8000


def with_files(api: Api, **files: bytes) -> str:
    id = api.create()
    for name, data in files.items():
        assert api.put(f"/v1/jobs/{id}/files/{name}", content=data).status_code == 201
    return id


def test_files_are_downloaded_into_a_folder(shell: Shell, api: Api, tmp_path: Path) -> None:
    id = with_files(api, big=DATA, small=b"x")
    into = tmp_path / "new" / "folder"
    assert shell.out("get", id, "-o", str(into)) == f"{into / 'big'}\n{into / 'small'}\n"
    assert (into / "big").read_bytes() == DATA
    before = (into / "big").stat().st_ino
    shell.out("get", id, "-o", str(into))
    assert (into / "big").stat().st_ino == before  # it was there already
    (into / "small").write_bytes(b"y")
    shell.out("get", id, "small", "-o", str(into))
    assert (into / "small").read_bytes() == b"x"


def test_a_download_goes_on_where_it_was_cut(api: Api, tmp_path: Path) -> None:
    id = with_files(api, big=DATA)
    (tmp_path / "big.part").write_bytes(DATA[:500_000])
    with Cutting(str(api.base_url), [1 << 20, 300_000]) as proxy:
        Shell(proxy.url).out("get", id, "-o", str(tmp_path))
    assert (tmp_path / "big").read_bytes() == DATA
    assert list(tmp_path.glob("*.part")) == []


def test_a_file_that_lies_elsewhere_is_downloaded(shell: Shell, api: Api, tmp_path: Path) -> None:
    id = api.create()
    elsewhere = {"name": "api.json", "url": f"{shell.url}/openapi.json"}
    assert api.post(f"/v1/jobs/{id}/files", json=elsewhere).status_code == 201
    shell.out("get", id, "-o", str(tmp_path))
    assert json.loads((tmp_path / "api.json").read_bytes())["openapi"]


def test_a_download_shows_a_bar(shell: Shell, api: Api, tmp_path: Path) -> None:
    id = with_files(api, big=DATA)
    with shell.terminal("get", id, "-o", str(tmp_path), width=60) as terminal:
        code, text = terminal.ended()
    assert code == 0
    assert "big" in text
    assert "100%" in text


def test_what_cannot_be_downloaded_is_said(shell: Shell, api: Api, tmp_path: Path) -> None:
    id = with_files(api, there=b"x")
    wrong = shell.run("get", id, "absent")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "has no file 'absent'. Its files: there." in wrong.stderr
    assert "has no files" in shell.run("get", api.create()).stderr
    (tmp_path / "file").write_bytes(b"")
    assert shell.run("get", id, "-o", str(tmp_path / "file" / "below")).returncode == 2


# wait and cancel


@pytest.mark.parametrize(
    ("report", "code", "said"),
    [
        ({"type": "succeed"}, 0, ""),
        ({"type": "fail", "message": "It broke\x1b"}, 1, "failed: It broke\\x1b\n"),
        ({"type": "cancelled"}, 3, ""),
    ],
)
def test_the_exit_code_of_wait_is_how_the_job_ended(
    report: dict[str, str], code: int, said: str, shell: Shell, api: Api
) -> None:
    id = api.create()
    with shell.start("wait", id) as process:
        api.report(id, report)
        _, errors = process.communicate(timeout=LONG_ENOUGH)
    assert (process.returncode, errors.endswith(said)) == (code, True)
    again = shell.run("wait", id, "--timeout", "0")
    assert (again.returncode, again.stdout) == (code, "")


def test_wait_ends_after_its_time(shell: Shell, api: Api) -> None:
    done = shell.run("wait", api.create(), "--timeout", "0.2")
    assert done.returncode == 4
    assert "has not ended after 0.2 seconds" in done.stderr


def test_a_job_is_cancelled(shell: Shell, api: Api) -> None:
    queued, running = api.create(), api.create()
    api.report(running, {"type": "start"})
    assert shell.out("cancel", queued) == f"Job {queued} is cancelled.\n"
    assert "asked to stop" in shell.out("cancel", running)
    assert api.job(running)["cancel_requested"]
    assert "is cancelled" in shell.out("cancel", "--force", running)
    again = shell.run("cancel", running)
    assert again.returncode == 2
    assert len(again.stderr.splitlines()) == 1


# Errors


@pytest.mark.parametrize(
    "words",
    [
        ("jobs",),
        ("logs", "x"),
        ("get", "x"),
        ("wait", "x"),
        ("cancel", "x"),
        ("watch", "x"),
        ("watch",),
    ],
)
def test_without_a_server_a_command_says_what_to_do(words: tuple[str, ...]) -> None:
    done = Shell("http://127.0.0.1:9").run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "livejobs: No server answers at http://127.0.0.1:9 (Connection refused). Start one with "
        "`livejobs serve`, or name another with --url or LIVEJOBS_URL.\n"
    )


def test_without_a_server_key_names_the_same_next_step() -> None:
    done = Shell("http://127.0.0.1:9").run("key", "list")
    assert (done.returncode, done.stdout) == (1, "")
    assert "(Connection refused). Start one with `livejobs serve`" in done.stderr


@pytest.mark.parametrize("command", ["logs", "get", "wait", "cancel", "watch"])
def test_a_job_that_is_not_there_is_said(command: str, shell: Shell) -> None:
    done = shell.run(command, "absent\x1b")
    assert (done.returncode, done.stdout) == (2, "")
    assert "`livejobs jobs` lists" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "\x1b" not in done.stderr


def test_a_wrong_address_or_key_is_said(shared: Server) -> None:
    assert "'ftp://x' is not the URL of a server" in Shell("ftp://x").run("jobs").stderr
    assert Shell("ftp://x").run("jobs").returncode == 2
    done = Shell(shared.url, LIVEJOBS_KEY="se\ncret\x1b").run("jobs")
    assert done.returncode == 2
    assert "cret" not in done.stderr
    deeper = Shell(f"{shared.url}/docs").run("watch", "x")
    assert deeper.returncode == 2
    assert "There is nothing at this address. Check --url or LIVEJOBS_URL." in deeper.stderr
    secure = Shell(shared.url.replace("http:", "https:")).run("jobs")
    assert "(that port speaks http, not https)" in secure.stderr


def test_a_mistyped_command_gets_a_suggestion() -> None:
    done = Shell("http://127.0.0.1:9").run("serv")
    assert (done.returncode, done.stdout) == (2, "")
    assert "No such command 'serv'. Did you mean 'serve'?" in done.stderr
    assert "Did you mean" not in Shell("http://127.0.0.1:9").run("xyz").stderr


def test_another_server_is_told_from_livejobs() -> None:
    with Fake([(404, {})]) as fake:
        done = Shell(fake.url).run("wait", "x")
    assert done.returncode == 2
    assert "is not a livejobs server (HTTP status 404). Check --url" in done.stderr


def test_a_busy_server_is_told_from_an_absent_one() -> None:
    with Fake([(503, {"detail": "The disk is full.", "code": "storage_unavailable"})]) as fake:
        done = Shell(fake.url).run("wait", "x")
    assert done.returncode == 2
    assert done.stderr.endswith("cannot answer now: The disk is full. Try again later.\n")


def test_a_key_is_needed_and_taken(tmp_path: Path) -> None:
    with Server(tmp_path / "data", env={"LIVEJOBS_ADMIN_KEY": "of-the-admin"}) as server:
        done = Shell(server.url).run("jobs")
        assert done.returncode == 2
        assert "LIVEJOBS_KEY" in done.stderr
        assert Shell(server.url, LIVEJOBS_KEY="of-the-admin").out("jobs") == ""
        assert Shell(server.url).out("jobs", "--key", "of-the-admin") == ""


# Completion


def completed(shell: Shell, *words: str) -> list[str]:
    environment = {
        "_LIVEJOBS_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(("livejobs", *words)),
        "COMP_CWORD": str(len(words)),
    }
    lines = Shell(shell.url, **environment).out().splitlines()
    return [line.partition(",")[2] for line in lines if line]


def test_the_tab_key_completes_commands_options_and_jobs(shell: Shell, api: Api) -> None:
    assert completed(shell, "wa") == ["watch", "wait"]
    assert completed(shell, "jobs", "--stat") == ["--status"]
    assert completed(shell, "jobs", "--status", "s") == ["succeeded"]
    api.create(id="tab-completed")
    assert completed(shell, "watch", "tab-c") == ["tab-completed"]
    assert completed(Shell("http://127.0.0.1:9"), "watch", "t") == []
    for name in ("bash", "zsh", "fish"):
        source = Shell(shell.url, _LIVEJOBS_COMPLETE=f"{name}_source")
        assert "_LIVEJOBS_COMPLETE" in source.run().stdout


# answer


@pytest.mark.parametrize(
    ("words", "value"),
    [(["true"], True), (["tomorrow"], "tomorrow"), (["3", "--text"], "3"), (["--", "-3"], -3)],
)
def test_a_question_is_answered(shell: Shell, api: Api, words: list[str], value: object) -> None:
    id = api.create()
    api.report(id, {"type": "ask", "prompt": "Which?"})
    assert shell.out("answer", "--n", "1", id, *words) == f"Job {id} has the answer.\n"
    assert api.report(id, {"type": "heartbeat"})["answer"]["value"] == value


def test_an_answer_that_nobody_waits_for_is_refused_with_the_reason(shell: Shell, api: Api) -> None:
    refused = shell.run("answer", api.create(), "true")
    assert refused.returncode == 2
    assert "does not wait for an answer" in refused.stderr
