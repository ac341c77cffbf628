"""What commands for workers and readers share: which server they use, and how an error ends them.

Exit code 2: wrong usage, no server, or the server refused. The reason is one sentence on stderr.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from json import JSONDecodeError
from typing import Any, Final, NamedTuple, NoReturn

import click
from click.shell_completion import CompletionItem

from livejobs.cli.text import plain
from livejobs.client.errors import Corrupt, Refused, Unavailable, Unreachable
from livejobs.client.reader.asking import URL
from livejobs.client.reader.client import Client
from livejobs.client.settings import checked, checked_key

Command = Callable[..., Any]

CORRUPT: Final = 1
NO: Final = 2
INTERRUPTED: Final = 130  # as a shell has it for SIGINT
COMPLETED: Final = 50  # jobs that the Tab key offers


class Server(NamedTuple):
    """Where the command's requests go, and the key that they carry."""

    url: str
    key: str | None

    def client(self) -> Client:
        return Client(self.url, self.key)


def _server(url: str, key: str | None) -> Server:
    try:
        return Server(checked(url), checked_key(key))
    except ValueError as error:
        fail(NO, _stop(str(error)))


def on_server(command: Command) -> Command:
    """Give the command --url and --key, and a Server as its first argument. Errors of the server
    end the command."""

    @click.option(
        "--url",
        envvar="LIVEJOBS_URL",
        show_envvar=True,
        default=URL,
        show_default=True,
        help="The server.",
    )
    @click.option(
        "--key",
        envvar="LIVEJOBS_KEY",
        show_envvar=True,
        help="The key. Other users of this machine can read options, so prefer the variable.",
    )
    @functools.wraps(command)
    def with_server(url: str, key: str | None, **arguments: Any) -> None:
        server = _server(url, key)
        with failures(server.url):
            command(server, **arguments)

    return with_server


def reads(command: Command) -> Command:
    """As `on_server`, with an open client."""

    @on_server
    @functools.wraps(command)
    def with_client(server: Server, **arguments: Any) -> None:
        with server.client() as client:
            command(client, **arguments)

    return with_client


@contextmanager
def failures(url: str) -> Iterator[None]:
    """Within, an error that the user can do something about ends the command with a sentence."""
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except (Refused, Unreachable, Corrupt) as error:
        fail(CORRUPT if isinstance(error, Corrupt) else NO, sentence(error, url))
    except JSONDecodeError:
        fail(NO, f"What answers at {url} is not a livejobs server. {URL_HINT}")


def sentence(error: Exception, url: str) -> str:
    """What is wrong, and what to do."""
    if isinstance(error, Unavailable):
        return f"The server at {url} cannot answer now: {_stop(error.detail)} Try again later."
    if isinstance(error, Refused) and not error.problem:  # livejobs says what is wrong
        return f"What answers at {url} is not a livejobs server ({error.detail}). {URL_HINT}"
    if isinstance(error, Refused):
        return _stop(error.detail) + HINTS.get(error.code, HINTS.get(str(error.status), ""))
    if isinstance(error, Unreachable):
        reason = re.sub(r"^\[Errno -?\d+\] ", "", str(error))
        if "WRONG_VERSION_NUMBER" in reason:
            reason = "that port speaks http, not https"
        return (
            f"No server answers at {url} ({reason}). Start one with `livejobs serve`, or name "
            "another with --url or LIVEJOBS_URL."
        )
    return _stop(str(error))


URL_HINT: Final = "Check --url or LIVEJOBS_URL."

# By the error's code, else by its status.
HINTS: Final = {
    "job_not_found": " `livejobs jobs` lists the jobs that you may see.",
    "webhook_not_found": " `livejobs webhook list` lists the webhooks.",
    "not_found": f" {URL_HINT} It is the address of the server's first page.",
    "401": " Set LIVEJOBS_KEY to a key of this server. `livejobs key create` makes one.",
    "403": " Use a key that has this right.",
}


def _stop(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def tell(text: str) -> None:
    """A sentence for the user, on stderr. It may quote the server, and so a job."""
    click.echo(f"livejobs: {plain(text)}", err=True)


def fail(code: int, text: str) -> NoReturn:
    tell(text)
    sys.exit(code)


def complete_job(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The newest jobs, for the Tab key. Without a server there are none."""
    try:
        url, key = context.params.get("url") or URL, context.params.get("key")
        with Client(url, key) as client:
            jobs = list(islice(client.list(limit=COMPLETED), COMPLETED))
    except Exception:  # noqa: BLE001 - an error here would be printed into the user's prompt
        return []
    found = [job for job in jobs if job["id"].startswith(incomplete)]
    return [
        CompletionItem(
            job["id"], help=plain(f"{job['status']} {job['title'] or job['type'] or ''}")
        )
        for job in found
    ]


def job_argument(command: Command) -> Command:
    """Give the command an argument JOB that the Tab key completes."""
    return click.argument("job", shell_complete=complete_job)(command)
