"""`livejobs demo`: the server with simulated jobs."""

from __future__ import annotations

import os
from functools import partial

import click

from livejobs.cli.serve import EPILOG, serve_with, setting_options
from livejobs.demo.hands import playing


@click.command(epilog=EPILOG)
@setting_options
@click.option("--pace", type=click.FloatRange(0.1, 100), default=1, help="Times as fast as life.")
def demo(pace: float, **flags: object) -> None:
    """Run the server with simulated jobs of all kinds, kept in ./livejobs-demo."""
    if "LIVEJOBS_DATA" not in os.environ:
        flags["data"] = flags["data"] or "livejobs-demo"  # not among anyone's own jobs
    serve_with(flags, partial(playing, pace=pace))
