"""Numbers, sizes and times as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from livejobs.cli.text import plain

UNITS: Final = ("B", "kB", "MB", "GB", "TB", "PB")


def number(value: float) -> str:
    """With commas between thousands, and no more digits than are read."""
    if isinstance(value, int) or float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:.3g}"


def size(count: float) -> str:
    power = 0
    while count >= 1000 and power < len(UNITS) - 1:
        count, power = count / 1000, power + 1
    digits = 0 if power == 0 or count >= 100 else 1
    return f"{count:.{digits}f} {UNITS[power]}"


def duration(seconds: float) -> str:
    """At most two units: `4 s`, `1 min 10 s`, `2 h 5 min`, `3 d 4 h`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return _two(whole // 60, "min", whole % 60, "s")
    if whole < 86400:
        return _two(whole // 3600, "h", whole % 3600 // 60, "min")
    return _two(whole // 86400, "d", whole % 86400 // 3600, "h")


def _two(large: int, name: str, small: int, rest: str) -> str:
    return f"{large} {name} {small} {rest}" if small else f"{large} {name}"


def age(seconds: float) -> str:
    """One unit, short: `4s`, `12min`, `3h`, `5d`."""
    large, name, *_ = duration(seconds).split(" ")
    return large + name


def moment(said: str) -> datetime:
    return datetime.fromisoformat(said)


def since(said: str, now: datetime | None = None) -> float:
    """Seconds from then to now. This machine's clock may be behind the server's: at least 0."""
    return max(0.0, ((now or datetime.now(UTC)) - moment(said)).total_seconds())


def clock(said: str) -> str:
    """The local time of the day."""
    return moment(said).astimezone().strftime("%H:%M:%S")


def amount(progress: Mapping[str, Any]) -> str:
    """`420/1000 frames`, `420 frames`, or nothing."""
    current, total = progress["current"], progress["total"]
    if current is None and total is None:
        return ""
    of = number(current or 0) + ("" if total is None else f"/{number(total)}")
    unit = progress["unit"]
    return f"{of} {plain(unit)}" if unit else of


def pace(progress: Mapping[str, Any]) -> str:
    """The rate, as `33.1 frames/s`, or nothing."""
    rate = progress["rate"]
    if rate is None:
        return ""
    unit = progress["unit"]
    return f"{number(rate)} {plain(unit)}/s" if unit else f"{number(rate)}/s"


def time_left(job: Mapping[str, Any]) -> float | None:
    """Seconds. A job that waits for a person, or reports nothing, has no estimate."""
    if job.get("waiting") or job["stalled"]:
        return None
    eta: float | None = job["progress"]["eta_seconds"]
    return eta


def percent(job: Mapping[str, Any]) -> str:
    value = job["progress"]["percent"]
    return "" if value is None else f"{value}%"
