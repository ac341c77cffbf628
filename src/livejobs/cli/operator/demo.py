"""`livejobs demo`."""

from __future__ import annotations

import os
from functools import partial
from typing import Final

import click

from livejobs.cli.operator.serve import EPILOG, run_server, setting_options
from livejobs.demo.crew import working

DATA: Final = "livejobs-demo"  # a folder of its own: the demo must not mix with real jobs


@click.command(epilog=EPILOG)
@partial(setting_options, data=DATA)
@click.option(
    "--pace",
    type=click.FloatRange(0.1, 100),
    default=1,
    show_default=True,
    help="How much faster than real work the jobs run.",
)
def demo(pace: float, **flags: object) -> None:
    """Run the server with simulated jobs of all kinds."""
    if "LIVEJOBS_DATA" not in os.environ:
        flags["data"] = flags["data"] or DATA
    run_server(flags, partial(working, pace=pace))
