"""What the workers of the demo do: one file for each kind of work."""

from __future__ import annotations

from typing import Final

from livejobs.demo.scene import Scene
from livejobs.demo.scenes import documents, films, letters, media, memories, models, speech, tables

SCENES: Final[tuple[Scene, ...]] = (
    *films.SCENES,
    *documents.SCENES,
    *speech.SCENES,
    *media.SCENES,
    *memories.SCENES,
    *tables.SCENES,
    *models.SCENES,
    *letters.SCENES,
)
