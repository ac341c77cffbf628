"""The screen of `livejobs watch`: one job with its log, or a list of jobs; below it, the keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from rich.text import Text

from livejobs.cli.figures import age, duration, percent, since, time_left
from livejobs.cli.looks import LOOKS, badge, bar, fitted, mark, name_of, part, state_of
from livejobs.cli.text import plain
from livejobs.cli.watch.board import Board
from livejobs.cli.watch.controls import Controls
from livejobs.cli.watch.portrait import DIM, log_tail, portrait

Job = Mapping[str, Any]

STATES: Final = ("running", "queued", "succeeded", "failed", "cancelled")
NARROW: Final = 60
STATUS: Final = 12  # columns of a status with its mark


class Size(NamedTuple):
    width: int
    height: int
    unicode: bool


def draw(board: Board, controls: Controls, url: str, size: Size) -> list[Text]:
    """Exactly as many lines as there is room for."""
    rows = size.height - 2
    if controls.alone is not None:
        body = _job(board, controls, size, rows)
    else:
        body = _list(board, controls, size, rows)
    body = body[: max(0, rows)]
    body += [Text()] * (size.height - 1 - len(body))
    return [*body, fitted(_foot(board, controls, url), size.width)]


def shown_jobs(board: Board, controls: Controls) -> list[Job]:
    if controls.alone is not None:
        return list(board.jobs.values())
    return [job for job in board.newest_first() if controls.shows(job)]


def _job(board: Board, controls: Controls, size: Size, rows: int) -> list[Text]:
    job = board.jobs.get(controls.alone or "")
    if job is None:
        return [Text("This job is not there any more." if board.over else "Loading …", DIM)]
    lines = portrait(job, size.width, unicode=size.unicode, steps=max(1, min(12, rows // 3)))
    entries = [entry for entry in board.lines if controls.prints(entry)]
    # The log has a third of a small screen, even if that cuts the facts.
    lines = lines[: max(1, rows - min(len(entries), rows // 3) - 1)]
    tail = log_tail(entries, size.width, rows - len(lines) - 1)
    return [*lines, *([Text()] if tail else []), *tail]


def _list(board: Board, controls: Controls, size: Size, rows: int) -> list[Text]:
    jobs = shown_jobs(board, controls)
    head = fitted(_counts(board), size.width)
    if not jobs:
        return [head, Text(), Text(_none(board), DIM)]
    room = max(1, rows - 2)
    ids = [job["id"] for job in jobs]
    at = ids.index(controls.selected) if controls.selected in ids else 0
    first = max(0, min(at - room // 2, len(jobs) - room))
    shown = jobs[first : first + room]
    return [head, Text(), *(_row(job, controls, size) for job in shown)]


def _none(board: Board) -> str:
    if board.jobs:
        return "No job fits the filter."
    return "No jobs yet." if board.version else "Loading …"


def _counts(board: Board) -> Text:
    line = part("livejobs", "bold")
    for state in STATES:
        count = sum(job["status"] == state for job in board.jobs.values())
        if count:
            line.append("  ").append(f"{count} {state}", LOOKS[state].style)
    return line


def _row(job: Job, controls: Controls, size: Size) -> Text:
    chosen = job["id"] == controls.selected
    state = state_of(job)
    line = part("> " if chosen else "  ", "bold").append_text(_state(job, state, size))
    right = Text(_when(job), DIM)
    room = size.width - line.cell_len - right.cell_len - 2
    title = fitted(Text(name_of(job), "bold" if chosen else ""), room)
    message = plain(_message(job, state))
    if message and room - title.cell_len > 12:
        title = fitted(title.append(f"  {message}", DIM), room)
    title.pad_right(max(0, room - title.cell_len))
    return fitted(line.append_text(title).append("  ").append_text(right), size.width)


def _state(job: Job, state: str, size: Size) -> Text:
    """Status, percentage and bar. A narrow terminal has room for the mark and the percentage."""
    queued = state == "queued"
    amount = Text(f"{'' if queued else percent(job):>5}  ", LOOKS[state].style)
    if size.width < NARROW:
        return mark(state, unicode=size.unicode).append_text(amount)
    status = badge(state, unicode=size.unicode)
    status.pad_right(STATUS - status.cell_len)
    wide = size.width // 8
    value = job["progress"]["percent"]
    drawn = Text(" " * wide) if queued else bar(value, wide, state, unicode=size.unicode)
    return status.append_text(amount).append_text(drawn).append("  ")


def _message(job: Job, state: str) -> str:
    """Why the job failed, what it asks, or what it does now."""
    if job["error"] is not None:
        return str(job["error"]["message"])
    if state == "waiting":
        return str(job["waiting"]["prompt"])
    return str(job["progress"]["message"] or "") if job["status"] == "running" else ""


def _when(job: Job) -> str:
    if job["status"] == "running":
        eta = time_left(job)
        return "" if eta is None else f"{duration(eta)} left"
    if job["status"] == "queued":
        return "" if job["queue"] is None else f"place {job['queue']['position']}"
    return f"{age(since(job['completed_at']))} ago"


def _foot(board: Board, controls: Controls, url: str) -> Text:
    if controls.confirm is not None:
        job = board.jobs.get(controls.confirm)
        name = plain(controls.confirm) if job is None else name_of(job)
        return Text(f"Cancel {name}?  y yes  n no", "bold yellow")
    if controls.typing:
        return part("/", "bold").append(plain(controls.text)).append("_", "blink")
    if board.away:
        return Text(f"No answer from {plain(url)}. Trying again …", "yellow")
    if controls.notice:
        return Text(controls.notice, "yellow")
    return _hints(controls)


def _hints(controls: Controls) -> Text:
    """The most important first: a narrow terminal cuts the rest."""
    find = f"find: {plain(controls.text)}" if controls.text else "find"
    if controls.alone is None:
        hints = [("q", "quit"), ("c", "cancel"), ("f", f"show: {controls.status or 'all'}"),
                 ("/", find), ("enter", "open"), ("↑↓", "select")]  # fmt: skip
    else:
        back = [] if controls.only else [("esc", "back")]
        level = "all lines" if controls.level == "debug" else f"from {controls.level}"
        hints = [("q", "quit"), *back, ("c", "cancel"), ("f", f"log: {level}"), ("/", find)]
    line = Text()
    for key, does in hints:
        line.append("  " if line else "").append(key, "bold").append(f" {does}", DIM)
    return line


def as_line(job: Job, *, named: bool) -> str:
    """One change on one line, for a pipe. `named`: with the job's id, since there are several."""
    progress = job["progress"]
    current, total = progress["current"], progress["total"]
    counted = "" if current is None else str(current) + ("" if total is None else f"/{total}")
    words = [
        plain(job["id"]) if named else "",
        state_of(job),
        percent(job),
        f"{counted} {plain(progress['unit'] or '')}".strip() if counted else "",
        plain((job["error"] or {}).get("message") or progress["message"] or ""),
    ]
    return " ".join(word for word in words if word)
