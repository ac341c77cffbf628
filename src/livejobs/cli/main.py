"""The command line: all commands, and how a command that fails ends."""

from __future__ import annotations

import sys
from typing import Any, NoReturn

import click

from livejobs.cli.demo import demo
from livejobs.cli.keys import Refused, key, token
from livejobs.cli.serve import serve, warn
from livejobs.config import SettingError
from livejobs.server.runner import CannotListen
from livejobs.store.base import StoreUnusable


class Commands(click.Group):
    """Prints why a command failed as one line on stderr."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except SettingError as error:
            fail(2, error)
        except (CannotListen, Refused, StoreUnusable) as error:
            fail(1, error)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="livejobs", prog_name="livejobs", message="%(prog)s %(version)s")
def main() -> None:
    """Status, progress, results and files of long-running jobs, live.

    `livejobs demo` shows the server with simulated jobs. `livejobs serve` runs it for yours.
    """


for command in (serve, demo, key, token):
    main.add_command(command)


def fail(code: int, error: Exception) -> NoReturn:
    warn(error)
    sys.exit(code)
