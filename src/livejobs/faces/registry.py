"""The faces of a server: those that the settings name, or else all without a prefix, built in or of
installed packages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from livejobs.config import SettingError, Settings
from livejobs.faces import consolidation, operations, render, streams, tasks, toolkit, translation
from livejobs.faces.a2a import face as a2a
from livejobs.faces.base import Face
from livejobs.faces.ogc import face as ogc

GROUP: Final = "livejobs.faces"
BUILT_IN: Final[Mapping[str, Face]] = {
    face.name: face
    for face in (
        tasks.FACE,  # first, as it is asked the most: routes are tried in this order
        consolidation.FACE,
        translation.FACE,
        render.FACE,
        toolkit.FACE,
        operations.FACE,
        ogc.FACE,
        a2a.FACE,
        streams.FACE,
    )
}


def chosen(settings: Settings, addresses: Iterable[str] = ()) -> Sequence[Face]:
    """The faces that the settings name, or else all without a prefix. `addresses` are already in
    use."""
    installed = {point.name: point for point in entry_points(group=GROUP)}
    for name in installed.keys() & BUILT_IN.keys():
        raise unusable(installed[name], "has the name of a built-in face")
    known: Mapping[str, Face | EntryPoint] = {**BUILT_IN, **installed}
    asked = known if settings.faces is None else dict.fromkeys(settings.faces)
    taken = set(map(bare, addresses))
    faces: list[Face] = []
    for name in asked:
        if name not in known:
            takes = f"takes some of: {', '.join(sorted(known))}"
            raise SettingError("faces", "faces", f"there is no face {name!r}; {takes}")
        it = known[name]
        face = it if isinstance(it, Face) else _load(it)
        if settings.faces is None and face.prefix:
            continue
        if not isinstance(it, Face):
            _check_free(it, face, taken, [other.prefix for other in faces if other.prefix])
        taken |= {bare(way.path) for way in face.ways}
        faces.append(face)
    return faces


def bare(path: str) -> str:
    """The address without the names of its parameters."""
    return re.sub(r"\{.*?\}", "{}", path)


def _load(point: EntryPoint) -> Face:
    """A face that can't be loaded stops the start: its clients would find nothing there."""
    try:
        face = point.load()
    except Exception as error:  # whatever another's code may raise
        raise unusable(point, f"can't be loaded: {type(error).__name__}: {error}") from error
    if not isinstance(face, Face):
        raise unusable(point, f"{point.value} is not a Face")
    return face


def _check_free(point: EntryPoint, face: Face, taken: set[str], prefixes: Sequence[str]) -> None:
    """Of an installed face: two faces at one address would be one that no client reaches."""
    if any(map(face.holds, [*taken, *prefixes])):
        raise unusable(point, f"its prefix {face.prefix} is already in use")
    for way in face.ways:
        below = any((bare(way.path) + "/").startswith(prefix + "/") for prefix in prefixes)
        if below or bare(way.path) in taken:
            raise unusable(point, f"its address {way.path} is already in use")


def unusable(point: EntryPoint, why: str) -> SettingError:
    return SettingError("faces", point.name, why)
