"""`livejobs serve`, and what `livejobs demo` shares with it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, TypeVar

import click
from starlette.applications import Starlette

from livejobs.app import App, create_app
from livejobs.config import (
    SWITCH,
    TABLE,
    Setting,
    load,
    own_hosts,
    unknown_variables,
)
from livejobs.server.direct import answer_at_once, bare, ours, writer_of
from livejobs.server.runner import run
from livejobs.server.sendfile import sender_of
from livejobs.service import LiveJobs

Command = TypeVar("Command", bound=Callable[..., Any])

EPILOG: Final = "Each option is also a variable (LIVEJOBS_PORT) and a TOML key (port)."


def setting_options(command: Command) -> Command:
    """An option for each setting. They take text: `load` reads it, as it does everything."""
    for row in reversed(TABLE):
        command = option(row)(command)
    return command


def option(row: Setting) -> Callable[[Command], Command]:
    flag = f"{row.flag}/--no-{row.flag[2:]}" if row.kind is SWITCH else row.flag
    return click.option(
        flag, row.name, default=None, metavar=row.kind.metavar or None, help=described(row)
    )


def described(row: Setting) -> str:
    default = "" if row.default in (None, "", (), False) else f"  [default: {row.default}]"
    later = "  [not in this version]" if row.later else ""
    return row.help + default + later


@click.command(epilog=EPILOG)
@setting_options
def serve(**flags: object) -> None:
    """Run the server."""
    serve_with(flags)


def serve_with(
    flags: dict[str, object],
    show: Callable[[LiveJobs], AbstractAsyncContextManager[None]] | None = None,
) -> None:
    for name in unknown_variables(os.environ):
        say(f"{name}: there is no such setting; it is ignored")
    if flags["admin_key"] is not None:
        say(
            "--admin-key: all users of this machine can read the key in the process list. "
            "Use --admin-key-file or LIVEJOBS_ADMIN_KEY"
        )
    settings = load(flags, os.environ)
    live = LiveJobs(settings)
    app = create_app(live, hosts=own_hosts(settings))
    our_own(live, app)
    if show is not None:
        beside(app, show(live))
    run(app, settings, drain=live.drain)


def our_own(live: LiveJobs, app: App) -> None:
    """Have them use what our own runner can do and other servers can't: its `send` may be stepped
    by hand, or passed by."""
    live.hub.ours = ours
    live.hub.writer_of = writer_of
    live.files.sender_of = sender_of
    app.at_once = answer_at_once
    app.bare = bare


def beside(app: Starlette, other: AbstractAsyncContextManager[None]) -> None:
    """Something else for as long as the app runs."""
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def both(app: Starlette) -> AsyncIterator[None]:
        async with inner(app), other:
            yield

    app.router.lifespan_context = both


def say(text: object) -> None:
    click.echo(f"livejobs: {text}", err=True)
