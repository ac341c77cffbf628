"""Where the browser's files are: in the package in a wheel, at the top of a checkout."""

from __future__ import annotations

from pathlib import Path


def static_dir() -> Path:
    package = Path(__file__).resolve().parents[2]
    shipped = package / "static"
    return shipped if shipped.is_dir() else package.parents[1] / "static"
