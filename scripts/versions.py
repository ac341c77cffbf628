"""Check what repeats the version of pyproject.toml: the npm package, and CHANGELOG.md."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.version import Version

ROOT = Path(__file__).parents[1]


def main() -> None:
    wrong = [*mistakes(ROOT)]
    sys.exit("\n".join(wrong) if wrong else 0)


def mistakes(root: Path) -> Iterator[str]:
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    npm = json.loads((root / "static" / "package.json").read_text())["version"]
    if npm != semver(version):
        yield f"static/package.json has version {npm}: write {semver(version)}."
    if not Version(version).is_devrelease and not has_section(root, version):
        yield f"CHANGELOG.md has no section for {version}: add '## {version} - YYYY-MM-DD'."


def semver(version: str) -> str:
    """The version as npm writes it: 1.2.0.dev3 is 1.2.0-dev.3."""
    parts = Version(version)
    phase = f"{parts.pre[0]}.{parts.pre[1]}" if parts.pre else ""
    dev = "" if parts.dev is None else f"dev.{parts.dev}"
    return "-".join(filter(None, (parts.base_version, ".".join(filter(None, (phase, dev))))))


def has_section(root: Path, version: str) -> bool:
    heading = rf"^## {re.escape(version)} - \d{{4}}-\d\d-\d\d$"
    return re.search(heading, (root / "CHANGELOG.md").read_text(), re.MULTILINE) is not None


if __name__ == "__main__":
    main()
