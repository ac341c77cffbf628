"""How another API words the changes of one job, for those who follow it (see faces/)."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Final, NamedTuple

from msgspec import Struct

from livejobs.core.cursor import Cursor
from livejobs.core.model import Entry, EntryKind, Head


class Step(NamedTuple):
    """What has changed since a viewer's last message."""

    before: Head | None  # None: not known, for a viewer that is brought up to date
    head: Head
    entries: tuple[Entry, ...]  # appended, of the form's kinds
    complete: bool  # False: more entries follow at once
    cursor: Cursor
    base: str  # before every link, where the app is mounted


_finished: Final[Callable[[Head], bool]] = attrgetter("finished")


class Form(Struct, frozen=True):
    """Viewers with the same form share each message, so `change` depends on nothing else. Its
    functions are found again by their identity: make a form once, not for each request."""

    change: Callable[[Step], bytes]  # whole server-sent events; empty: nothing is sent
    kinds: frozenset[EntryKind] = frozenset()
    heads: bool = True  # False: a change without such entries is sent only if it is the last
    over: Callable[[Head], bool] = _finished  # whether the stream ends once this is sent
