"""What `scripts/build` makes of this checkout, and an environment with nothing but its wheel."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

CHECKOUT = Path(__file__).parents[2]


class Built(NamedTuple):
    folder: Path

    @property
    def wheel(self) -> Path:
        return next(self.folder.glob("*.whl"))

    @property
    def sdist(self) -> Path:
        return next(self.folder.glob("*.tar.gz"))

    @property
    def sbom(self) -> Path:
        return next(self.folder.glob("*.cdx.json"))

    def components(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.sbom.read_text())["components"]
        return found


class Installed(NamedTuple):
    """A virtual environment outside the checkout, and a folder beside it to work in."""

    folder: Path

    def command(self, name: str, *arguments: str, **environment: str) -> list[str]:
        """The program in an environment without variables. It finds no program but its own, and
        those of the system."""
        bin = self.folder / "venv" / "bin"
        variables = {"PATH": f"{bin}:/usr/bin:/bin", **environment}
        given = [f"{key}={value}" for key, value in variables.items()]
        return ["env", "-i", "-C", str(self.folder), *given, str(bin / name), *arguments]

    def run(self, name: str, *arguments: str, **environment: str) -> str:
        command = self.command(name, *arguments, **environment)
        ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert ran.returncode == 0, (arguments, ran.stdout, ran.stderr)
        return ran.stdout


def build(folder: Path) -> Built:
    subprocess.run([CHECKOUT / "scripts" / "build", folder], check=True, capture_output=True)
    return Built(folder)


def install(folder: Path, built: Built) -> None:
    pins = "".join(f"{it['name']}=={it['version']}\n" for it in built.components())
    (folder / "pins").write_text(pins)
    python = folder / "venv" / "bin" / "python"
    extras = f"livejobs[http2,objects,otel,postgres] @ {built.wheel.as_uri()}"
    pip = [sys.executable, "-m", "pip", "--python", str(python)]
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    # Most of the modules are never imported, so they need no bytecode.
    quick = ["--quiet", "--no-compile"]
    subprocess.run([*pip, "install", *quick, "--constraint", folder / "pins", extras], check=True)
