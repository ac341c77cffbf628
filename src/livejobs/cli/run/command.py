"""`livejobs run`: a job for any command."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

import click

from livejobs.cli.run import child as children
from livejobs.cli.run.account import Account, Stream
from livejobs.cli.run.cancelling import Canceller
from livejobs.cli.run.ending import end_job, exit_code
from livejobs.cli.run.greeting import greeting, harmless
from livejobs.cli.run.lines import Lines
from livejobs.cli.run.news import News
from livejobs.cli.run.opening import Opening, new_job, open_job
from livejobs.cli.run.progress import BadPattern, Recognizer, own_pattern
from livejobs.cli.run.pump import Pump
from livejobs.cli.run.results import upload_all
from livejobs.cli.run.signals import Signals
from livejobs.cli.run.terminal import Terminal
from livejobs.client import settings
from livejobs.client.sending import process
from livejobs.client.settings import Target
from livejobs.client.worker.job import WorkerJob

URL: Final = "http://127.0.0.1:8000"  # as in asking.py, which loads a whole HTTP client
NOT_FOUND: Final = 127  # as shells have it
NOT_EXECUTABLE: Final = 126

EPILOG: Final = """\b
Examples:
  livejobs run -- make -j4
  livejobs run --file 'out/*.mp4' -- ffmpeg -i in.mov out/teaser.mp4
  livejobs run --progress '(?P<percent>\\d+) % rendered' -- ./render

The exit code is the command's: 128 + n if signal n ended it, 127 if there is no such command.
With --require, 2 if there is no server.

The command gets LIVEJOBS_URL, LIVEJOBS_KEY and LIVEJOBS_JOB, so `livejobs.current()` in a Python
program reports to the same job.
"""


@dataclass(frozen=True)
class Wishes:
    """The options."""

    title: str | None
    type: str | None
    files: tuple[str, ...]
    progress: str | None
    require: bool
    qr: bool
    grace: float


@click.command(epilog=EPILOG, context_settings={"allow_interspersed_args": False})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND…")
@click.option("--title", help="The job's title.  [default: the command]")
@click.option("--type", help="The job's type.  [default: the program's name]")
@click.option(
    "--file", "files", multiple=True, metavar="GLOB",
    help="Upload these files when the command has ended. Can be repeated.",
)  # fmt: skip
@click.option(
    "--progress", metavar="REGEX",
    help="Read the progress with this regular expression only. It has a group named percent, or "
    "groups named current and total.",
)  # fmt: skip
@click.option(
    "--require", is_flag=True, help="Do not run the command if the server cannot take the job."
)
@click.option("--qr/--no-qr", default=True, help="Show a QR code of the link, on a terminal.")
@click.option(
    "--kill-after", "grace", type=float, default=10.0, show_default=True,
    envvar="LIVEJOBS_KILL_AFTER", metavar="SECONDS",
    help="When the job is cancelled, the time between SIGTERM and SIGKILL.",
)  # fmt: skip
@click.option("--url", envvar=settings.URL, default=URL, show_default=True, help="The server.")
@click.option(
    "--key", envvar=settings.KEY,
    help="A key that may report. Other users of this machine can read options, so set "
    "LIVEJOBS_KEY instead.",
)  # fmt: skip
def run(  # noqa: PLR0913, PLR0917 - click passes each option by itself
    command: tuple[str, ...],
    title: str | None,
    type: str | None,
    files: tuple[str, ...],
    progress: str | None,
    require: bool,
    qr: bool,
    grace: float,
    url: str,
    key: str | None,
) -> None:
    """Run a command as a job.

    The output of the command becomes the job's log, and also appears here, unchanged. Progress
    bars are recognized. The job ends with the command.
    """
    if not 0 <= grace <= 86_400:
        _fail(2, "--kill-after takes 0 to 86400 seconds.")
    wishes = Wishes(title, type, files, progress, require, qr, grace)
    sys.exit(_run(command, wishes, _target(url, key)))


def _run(command: tuple[str, ...], wishes: Wishes, target: Target) -> int:
    recognizer = _recognizer(wishes.progress)
    _check(command[0])
    news = News.listen()
    opening = open_job(target, new_job(command, wishes.title, wishes.type))
    _introduce(opening, wishes)
    environment = _environment(target, opening.job)
    code = _Run(opening.job, recognizer, wishes).run(command, environment)
    # Usually done at exit. Done here, its warnings can still be printed.
    atexit.unregister(process.close_all)
    process.close_all()
    _tell(news, opening)
    return code


def _target(url: str, key: str | None) -> Target:
    try:
        return Target(settings.checked(url), settings.checked_key(key), settings.spool_folder())
    except ValueError as error:
        _fail(2, str(error))


def _recognizer(expression: str | None) -> Recognizer:
    try:
        return Recognizer(own_pattern(expression) if expression else None)
    except BadPattern as error:
        _fail(2, f"--progress {error}")


def _check(program: str) -> None:
    """Before there is a job: a mistyped command is none."""
    if shutil.which(program) is not None:
        return
    if os.sep in program and os.path.exists(program):  # noqa: PTH110 - a command is text
        _fail(NOT_EXECUTABLE, f"{program} cannot be executed.")
    _fail(NOT_FOUND, f"There is no command {program!r}.")


def _introduce(opening: Opening, wishes: Wishes) -> None:
    if opening.trouble is not None:
        if wishes.require:
            _fail(2, f"{opening.trouble} Check --url and --key. The command was not run.")
        later = " Its reports are kept and sent later." if opening.job.id else ""
        _say(f"{opening.trouble} The command runs all the same.{later}")
    elif opening.page is not None:
        _write(_greeting(opening.page, wishes))


def _greeting(page: str, wishes: Wishes) -> str:
    shown = sys.stderr.isatty()
    size = os.get_terminal_size(2) if shown else os.terminal_size((0, 0))
    code = shown and wishes.qr and "utf" in (sys.stderr.encoding or "").lower()
    return greeting(page, code=code, size=size, colour=not os.environ.get("NO_COLOR"))


def _environment(target: Target, job: WorkerJob) -> Mapping[str, str]:
    """The SDK in the command reports to the same job, if there is one."""
    inner = dict(os.environ)
    if job.id:
        inner |= {settings.URL: target.url, settings.JOB: job.id}
        if target.key:
            inner[settings.KEY] = target.key
    return inner


class _Run:
    """One run of a command."""

    def __init__(self, job: WorkerJob, recognizer: Recognizer, wishes: Wishes) -> None:
        self._job = job
        self._wishes = wishes
        self._account = Account(job, recognizer)

    def run(self, command: Sequence[str], environment: Mapping[str, str]) -> int:
        terminal = Terminal.open()
        signals = Signals(terminal)
        signals.install()
        shown = terminal if os.isatty(1) or os.isatty(2) else None
        try:
            child = children.start(command, environment, shown)
        except OSError as error:
            return self._not_started(command[0], error)
        signals.attach(child)
        if shown is not None:
            shown.enter()
        try:
            self._job.start(pid=child.group, host=os.uname().nodename)
            return self._follow(child, shown, signals)
        finally:
            signals.give_back()

    def _not_started(self, program: str, error: OSError) -> int:
        reason = f"{program} cannot be executed: {error.strerror}"
        self._job.fail(reason, "not_executable")
        _say(reason)
        return NOT_EXECUTABLE

    def _follow(self, child: children.Child, terminal: Terminal | None, signals: Signals) -> int:
        streams = {file: _stream(child, file) for file in child.outputs}
        canceller = Canceller(self._job.channel, child, self._wishes.grace)
        canceller.start()

        def seen(file: int, data: bytes) -> None:
            self._account.see(streams[file], data)

        status = Pump(child, terminal, signals.wake, seen, signals.stopped).run()
        canceller.stop()
        for stream in streams.values():
            self._account.end(stream)
        signals.give_back()
        upload_all(self._job, self._wishes.files, _say)
        end_job(self._job, status, self._account.last, cancelled=canceller.acted)
        return exit_code(status)


def _stream(child: children.Child, file: int) -> Stream:
    """On a pty, what the command writes to stdout and stderr cannot be told apart."""
    if file == child.pty:
        return Stream("terminal", Lines(terminal=True))
    return Stream({children.OUT: "stdout", children.ERR: "stderr"}[child.outputs[file]], Lines())


def _tell(news: News, opening: Opening) -> None:
    """Print the reporter's warnings. That there is no server was printed at the start."""
    for message in news.messages:
        if opening.trouble is None or "does not take reports now" not in message:
            _say(message)


def _say(text: str) -> None:
    _write(f"livejobs: {harmless(text)}\n")


def _write(text: str) -> None:
    click.echo(text, err=True, nl=False)


def _fail(code: int, text: str) -> NoReturn:
    _say(text)
    sys.exit(code)
