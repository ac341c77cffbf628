"""Where the browser's files are: beside this module in a wheel, at the top of a checkout."""

from __future__ import annotations

from pathlib import Path


def static_dir() -> Path:
    here = Path(__file__).resolve().parent
    shipped = here / "static"
    return shipped if shipped.is_dir() else here.parents[1] / "static"
