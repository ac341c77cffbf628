"""Checks of code blocks that can't run by themselves."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import tempfile
import tomllib
from pathlib import Path
from typing import Final

import click
import yaml  # type: ignore[import-untyped]  # schemathesis brings it

from livejobs.cli.main import main
from livejobs.config import Settings, load
from livejobs.faces.described import describe
from livejobs.faces.registry import chosen
from livejobs.web.documents import openapi
from tests.support.needs import need

ROOT: Final = Path(__file__).parents[2]
NODE_MODULES: Final = ROOT / "tests" / "interop" / "node_modules"
PLACES: Final = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"
# Packages of others that a block may import; "." is a file beside it.
OTHERS: Final = ("react", "vue", "standardwebhooks", ".")
WRITTEN: Final = {"docker/.env"}  # by the block itself
# Bundle what the block imports: a name that the package does not have is an error.
BUNDLE: Final = """
import { rolldown } from "rolldown";
const [input, static_, ...others] = process.argv.slice(2);
const own = { name: "own", resolveId: (name) => {
  const found = /^livejobs(?:\\/(.+))?$/.exec(name);
  return found ? { id: `${static_}/${found[1] ?? "livejobs"}.js` } : null;
} };
const warnings = [];
const bundle = await rolldown({
  input, plugins: [own], external: (name) => others.some((it) => name.split("/")[0] === it),
  // "use client" is for Next.js.
  onwarn: (it) => it.code === "MODULE_LEVEL_DIRECTIVE" || warnings.push(it.message),
});
await bundle.generate({ format: "esm" });
if (warnings.length) throw new Error(warnings.join("\\n"));
"""


def run(command: list[str], cwd: Path | None = None) -> str:
    ran = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def is_json(text: str) -> None:
    json.loads(text)


def is_toml(text: str) -> None:
    tomllib.loads(text)


def is_settings(text: str) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(text)
        file.flush()
        load({"config": file.name}, {})


def is_prometheus(text: str) -> None:
    (scraped,) = yaml.safe_load(text)["scrape_configs"]
    assert scraped.keys() == {"job_name", "authorization", "static_configs"}


def is_nginx(text: str) -> None:
    """It is a part of `http`."""
    program = shutil.which("nginx", path=PLACES)
    need(program, "nginx is not installed")
    assert program is not None
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "nginx.conf"
        log = f"error_log {folder}/log; pid {folder}/pid;"
        inside = f"access_log off; client_body_temp_path {folder}/body; {text}"
        file.write_text(f"{log}\nevents {{}}\nhttp {{ {inside} }}\n")
        run([program, "-t", "-q", "-e", f"{folder}/log", "-c", str(file)])


def is_javascript(text: str) -> None:
    need(shutil.which("node"), "node is not installed")
    need(NODE_MODULES.exists(), "the packages of tests/interop are not installed")
    with tempfile.TemporaryDirectory(dir=NODE_MODULES, prefix=".block-") as folder:
        (Path(folder) / "block.jsx").write_text(text)
        (Path(folder) / "bundle.mjs").write_text(BUNDLE)
        static = ROOT / "static"
        run(["node", "bundle.mjs", "./block.jsx", str(static), *OTHERS], cwd=Path(folder))


def is_routes(text: str) -> None:
    """One route a line: its method, its path, and what it takes."""
    paths = openapi.document("1", describe(chosen(Settings())))["paths"]
    for method, path in re.findall(r"^(\S+) (\S+)", text, re.MULTILINE):
        assert method.lower() in paths.get(path, {}), path


def is_shell(text: str) -> None:
    run(["bash", "-n", "-c", text])
    for file in re.findall(r"(?:docker|scripts)/[\w.]+", text):
        assert file in WRITTEN or (ROOT / file).exists(), file
    for line in re.findall(r"(?:^|[|&;] *|=\S+ )(livejobs .*)$", text, re.MULTILINE):
        takes(shlex.split(line, comments=True)[1:])


def takes(words: list[str]) -> None:
    """Raise if `livejobs` does not know the command, or the command an option."""
    command: click.Command = main
    while isinstance(command, click.Group):
        name, *words = words
        found = command.get_command(click.Context(command), name)
        assert found is not None, name
        command = found
    command.make_context(command.name, list(words))
