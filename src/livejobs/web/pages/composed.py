"""Compose each page from the shell, the page's templates, and links to what it loads."""

from __future__ import annotations

import re
from functools import cache
from os.path import normpath
from pathlib import Path
from typing import Final

# Each page has templates `NAME.html`, a module `NAME.js`, and styles `NAME.css`, in `pages/`. The
# styles of its parts are `NAME-PART.css`.
LOGIN: Final = "login"  # in every page: each may have to ask for a key
STYLES: Final = ("tokens", "base", "shell", "parts", LOGIN)
IMPORT: Final = re.compile(r'^(?:import|export)\b[^;]*?"(\.{1,2}/[\w./-]+\.js)";', re.MULTILINE)


def page(folder: Path, name: str) -> str:
    own = folder / "pages"
    shell = (own / "shell.html").read_text()
    templates = "\n".join((own / f"{it}.html").read_text() for it in _once(LOGIN, name))
    return shell.replace("<!-- loads -->", _loads(folder, name)).replace(
        "<!-- templates -->", templates
    )


def _loads(folder: Path, name: str) -> str:
    """A browser finds an import only after it has the module, so all modules are named ahead."""
    parts = sorted(path.stem for path in (folder / "pages").glob(f"{name}-*.css"))
    sheets = _once(*STYLES, name, *parts)
    styles = [f'<link rel="stylesheet" href="./static/pages/{it}.css">' for it in sheets]
    entry = folder / "pages" / f"{name}.js"
    ahead = sorted(path.relative_to(folder).as_posix() for path in modules(entry) - {entry})
    return "\n  ".join(
        [
            *styles,
            f'<script type="module" src="./static/pages/{name}.js"></script>',
            *(f'<link rel="modulepreload" href="./static/{path}">' for path in ahead),
        ]
    )


def _once(*names: str) -> list[str]:
    return list(dict.fromkeys(names))


def modules(entry: Path) -> set[Path]:
    """The module and all modules that it imports, however indirectly."""
    found: set[Path] = set()
    ahead = [entry]
    while ahead:
        path = ahead.pop()
        if path not in found:
            found.add(path)
            ahead += imports(path)
    return found


@cache  # the pages share most modules, and to read each for every page took 5 % of the start
def imports(path: Path) -> tuple[Path, ...]:
    names = IMPORT.findall(path.read_text())
    return tuple(Path(normpath(path.parent / name)) for name in names)
