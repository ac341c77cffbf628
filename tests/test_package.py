"""What is shipped, and what an import of it does to the process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

from livejobs.web.pages.assets import static_dir

CHECKOUT = Path(__file__).parents[1]


def test_a_checkout_has_its_static_files_at_the_top() -> None:
    assert static_dir() == CHECKOUT / "static"


def test_the_wheel_has_all_of_the_package_and_the_static_files(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=CHECKOUT, check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    with ZipFile(wheel) as archive:
        shipped = set(archive.namelist())
    files = {path for path in static_dir().rglob("*") if path.is_file()}
    assert {f"livejobs/static/{path.relative_to(static_dir())}" for path in files} <= shipped
    source = CHECKOUT / "src"
    package = {path for path in source.rglob("*") if path.suffix in {".py", ".sql", ".typed"}}
    assert {str(path.relative_to(source)) for path in package} <= shipped


IMPORTS = """
import pkgutil, uvicorn
before = dict(vars(uvicorn.Server))
import livejobs
names = [module.name for module in pkgutil.walk_packages(livejobs.__path__, "livejobs.")]
for name in names:
    __import__(name)
changed = [name for name, value in vars(uvicorn.Server).items() if before.get(name) is not value]
print(len(names), *changed)
"""


def test_importing_livejobs_leaves_uvicorn_s_server_as_it_was() -> None:
    out = subprocess.check_output([sys.executable, "-c", IMPORTS], text=True)
    count, *changed = out.split()
    assert int(count) > 50
    assert changed == []
