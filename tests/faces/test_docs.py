"""docs/faces.md says what is so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from livejobs.core.errors import NotFound
from livejobs.faces.base import Face
from livejobs.faces.described import describe
from livejobs.faces.registry import BUILT_IN
from tests.faces.jobs import created

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "faces.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def names_of_tests() -> set[str]:
    return {
        name
        for folder in (TESTS, TESTS / "faces")  # not all folders: there are packages of npm
        for path in folder.glob("*/test_*.py")
        for name in re.findall(r"^ *(?:async )?def (test_\w+)\(", path.read_text(), re.MULTILINE)
    }


def test_every_test_it_names_is_there() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 40
    assert named - names_of_tests() == set()


def test_it_has_every_face_with_its_addresses() -> None:
    for face in BUILT_IN.values():
        assert f"| `{face.name}` |" in PAGE
        assert f"### {face.name}\n" in PAGE
        assert face.ways[0].path in PAGE


def test_the_face_it_shows_how_to_write_is_one() -> None:
    code = next(it for it in BLOCKS if "FACE = " in it)
    made: dict[str, Any] = {"__name__": "tiny"}
    exec(compile(code, "docs/faces.md", "exec", dont_inherit=True), made)
    face: Face = made["FACE"]
    assert face.ways[0].shape is not None
    assert created().with_file("a").seen(face.ways[0].shape) == {"done": 0, "files": 1}
    assert face.refusal(NotFound("There is none."), "j") == {"why": "There is none."}
    assert "/tiny/{id}" in describe([face]).paths
