"""`livejobs report`."""

from __future__ import annotations

import sys
import time
from typing import Final

import click

from livejobs.cli.reach import INTERRUPTED, NO, Server, fail, job_argument, on_server, tell
from livejobs.cli.report.lines import Input
from livejobs.cli.report.numbered import Reports, Verdict
from livejobs.client.sending.channel import new_producer
from livejobs.client.sending.exchange import BATCH, BYTES, Answer, Request
from livejobs.client.sending.pace import Backoff, jittered
from livejobs.client.sending.transport import Transport
from livejobs.client.settings import Target, spool_folder

BAD: Final = 1


@click.command(
    epilog="""\b
Exit codes:
  0  all lines were accepted
  1  some lines were refused; their numbers are on stderr
  2  wrong usage, no server, no such job, or no right to report on it"""
)
@job_argument
@click.option("--strict", is_flag=True, help="Stop at the first bad line.")
@click.option(
    "--patience", type=click.FloatRange(min=0), metavar="S", default=600, show_default=True,
    help="Seconds to keep trying while the server does not answer.",
)  # fmt: skip
@on_server
def report(server: Server, job: str, strict: bool, patience: float) -> None:
    """Send reports from stdin to a job. Each line is one JSON object:

    \b
      {"type": "progress", "current": 3, "total": 10}
      {"type": "log", "message": "Pass 2"}
      {"type": "succeed", "result": {"frames": 240}}

    Lines are sent as they come. While the server is away they are kept, up to 4 MiB, and sent
    again when it answers. Each line counts once, since the command numbers the reports.

    The number of a bad line is printed on stderr, and the other lines are sent. The lines before a
    bad line are always sent. The job must exist: PUT /v1/jobs/JOB creates it.
    """
    Sender(server, job, strict=strict, patience=patience).run(Input(sys.stdin.fileno()))


class Sender:
    """Sends until stdin ends. What it can't send ends the command, with a sentence."""

    def __init__(self, server: Server, job: str, *, strict: bool, patience: float) -> None:
        self._url = server.url
        self._job = job
        self._patience = patience
        self._reports = Reports(new_producer(), strict=strict)
        self._transport = Transport(Target(server.url, server.key, spool_folder()))
        self._backoff: Backoff = jittered()
        self._answered = time.monotonic()
        self._away = self._cancel = False

    def run(self, lines: Input) -> None:
        try:
            while not self._reports.stopped and (taken := lines.take(BATCH, BYTES)):
                self._reports.add(taken)
                self._answered = time.monotonic()  # silence before there was a line is no failure
                self._send()
        except KeyboardInterrupt:
            fail(INTERRUPTED, f"Interrupted. Lines not sent: {self._reports.waiting + lines.left}.")
        if self._reports.stopped:
            fail(BAD, "The lines after that one are not sent.")
        if self._reports.refused:
            total = self._reports.refused + self._reports.accepted
            fail(BAD, f"{self._reports.refused} of {total} lines were refused.")

    def _send(self) -> None:
        self._show_bad()
        while self._reports.waiting:
            answer = self._transport.send(self._job, Request("reports", self._reports.body()))
            self._judge(answer, self._reports.answered(answer))
            self._show_bad()

    def _judge(self, answer: Answer, verdict: Verdict) -> None:
        if verdict is Verdict.GO:
            self._heard(answer)
        elif verdict is Verdict.AGAIN:
            self._wait(answer)
        else:
            code = BAD if answer.said.get("code") == "job_finished" else NO
            first = self._reports.first
            fail(code, f"{answer.reason} Line {first} and those after it are not sent.")

    def _heard(self, answer: Answer) -> None:
        self._answered = time.monotonic()
        self._backoff.worked()
        if self._away:
            self._away = False
            tell(f"{self._url} answers again.")
        if answer.said.get("cancel_requested") and not self._cancel:
            self._cancel = True
            tell(f"Somebody asked to cancel job {self._job}.")

    def _wait(self, answer: Answer) -> None:
        now = time.monotonic()
        if now - self._answered >= self._patience:
            fail(NO, f"No server took line {self._reports.first} and those after it in "
                     f"{self._patience:g} seconds ({self._url}: {answer.reason}).")  # fmt: skip
        if not self._away:
            self._away = True
            tell(f"{self._url} does not take reports now ({answer.reason}). They are kept.")
        self._backoff.failed(now, least=answer.retry_after)
        time.sleep(max(0.0, self._backoff.until - now))

    def _show_bad(self) -> None:
        if self._reports.stopped and self._reports.waiting:
            return  # one of these may be bad as well, and is the first one then
        for bad in self._reports.bad:
            tell(f"line {bad.number}: {bad.reason}")
        self._reports.bad.clear()
