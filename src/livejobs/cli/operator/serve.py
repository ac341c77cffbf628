"""`livejobs serve`, and what other commands that run the server share with it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar

import click

from livejobs.app import App, create_app
from livejobs.config import (
    SWITCH,
    TABLE,
    Setting,
    SettingError,
    Settings,
    load,
    own_hosts,
    unknown_variables,
)
from livejobs.server.powers import RUNNER
from livejobs.server.runner import become_worker, run
from livejobs.service import LiveJobs
from livejobs.tracing.opening import open_traces

Command = TypeVar("Command", bound=Callable[..., Any])

# Runs for as long as the server does. It gets the server's URL.
Beside: TypeAlias = Callable[[LiveJobs, str], AbstractAsyncContextManager[Any]]

EPILOG: Final = (
    "You can also set each option by a variable (LIVEJOBS_PORT for --port) or by a key in the "
    "TOML file of --config (port). The option wins over the variable, the variable over the file."
)


def setting_options(command: Command, **defaults: object) -> Command:
    """Add an option for each setting. Options take text, which `load` reads. `defaults`: shown
    in place of the settings' own."""
    for row in reversed(TABLE):
        command = option(replace(row, default=defaults.get(row.name, row.default)))(command)
    return command


def option(row: Setting) -> Callable[[Command], Command]:
    flag = f"{row.flag}/--no-{row.flag[2:]}" if row.format is SWITCH else row.flag
    return click.option(
        flag, row.name, default=None, metavar=row.format.metavar or None, help=described(row)
    )


def described(row: Setting) -> str:
    default = "" if row.default in (None, "", (), False) else f"  [default: {row.default}]"
    return row.help + default


@click.command(epilog=EPILOG)
@setting_options
def serve(**flags: object) -> None:
    """Run the server until it gets SIGTERM or SIGINT (Ctrl-C)."""
    run_server(flags)


def run_server(flags: Mapping[str, object], beside: Beside | None = None) -> None:
    warn_about(flags)
    settings = load(flags, os.environ)
    if beside is not None and settings.workers > 1:
        raise SettingError("workers", "livejobs demo", "takes 1 here: the demo is one process")
    worker = become_worker(settings)
    live, app = assemble(settings)
    around = partial(beside, live) if beside else nullcontext
    run(app, settings, drain=live.drain, beside=around, worker=worker)


def assemble(settings: Settings) -> tuple[LiveJobs, App]:
    """The service and its app, for our own runner."""
    live = LiveJobs(settings, powers=RUNNER, traces=open_traces(settings, os.environ))
    return live, create_app(live, hosts=own_hosts(settings))


def warn_about(flags: Mapping[str, object]) -> None:
    for name in unknown_variables(os.environ):
        warn(f"{name}: there is no such setting, so the variable is ignored")
    if flags["admin_key"] is not None:
        warn(
            "--admin-key: all users of this machine can read the key in the process list. "
            "Use --admin-key-file or LIVEJOBS_ADMIN_KEY"
        )
    if ":" in str(flags["database"] or "").partition("://")[2].rpartition("@")[0]:
        warn(
            "--database: all users of this machine can read the password in the process list. "
            "Use LIVEJOBS_DATABASE"
        )


def warn(text: object) -> None:
    click.echo(f"livejobs: {text}", err=True)
