"""Write the SBOM of the wheel in a folder, beside it, as CycloneDX 1.6.

It lists the packages that the wheel and its extras depend on, in the versions of .venv: those the
tests ran with. Tools for this list a whole environment, so they would need another one without
the tools of development.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from datetime import UTC, datetime
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = "livejobs"
Component = dict[str, Any]
# What is copied into the package, instead of being a dependency.
FONTS: Final = {
    "inter.woff2": "Inter",
    "jetbrains-mono.woff2": "JetBrains Mono",
}
FOLDER: Final = Path(__file__).parents[1] / "static" / "pages" / "fonts"


def main(folder: Path) -> None:
    (wheel,) = folder.glob(f"{ROOT}-*.whl")
    bom = json.dumps(made(wheel.read_bytes()), indent=1) + "\n"
    version = distribution(ROOT).version
    (folder / f"{ROOT}-{version}.cdx.json").write_text(bom)


def made(wheel: bytes) -> dict[str, Any]:
    edges = closure()
    root = component(distribution(ROOT)) | {"hashes": [sha256(wheel)]}
    packages = [component(distribution(name)) for name in sorted(edges) if name != ROOT]
    graph = [
        {"ref": ref(distribution(name)), "dependsOn": sorted(ref(it) for it in edges[name])}
        for name in sorted(edges)
    ]
    at = datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), UTC)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"timestamp": at.isoformat(), "component": root | {"components": fonts()}},
        "components": packages,
        "dependencies": graph,
    }


def closure() -> dict[str, list[Distribution]]:
    """The dependencies of each package that the wheel needs with all its extras."""
    edges: dict[str, list[Distribution]] = {}
    extras = tuple(distribution(ROOT).metadata.get_all("Provides-Extra", ()))
    left = [(ROOT, extras)]
    done = set()
    while left:
        name, extras = left.pop()
        done.add((name, extras))
        known = edges.setdefault(name, [])
        for need in needs(distribution(name), extras):
            found = distribution(need.name)
            if ref(found) not in map(ref, known):
                known.append(found)
            step = (canonicalize_name(need.name), tuple(sorted(need.extras)))
            left += [] if step in done else [step]
    return edges


def needs(package: Distribution, extras: tuple[str, ...]) -> list[Requirement]:
    """What it requires on this system."""
    requirements = map(Requirement, package.requires or ())
    return [
        it
        for it in requirements
        if it.marker is None or any(it.marker.evaluate({"extra": extra}) for extra in ("", *extras))
    ]


def ref(package: Distribution) -> str:
    return f"pkg:pypi/{canonicalize_name(package.name)}@{package.version}"


def component(package: Distribution) -> Component:
    made = {
        "type": "library",
        "bom-ref": ref(package),
        "name": package.name,
        "version": package.version,
        "purl": ref(package),
    }
    licences = [{"expression": it} for it in package.metadata.get_all("License-Expression", ())]
    return made | ({"licenses": licences} if licences else {})


def fonts() -> list[Component]:
    return [
        {
            "type": "file",
            "name": f"{ROOT}/static/pages/fonts/{file}",
            "description": f"The font {name}",
            "hashes": [sha256((FOLDER / file).read_bytes())],
            "licenses": [{"license": {"id": "OFL-1.1"}}],
        }
        for file, name in FONTS.items()
    ]


def sha256(data: bytes) -> dict[str, str]:
    return {"alg": "SHA-256", "content": hashlib.sha256(data).hexdigest()}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
