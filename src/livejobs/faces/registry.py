"""The faces of a server: those that the settings name, or else all without a prefix, built in or of
installed packages."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
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
    others = installed()
    for name in others.keys() & BUILT_IN.keys():
        raise unusable(others[name], "has the name of a built-in face")
    known: Mapping[str, Face | EntryPoint] = {**BUILT_IN, **others}
    asked = known if settings.faces is None else dict.fromkeys(settings.faces)
    for name in asked:
        if name not in known:
            takes = f"takes some of: {', '.join(sorted(known))}"
            raise SettingError("faces", "faces", f"there is no face {name!r}; {takes}")
    by_name = {name: it if isinstance(it := known[name], Face) else _load(it) for name in asked}
    if settings.faces is None:
        by_name = {name: face for name, face in by_name.items() if not face.prefix}
    _check_free([others[name] for name in by_name if name in others], by_name, addresses)
    return [*by_name.values()]


@cache  # to read about all packages takes a tenth of the start
def installed() -> Mapping[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


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


def _check_free(
    points: Iterable[EntryPoint], faces: Mapping[str, Face], addresses: Iterable[str]
) -> None:
    """Of two faces at one address, no client would reach the second one."""
    taken = Counter(map(bare, addresses))
    taken.update(bare(path) for face in faces.values() for path in {it.path for it in face.ways})
    for point in points:
        face = faces[point.name]
        own = {bare(way.path): way.path for way in face.ways}
        others = [it for it in faces.values() if it is not face]
        if face.prefix and any(map(face.holds, (taken - Counter(own.keys())).keys())):
            raise unusable(point, f"its prefix {face.prefix} is already in use")
        for path, written in own.items():
            if taken[path] > 1 or any(it.holds(path) for it in others):
                raise unusable(point, f"its address {written} is already in use")


def unusable(point: EntryPoint, why: str) -> SettingError:
    return SettingError("faces", point.name, why)
