"""The command line: all commands, and how a command that fails ends.

Commands are loaded on use: a command for workers or readers loads nothing of the server.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any, Final, NamedTuple

import click
from click.shell_completion import CompletionItem


class Place(NamedTuple):
    module: str  # in livejobs.cli; the command has the name of its module, if it has no other
    line: str  # in the list of commands
    attribute: str | None = None


SECTIONS: Final = {
    "Read and control jobs": {
        "watch": Place("watch.command", "Show a job, or all jobs of a project, live.", "watch"),
        "jobs": Place("reader.jobs", "List jobs, newest first."),
        "logs": Place("reader.logs", "Print a job's log."),
        "get": Place("reader.get", "Download a job's files."),
        "wait": Place("reader.wait", "Wait until a job has ended."),
        "answer": Place("reader.answer", "Answer what a job waits for."),
        "cancel": Place("reader.cancel", "Cancel a job."),
        "mcp": Place("mcp.command", "Serve agents over MCP, on stdin and stdout.", "mcp"),
    },
    "Report on jobs": {
        "run": Place("run.command", "Run a command as a job.", "run"),
        "report": Place(
            "report.command", "Send reports from stdin, one JSON object a line.", "report"
        ),
    },
    "Run a server": {
        "serve": Place("operator.serve", "Run the server."),
        "demo": Place("operator.demo", "Run the server with simulated jobs of all kinds."),
        "key": Place("operator.keys", "Create, list and revoke keys.", "key"),
        "token": Place("operator.keys", "Create a short-lived token for browsers.", "token"),
        "backup": Place("operator.backup", "Write a backup of all jobs and files."),
        "restore": Place("operator.restore", "Restore jobs and files from a backup."),
        "doctor": Place("operator.doctor", "Check settings, disk, database, files and proxy."),
        "webhook": Place("operator.webhooks", "List, test and replay webhooks.", "webhook"),
        "export": Place("operator.export", "Write all jobs and files to a folder."),
        "gc": Place("operator.gc", "Remove jobs, logs and files whose time is over."),
        "import": Place("operator.import_", "Read an export into a database."),
    },
}

PLACES: Final = {name: place for part in SECTIONS.values() for name, place in part.items()}

# The exit codes of errors. They are named here, since importing them would load the server.
FAILURES: Final = {
    "livejobs.config.settings.SettingError": 2,
    "livejobs.server.runner.CannotListen": 1,
    "livejobs.cli.operator.keys.Refused": 1,
    "livejobs.copies.errors.WrongPlace": 2,
    "livejobs.copies.errors.CannotCopy": 1,
    "livejobs.store.base.StoreUnusable": 1,
    "livejobs.store.postgres.opening.DatabaseUnusable": 2,
}

EPILOG: Final = """Commands for jobs take --url and --key, or LIVEJOBS_URL and LIVEJOBS_KEY.

\b
To complete commands, options and jobs with the Tab key, add one line to a file:
  ~/.bashrc  eval "$(_LIVEJOBS_COMPLETE=bash_source livejobs)"
  ~/.zshrc   eval "$(_LIVEJOBS_COMPLETE=zsh_source livejobs)"
  ~/.config/fish/completions/livejobs.fish
             _LIVEJOBS_COMPLETE=fish_source livejobs | source
"""


class Commands(click.Group):
    """Loads a command when it is used, and prints why it failed as one line on stderr."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(PLACES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = PLACES.get(cmd_name)
        if place is None:
            return None
        module = import_module(f"livejobs.cli.{place.module}")
        own_name = place.module.rpartition(".")[2]
        command: click.Command = getattr(module, place.attribute or own_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in PLACES and args[0][:1].isalnum():
            from difflib import get_close_matches  # noqa: PLC0415 - it would cost each start

            if near := get_close_matches(args[0], PLACES, n=1):
                ctx.fail(f"No such command {args[0]!r}. Did you mean {near[0]!r}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        widest = max(map(len, PLACES))
        for title, part in SECTIONS.items():
            with formatter.section(title):
                rows = [(name.ljust(widest), place.line) for name, place in part.items()]
                formatter.write_dl(rows)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        names = [name for name in PLACES if name.startswith(incomplete)]
        found = [CompletionItem(name, help=PLACES[name].line) for name in names]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:  # exit_code knows those that are no bug
            code = exit_code(error)
            if code is None:
                raise
            click.echo(f"livejobs: {error}", err=True)
            sys.exit(code)


def exit_code(error: Exception) -> int | None:
    """None: the error is a bug, so its traceback is needed."""
    names = (f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__)
    return next((FAILURES[name] for name in names if name in FAILURES), None)


@click.group(cls=Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="livejobs", prog_name="livejobs", message="%(prog)s %(version)s")
def main() -> None:
    """Status, progress, results and files of long-running jobs, live.

    `livejobs demo` shows the server with simulated jobs. `livejobs serve` runs it for yours.
    """
