"""The fold: a head and a report make the next head, and the entries to append.

The law: a job moves only along MOVES, a finished job never changes again, and each number of a
producer counts once. Nothing here reads a clock or does I/O; `now` is passed in, in milliseconds.
"""

from __future__ import annotations

from livejobs.core.reducer.asking import NotWaiting, answer, asked, open_question
from livejobs.core.reducer.creating import create
from livejobs.core.reducer.folding import PRODUCERS, Folded, fold, seen_before
from livejobs.core.reducer.lines import ErrorLine, LogLine, ResultLine
from livejobs.core.reducer.moves import MOVES, Event, Finished, may
from livejobs.core.reducer.unreported import cancel, child_moved, lose, stall, take_file

__all__ = [
    "MOVES",
    "PRODUCERS",
    "ErrorLine",
    "Event",
    "Finished",
    "Folded",
    "LogLine",
    "NotWaiting",
    "ResultLine",
    "answer",
    "asked",
    "cancel",
    "child_moved",
    "create",
    "fold",
    "lose",
    "may",
    "open_question",
    "seen_before",
    "stall",
    "take_file",
]
