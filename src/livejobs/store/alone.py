"""A store that one server at a time uses."""

from __future__ import annotations


class Alone:
    """`meta` and `others` of such a store. No other node reads its values, so memory is enough."""

    shared = False

    def __init__(self) -> None:
        self._meta: dict[str, str] = {}

    async def meta(self, name: str) -> str | None:
        return self._meta.get(name)

    async def set_meta(self, name: str, value: str, *, only_new: bool = False) -> str:
        if not (only_new and name in self._meta):
            self._meta[name] = value
        return self._meta[name]

    async def others(self) -> int:
        return 0
