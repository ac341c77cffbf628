"""`scripts/build`: what it makes is the same each time, complete, and described."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.support.built import CHECKOUT, Built, Installed, build


def test_two_builds_have_the_same_bytes(built: Built, tmp_path: Path) -> None:
    again = build(tmp_path)
    for one, other in zip(built, again, strict=True):
        names = {path.name for path in one.iterdir()}
        assert len(names) == 3
        assert {name: (other / name).read_bytes() for name in names} == {
            name: (one / name).read_bytes() for name in names
        }


def test_the_sdist_builds_the_same_files_as_the_checkout(built: Built, tmp_path: Path) -> None:
    with tarfile.open(built.sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with ZipFile(wheel) as ours, ZipFile(built.wheel) as theirs:
        assert ours.namelist() == theirs.namelist()
        assert {it.filename: it.CRC for it in ours.infolist()} == {
            it.filename: it.CRC for it in theirs.infolist()
        }


def test_the_wheel_holds_only_the_package_and_its_licence(built: Built) -> None:
    with ZipFile(built.wheel) as archive:
        names = archive.namelist()
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"livejobs", built.wheel.name.partition("-py3")[0] + ".dist-info"}
    assert [name for name in names if "__pycache__" in name or "node_modules" in name] == []
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_the_sbom_is_valid_and_names_what_the_wheel_installs(
    built: Built, installed: Installed
) -> None:
    mistake = JsonStrictValidator(SchemaVersion.V1_6).validate_str(built.sbom.read_text())
    assert mistake is None, mistake
    command = "import importlib.metadata as m; print(*{d.name for d in m.distributions()})"
    there = {name.lower() for name in installed.run("python", "-c", command).split()}
    assert there - {"livejobs"} == {it["name"].lower() for it in built.components()}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The files that name a version, and the check of them."""
    for name in ("pyproject.toml", "CHANGELOG.md", "static/package.json", "scripts/versions.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(CHECKOUT / name, tmp_path / name)
    return tmp_path


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def check(copy: Path) -> str:
    command = [sys.executable, str(copy / "scripts" / "versions.py")]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr


def version() -> str:
    (line,) = [
        line
        for line in (CHECKOUT / "pyproject.toml").read_text().splitlines()
        if line.startswith("version = ")
    ]
    return line


@pytest.mark.parametrize(("python", "npm"), [("7.0.0", "7.0.0"), ("7.1.0rc2", "7.1.0-rc.2")])
def test_a_release_needs_its_section_in_the_changelog(copy: Path, python: str, npm: str) -> None:
    assert check(copy) == ""
    replace(copy / "pyproject.toml", version(), f'version = "{python}"')
    package = copy / "static" / "package.json"
    assert f"static/package.json has version 0.1.0-dev.0: write {npm}." in check(copy)
    replace(package, "0.1.0-dev.0", npm)
    wanted = f"CHANGELOG.md has no section for {python}: add '## {python} - YYYY-MM-DD'.\n"
    assert check(copy) == wanted
    replace(copy / "CHANGELOG.md", "## Unreleased", f"## Unreleased\n\n## {python} - 2030-01-02")
    assert check(copy) == ""
