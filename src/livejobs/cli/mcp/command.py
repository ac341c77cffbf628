"""`livejobs mcp`."""

from __future__ import annotations

import asyncio
import os
import sys

import click

from livejobs.cli.mcp.proxy import Proxy
from livejobs.cli.mcp.stdin import lines_of
from livejobs.cli.reach import Server, on_server, tell


@click.command(
    epilog="""\b
For Claude Code:
  claude mcp add livejobs -- livejobs mcp --url http://127.0.0.1:8000"""
)
@on_server
def mcp(server: Server) -> None:
    """Serve agents over the Model Context Protocol, on stdin and stdout.

    An MCP client starts this command. Each message on stdin is sent to the server's /mcp, and the
    answers are printed. A client that speaks HTTP can use /mcp directly.
    """
    if sys.stdin.isatty():
        tell("Waiting for messages of an MCP client on stdin.")
    try:
        asyncio.run(serve(server))
    except* BrokenPipeError:
        sys.exit(0)  # the client is gone, which is no failure


async def serve(server: Server) -> None:
    await Proxy(server, put).run(lines_of(sys.stdin.fileno()))


def put(line: bytes) -> None:
    """Not through `sys.stdout`: its buffer would be flushed once more into a pipe that is closed.
    A client that does not read holds us up, and so the server's answers too."""
    left = memoryview(line + b"\n")
    while left:
        left = left[os.write(sys.stdout.fileno(), left) :]
