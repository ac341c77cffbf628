"""Recognise progress in a program's output: one line in, how far the program has come out.

Pure: no I/O and no clock. A table of patterns is searched from top to bottom. A bar that the
program rewrites in place may match any pattern. A finished line of the log is read more strictly,
because a percent in it often means something else ("CPU usage 93%").
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

LONGEST: Final = 1000  # characters of a line that are searched
MESSAGE: Final = 200  # characters
LARGEST: Final = 2.0**53  # the server takes no larger amount

Groups = dict[str, str | None]


class Progress(NamedTuple):
    percent: float | None = None
    current: float | None = None
    total: float | None = None
    unit: str | None = None
    message: str | None = None


class Pattern(NamedTuple):
    expression: re.Pattern[str]
    read: Callable[[Groups], Progress | None]
    loose: bool = False  # only for bars that are rewritten


class BadPattern(ValueError):
    """An expression of the user that cannot work."""


# How to read what was found

_SCALE: Final = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "p": 10**15}


def _amount(text: str | None) -> float | None:
    """ "45.2M" → 45200000. None: there is no such number."""
    found = re.fullmatch(r"([\d.,]+)\s?([kmgtp]?)", (text or "").strip(), re.IGNORECASE)
    if found is None:
        return None
    try:
        value = float(found[1].replace(",", "")) * _SCALE[found[2].lower()]
    except ValueError:
        return None
    if value > LARGEST:
        return None
    return int(value) if value == int(value) else value


def _percent(text: str | None) -> float | None:
    try:
        value = float((text or "").replace(",", "."))
    except ValueError:
        return None
    return value if 0 <= value <= 100 else None


def _read(groups: Groups) -> Progress | None:
    """By the names of the groups: `percent`, or `current` and perhaps `total`."""
    message = (groups.get("message") or "").strip(" :\t")[:MESSAGE] or None
    unit = (groups.get("unit") or "")[:20] or None
    current, total = _amount(groups.get("current")), _amount(groups.get("total"))
    if current is not None and total is not None:
        return Progress(None, current, total, unit, message) if current <= total > 0 else None
    if groups.get("total") is not None:  # it is there, and absurd
        return None
    percent = _percent(groups.get("percent"))
    if percent is not None:
        return Progress(percent, message=message)
    return None if current is None else Progress(None, current, None, unit, message)


def _read_tqdm(groups: Groups) -> Progress | None:
    """`it` is tqdm's word for "no unit". With scaled amounts the unit is scaled too: "MB"."""
    unit = groups.get("unit") or ""
    if (groups.get("current") or "")[-1:].isalpha() and len(unit) > 1 and unit[0] in "kKMGT":
        unit = unit[1:]
    return _read({**groups, "unit": None if unit == "it" else unit})


def _read_curl(groups: Groups) -> Progress | None:
    """curl writes 0 for a total that it does not know."""
    return None if groups.get("size") == "0" else _read({"percent": groups.get("percent")})


def _read_word(groups: Groups) -> Progress | None:
    return _read({**groups, "unit": (groups.get("unit") or "").lower()})


# What is looked for

_BAR: Final = "#=█━▓▇■▉▊▋▌▍▎▏╸╺"
_WORDS: Final = (
    "epoch|step|batch|iteration|iter|file|item|frame|page|chunk|part|test|task|round|image|record|"
    "row|object|package|segment"
)
_DONE: Final = (
    "progress|complete|completed|done|download(?:ed|ing)|upload(?:ed|ing)|process(?:ed|ing)|"
    "cop(?:ied|ying)|convert(?:ed|ing)|extract(?:ed|ing)|receiving|resolving|compressing|"
    "unpacking|writing|reading|finished"
)
_SIZE: Final = r"[\d.]+[kMGTP]?"


def _pattern(
    expression: str, read: Callable[[Groups], Progress | None] = _read, *, loose: bool = False
) -> Pattern:
    return Pattern(re.compile(expression, re.IGNORECASE), read, loose)


PATTERNS: Final = (
    # tqdm: "Epoch 1:  45%|████▌     | 45/100 [00:01<00:01, 43.2it/s]", and without a total
    _pattern(
        r"^(?P<message>.*?)\s*\d{1,3}%\|.*?\|\s*(?P<current>[\d.]+[kMGTP]?)/(?P<total>[\d.]+[kMGTP]?)"
        r"(?: \[[^,\]]*,\s*[\d.?]+\s?(?P<unit>[A-Za-z]+)/s)?",
        _read_tqdm,
    ),
    _pattern(
        r"^(?:(?P<message>.*?): )?(?P<current>[\d.]+[kMGTP]?)\s?(?P<unit>[A-Za-z]*)"
        r" \[\d+:\d\d(?::\d\d)?,\s",
        _read_tqdm,
    ),
    # pip, and rich's columns for downloads: "━━━━━━━ 1.2/3.4 MB 5.6 MB/s eta 0:00:01"
    _pattern(
        r"(?<![\w./])(?P<current>[\d.]+)/(?P<total>[\d.]+)\s(?P<unit>[kMGT]?i?B|bytes)(?![\w/])"
    ),
    # rich, as in "Working... ━━━━━━━━━╺━━━━━━━ 45% 0:00:12"
    _pattern(r"^(?P<message>[^━╸╺]*?)\s*[━╸╺]{2,}.*?(?<![\w.])(?P<percent>\d{1,3})%"),
    # curl, as in " 45 10.0M   45 4608k    0     0  1234k      0  0:00:08  0:00:03  0:00:05 1234k"
    _pattern(
        rf"^\s*(?P<percent>\d{{1,3}})\s+(?P<size>{_SIZE})\s+\d{{1,3}}\s+{_SIZE}\s+\d{{1,3}}\s+{_SIZE}"
        rf"\s+{_SIZE}\s+{_SIZE}\s+[\d:-]+\s+[\d:-]+\s+[\d:-]+",
        _read_curl,
    ),
    # rsync: "     32,768  12%    1.20MB/s    0:00:01 (xfr#1, to-chk=5/7)"
    _pattern(r"^\s*[\d,.]+[KMGT]?\s+(?P<percent>\d{1,3})%\s+[\d.,]+[kMGT]?B/s"),
    # wget, as in "    50K .......... ..........  12% 1.20M 3s"
    _pattern(r"^\s*\d+K[ .,]+\s(?P<percent>\d{1,3})%"),
    # apt: "Progress: [ 45%] [#####.....]"; pytest, cmake: "[ 45%]"
    _pattern(r"\[\s*(?P<percent>\d{1,3}(?:\.\d+)?)\s?%\s*\]"),
    # A bar of any kind, with a percent before or after it
    _pattern(rf"(?<![\w.])(?P<percent>\d{{1,3}}(?:[.,]\d+)?)\s?%\s?.?\s?[{_BAR}]{{2,}}"),
    _pattern(rf"[{_BAR}]{{2,}}.*?(?<![\w.])(?P<percent>\d{{1,3}}(?:[.,]\d+)?)\s?%"),
    # apt, and others: "45% [12 libfoo 12.3 kB/45 kB 27%]"
    _pattern(r"^\s*(?P<percent>\d{1,3}(?:[.,]\d+)?)\s?%(?!\w)"),
    _pattern(rf"\b(?:{_DONE})\b.*?(?<![\w.])(?P<percent>\d{{1,3}}(?:[.,]\d+)?)\s?%(?!\w)"),
    _pattern(rf"(?<![\w.])(?P<percent>\d{{1,3}}(?:[.,]\d+)?)\s?%\s+(?:{_DONE})\b"),
    # ninja, docker: "[12/345] Building"; others: "(12/345)"
    _pattern(r"[\[(]\s*(?P<current>\d+)\s*/\s*(?P<total>\d+)\s*[\])]"),
    # "Epoch 3/10", "step 3 of 10"
    _pattern(
        rf"\b(?P<unit>{_WORDS})s?\b[ :#=]*"
        r"(?P<current>\d+)\s?(?:/|of|out of)\s?(?P<total>\d+)(?![\w/])",
        _read_word,
    ),
    # keras: "10/100 [====>.....]". A date with a time is none.
    _pattern(r"^\s*(?P<current>\d+)/(?P<total>\d+)(?=$|:?\s)(?!\s+\d\d?:\d\d)"),
    _pattern(r"(?<![\w.])(?P<percent>\d{1,3}(?:[.,]\d+)?)\s?%(?!\w)", loose=True),
    _pattern(
        r"(?<![\w/.-])(?P<current>\d+)\s?(?:/|of)\s?(?P<total>\d+)(?![\w/.])", loose=True
    ),
)  # fmt: skip

# What is in every line that a pattern could match: most lines of a log end here.
_HINT: Final = re.compile(r"%|\d\s?(?:/|of|out of)\s?\d|\[\d+:\d\d|^\s*\d{1,3}\s+[\d.]+[kMGTP]?\s")
# Preparations that reach 100 % before the work begins.
_NOT: Final = re.compile(
    r"^\(?Reading database|^Reading (?:package lists|state information)|^Building dependency tree"
)

_TIME: Final = r"(?P<h>\d+):(?P<m>\d\d):(?P<s>\d\d(?:\.\d+)?)"
_DURATION: Final = re.compile(rf"^\s*Duration: {_TIME}")
_FFMPEG: Final = re.compile(rf"(?:^out_time=|\btime=){_TIME}")


class Recognizer:
    """Remembers what later lines need from earlier ones: the duration of ffmpeg's input."""

    def __init__(self, own: re.Pattern[str] | None = None) -> None:
        """`own`: the user's expression. Nothing else is recognized then."""
        self._own = own
        self._duration = 0.0

    def see(self, text: str, *, rewritten: bool = False) -> Progress | None:
        """`rewritten`: the program writes over this text, as a bar does."""
        text = text[:LONGEST]
        if self._own is not None:
            match = self._own.search(text)
            return None if match is None else _read(match.groupdict())
        if "time=" in text or "Duration: " in text:
            found = self._ffmpeg(text)
            if found is not None:
                return found
        return _searched(text, rewritten=rewritten) if _HINT.search(text) else None

    def _ffmpeg(self, text: str) -> Progress | None:
        if found := _DURATION.search(text):
            self._duration = max(self._duration, _seconds(found))
            return None
        found = _FFMPEG.search(text)
        if found is None or not self._duration:
            return None
        return Progress(None, min(_seconds(found), self._duration), self._duration, "s")


def _searched(text: str, *, rewritten: bool) -> Progress | None:
    if _NOT.search(text):
        return None
    for expression, read, loose in PATTERNS:
        if loose and not rewritten:
            continue
        found = expression.search(text)
        if found is not None and (progress := read(found.groupdict())) is not None:
            return progress
    return None


def _seconds(found: re.Match[str]) -> float:
    return round(int(found["h"]) * 3600 + int(found["m"]) * 60 + float(found["s"]), 3)


def own_pattern(expression: str) -> re.Pattern[str]:
    """The user's expression, checked."""
    try:
        pattern = re.compile(expression)
    except re.error as error:
        raise BadPattern(f"is not a regular expression: {error}") from None
    if not {"percent", "current"} & pattern.groupindex.keys():
        raise BadPattern(
            "needs a group named percent, or groups named current and total: "
            r"(?P<current>\d+) of (?P<total>\d+)"
        )
    return pattern
