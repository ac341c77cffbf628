"""Who is asking, and what they may do."""

from __future__ import annotations

from typing import Final

from msgspec import Struct


class Principal(Struct, frozen=True):
    """A caller. `projects` None: all of them."""

    name: str  # what a job it creates has as its owner
    projects: tuple[str, ...] | None = None
    default_project: str = "default"

    def sees(self, project: str) -> bool:
        return self.projects is None or project in self.projects


# Without keys everyone is admin.
ANONYMOUS: Final = Principal("anonymous")
