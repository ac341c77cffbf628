"""`livejobs report`: lines of NDJSON become reports, each exactly once."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator

import pytest

from livejobs.cli.report.lines import LONGEST, Line, Splitter
from livejobs.cli.report.numbered import Report, Reports, Verdict
from livejobs.client.sending.exchange import Answer
from tests.cli.read.shell import Shell
from tests.client.worker import all_logs
from tests.support.api import Api
from tests.support.server import LONG_ENOUGH, Server


def log(message: object) -> str:
    return json.dumps({"type": "log", "message": str(message)}) + "\n"


def test_lines_become_reports(shell: Shell, api: Api) -> None:
    id = api.create()
    lines = log("one") + "\r\n\n" + log("two") + '{"type": "succeed", "result": 3}'
    assert shell.out("report", id, input=lines) == ""
    job = api.job(id)
    assert (job["status"], job["result"], all_logs(api, id)) == ("succeeded", 3, ["one", "two"])


def test_lines_are_sent_as_they_come(shell: Shell, api: Api) -> None:
    id = api.create()
    with shell.start("report", id) as process:
        assert process.stdin is not None
        process.stdin.write(log("first"))
        api.until(id, lambda job: job["logs_total"] == 1)
        process.stdin.write(log("second"))
        api.until(id, lambda job: job["logs_total"] == 2)
        process.stdin.close()
        assert process.wait(LONG_ENOUGH) == 0


BAD = log("1") + "nonsense\n\n" + log("4") + '{"type": "wrong"}\n[]\n' + log("7") + "\xff\n"


def test_bad_lines_are_named_and_the_rest_goes_on(shell: Shell, api: Api) -> None:
    id = api.create()
    done = shell.run("report", id, input=BAD.encode("latin-1"))
    assert done.returncode == 1
    said = sorted(done.stderr.splitlines())
    assert [line.partition(": ")[2][:7] for line in said] == [
        "4 of 7 ", "line 2:", "line 5:", "line 6:", "line 8:",
    ]  # fmt: skip
    assert "Invalid value 'wrong'" in done.stderr
    assert all_logs(api, id) == ["1", "4", "7"]


def test_the_first_bad_line_is_the_last_one_if_that_is_wished(shell: Shell, api: Api) -> None:
    id = api.create()
    done = shell.run("report", "--strict", id, input=log(1) + '{"type":"wrong"}\n' + log(3) + "x\n")
    assert done.returncode == 1
    assert "line 2: " in done.stderr
    assert "line 4: " not in done.stderr
    assert all_logs(api, id) == ["1"]


def test_each_line_counts_once_through_a_killed_server(server: Server) -> None:
    with Api(server.url) as api:
        id = api.create()
    total = 3000
    with Shell(server.url).start("report", id) as process:
        assert process.stdin is not None
        for n in range(total):
            process.stdin.write(log(n))
            if n in (500, 1500):
                process.stdin.flush()
                with Api(server.url) as api:
                    api.until(id, lambda job: job["logs_total"] > 0)
                server.kill()
            if n in (1000, 2000):
                server.restart()
        _, errors = process.communicate(timeout=LONG_ENOUGH)
        assert process.returncode == 0, errors
    with Api(server.url) as api:
        assert all_logs(api, id) == [str(n) for n in range(total)]


def test_lines_with_numbers_of_their_own_keep_them(shell: Shell, api: Api) -> None:
    id = api.create()
    line = json.dumps({"type": "log", "message": "once", "producer": "mine", "n": 7}) + "\n"
    shell.out("report", id, input=line)
    shell.out("report", id, input=line)
    assert all_logs(api, id) == ["once"]


def test_what_nobody_takes_is_said(shell: Shell, api: Api) -> None:
    away = Shell("http://127.0.0.1:9").run("report", "--patience", "0", "x", input=log(1))
    assert away.returncode == 2
    assert "No server took line 1 and those after it" in away.stderr
    absent = shell.run("report", "absent", input=log(1))
    assert absent.returncode == 2
    assert "There is no job 'absent'." in absent.stderr
    id = api.create()
    api.report(id, {"type": "succeed"})
    over = shell.run("report", id, input=log(1))
    assert over.returncode == 1
    assert "Line 1 and those after it are not sent." in over.stderr


def test_a_cancel_is_told_once(shell: Shell, api: Api) -> None:
    id = api.create()
    api.report(id, {"type": "start"})
    api.post(f"/v1/jobs/{id}/cancel")
    done = shell.run("report", id, input=log(1) * 5)
    assert (done.returncode, done.stderr.count("asked to cancel")) == (0, 1)


def test_ctrl_c_ends_it_without_a_traceback(shell: Shell, api: Api) -> None:
    id = api.create()
    with shell.start("report", id) as process:
        assert process.stdin is not None
        process.stdin.write(log("first"))
        api.until(id, lambda job: job["logs_total"] == 1)
        process.send_signal(signal.SIGINT)
        errors = _rest(process)
    assert process.returncode == 130
    # The line is on disk, but its answer may still be on the way.
    assert re.fullmatch(r"livejobs: Interrupted. Lines not sent: [01]\.\n", errors)


def _rest(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    process.wait(LONG_ENOUGH)
    return process.stderr.read()


# The parts


def test_lines_are_the_same_however_they_are_cut() -> None:
    data = b"one\n\ntwo\r\nlast"
    for size in range(1, len(data) + 1):
        splitter = Splitter()
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        found = [line for piece in pieces for line in splitter.feed(piece)] + splitter.end()
        assert found == [Line(1, b"one"), Line(2, b""), Line(3, b"two\r"), Line(4, b"last")]


def test_a_line_without_an_end_takes_no_more_memory() -> None:
    splitter = Splitter()
    for _ in range(5):
        assert splitter.feed(b"x" * (LONGEST // 2)) == []
    first, second = splitter.feed(b"\nnext\n")
    assert (first.number, len(first.text), first.cut) == (1, LONGEST, True)
    assert second == Line(2, b"next")
    reports = Reports("p")
    reports.add([first])
    assert "longer than 1 MiB" in reports.bad[0].reason


def lines(*texts: str) -> list[Line]:
    return [Line(number, text.encode()) for number, text in enumerate(texts, 1)]


OBJECT = '{"type": "log"}'


@pytest.mark.parametrize("status", [0, 408, 429, 500, 503])
def test_a_request_without_an_answer_is_sent_again_as_it_was(status: int) -> None:
    reports = Reports("p")
    reports.add(lines(OBJECT, OBJECT))
    body = reports.body()
    assert reports.answered(Answer(status)) is Verdict.AGAIN
    assert (reports.body(), reports.waiting) == (body, 2)
    assert reports.answered(Answer(200)) is Verdict.GO
    assert (reports.waiting, reports.accepted) == (0, 2)


def refusing(bad: set[int], reports: Reports) -> Iterator[int]:
    """A server that does not say which report is wrong. The lines that it accepts."""
    while reports.waiting:
        sent: list[Report] = [Report(said["n"], b"") for said in json.loads(reports.body())]
        wrong = any(report.number in bad for report in sent)
        reports.answered(Answer(413) if wrong else Answer(200))
        if not wrong:
            yield from (report.number for report in sent)


def test_a_bad_report_is_found_though_the_server_does_not_say_which() -> None:
    reports = Reports("p")
    reports.add(lines(*[OBJECT] * 20))
    assert list(refusing({3, 11, 20}, reports)) == [n for n in range(1, 21) if n not in {3, 11, 20}]
    assert [bad.number for bad in reports.bad] == [3, 11, 20]
