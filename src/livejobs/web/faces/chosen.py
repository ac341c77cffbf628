"""Which faces a server has: those built in, those that installed packages bring, less those that
the settings leave out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from livejobs.config import SettingError, Settings
from livejobs.web.faces import consolidation, render, tasks, toolkit, translation
from livejobs.web.faces.base import Face

GROUP: Final = "livejobs.faces"
BUILT_IN: Final[Mapping[str, Face]] = {
    face.name: face
    for face in (
        tasks.FACE,  # first, as it is asked the most: routes are tried in this order
        consolidation.FACE,
        translation.FACE,
        render.FACE,
        toolkit.FACE,
    )
}


def chosen(settings: Settings) -> Sequence[Face]:
    """Those that were asked for; if nothing was said, all that are known."""
    installed = {point.name: point for point in entry_points(group=GROUP)}
    known = {**installed, **BUILT_IN}
    asked = known if settings.faces is None else dict.fromkeys(settings.faces)
    for name in asked:
        if name not in known:
            takes = f"takes some of: {', '.join(sorted(known))}"
            raise SettingError("faces", "faces", f"there is no face {name!r}; {takes}")
    return [BUILT_IN[name] if name in BUILT_IN else _load(installed[name]) for name in asked]


def _load(point: EntryPoint) -> Face:
    """One that can't be had stops the start: its clients would find nothing there."""
    try:
        face = point.load()
    except Exception as error:  # whatever another's code may raise
        why = f"{type(error).__name__}: {error}"
        raise SettingError("faces", point.name, f"can't be loaded: {why}") from error
    if not isinstance(face, Face):
        raise SettingError("faces", point.name, f"{point.value} is not a Face")
    return face
