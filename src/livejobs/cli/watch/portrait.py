"""One job in a terminal: its state, steps, facts and log, as lines of a given width."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from rich.text import Text

from livejobs.cli.figures import amount, duration, number, pace, percent, since, size, time_left
from livejobs.cli.looks import LOOKS, badge, bar, fitted, mark, name_of, part, state_of
from livejobs.cli.reader.logs import as_lines
from livejobs.cli.text import lines_of, plain

Job = Mapping[str, Any]

DIM: Final = "dim"
FILES: Final = 5  # that are named
COUNTERS: Final = 12
ERRORS: Final = 3
TRACE: Final = 8  # lines of an error's detail: its end is what tells
STEPS: Final = 12
LOG: Final = 10  # lines below the final state of a job that failed
NAME: Final = 24  # columns of a step's name


def portrait(job: Job, width: int, *, unicode: bool, steps: int = STEPS) -> list[Text]:
    """All but the log."""
    parts = (
        _head(job, width, unicode=unicode),
        _steps(job["steps"], width, steps, unicode=unicode),
        _error(job["error"]),
        _facts(job),
    )
    lines: list[Text] = []
    for section in parts:
        found = list(section)
        lines += [Text(), *found] if lines and found else found
    return [fitted(line, width) for line in lines]


def _head(job: Job, width: int, *, unicode: bool) -> Iterator[Text]:
    state = state_of(job)
    left = badge(state, unicode=unicode).append(f"  {name_of(job)}", "bold")
    yield _spread(left, Text(_time(job), DIM), width)
    value = job["progress"]["percent"]
    if job["status"] != "queued":
        yield bar(value, max(1, width - 6), state, unicode=unicode).append(
            f" {percent(job):>5}", LOOKS[state].style
        )
    said = _dotted(_progress(job))
    if said:
        yield Text(said)


def _progress(job: Job) -> Iterator[str]:
    progress = job["progress"]
    yield amount(progress)
    if job["status"] == "running":
        yield pace(progress)
        if (eta := time_left(job)) is not None:
            yield f"{duration(eta)} left"
    if job["queue"] is not None:
        yield f"place {job['queue']['position']} of {job['queue']['length']} in the queue"
        if job["queue"]["eta_seconds"] is not None:
            yield f"starts in about {duration(job['queue']['eta_seconds'])}"
    if job["attempt"] > 1:
        yield f"attempt {job['attempt']}"
    yield plain(progress["message"] or "")


def _time(job: Job) -> str:
    """How long it took, or takes."""
    if job["started_at"] is None:
        return f"created {duration(since(job['created_at']))} ago"
    done = job["timing"]["run_seconds"]
    return duration(since(job["started_at"]) if done is None else done)


def _spread(left: Text, right: Text, width: int) -> Text:
    """One at each end of the line. Where both have no room, the right one is left out."""
    room = width - left.cell_len - right.cell_len
    if room < 2:
        short = fitted(left, width - right.cell_len - 2)
        if short.cell_len < 24:
            return fitted(left, width)
        left, room = short, width - short.cell_len - right.cell_len
    return Text.assemble(left, " " * room, right)


def _steps(
    steps: Sequence[Mapping[str, Any]], width: int, rows: int, *, unicode: bool
) -> Iterator[Text]:
    """At most so many, around the one that runs."""
    first = _window([step["status"] for step in steps], rows)
    shown = steps[first : first + rows]
    names = [plain(step["title"] or step["name"]) for step in shown]
    name = min(max(8, width // 3), NAME, max((Text(one).cell_len for one in names), default=0))
    if first:
        yield Text(f"  {first} before", DIM)
    for step, called in zip(shown, names, strict=True):
        yield _step(step, called, name, width, unicode=unicode)
    if first + rows < len(steps):
        yield Text(f"  {len(steps) - first - rows} more", DIM)


def _window(statuses: Sequence[str], rows: int) -> int:
    if len(statuses) <= rows:
        return 0
    running = next((at for at, status in enumerate(statuses) if status == "running"), None)
    if running is None:
        done = sum(status not in ("pending", "running") for status in statuses)
        running = min(done, len(statuses) - 1)
    return max(0, min(running - rows // 2, len(statuses) - rows))


def _step(step: Mapping[str, Any], called: str, name: int, width: int, *, unicode: bool) -> Text:
    label = fitted(Text(called), name)
    label.pad_right(name - label.cell_len)
    line = mark(step["status"], unicode=unicode).append(" ").append_text(label)
    if step["status"] == "pending" or step["percent"] is None:
        return line if step["current"] is None else line.append(f"  {_counted(step)}", DIM)
    room = max(6, min(24, width - name - 24))
    line.append("  ").append_text(bar(step["percent"], room, step["status"], unicode=unicode))
    return line.append(f" {step['percent']:>3}%  {_counted(step)}".rstrip())


def _counted(step: Mapping[str, Any]) -> str:
    if step["current"] is None:
        return ""
    total = "" if step["total"] is None else f"/{number(step['total'])}"
    return number(step["current"]) + total


def _facts(job: Job) -> Iterator[Text]:
    if job.get("waiting"):
        yield part("? ", "magenta").append(plain(job["waiting"]["prompt"]), "bold")
        yield Text(f"  livejobs answer {plain(job['id'])} VALUE", DIM)
    elif job["stalled"]:
        yield Text("! The worker has sent no report for a while.", "yellow")
    yield from _children(job["children"])
    if job["counters"]:
        yield _row("counters", _counters(job["counters"]))
    if job["results_total"]:
        yield _row("results", number(job["results_total"]))
    if job["errors_total"]:
        yield _row("errors", number(job["errors_total"]))
        for error in job.get("errors", [])[-ERRORS:]:
            item = "" if error["item"] is None else f"{plain(str(error['item']))}: "
            yield Text(f"  {item}{plain(error['message'])}", "red")
    for at, file in enumerate(job["files"][:FILES]):
        yield _row("" if at else "files", _file(file))
    if len(job["files"]) > FILES:
        yield _row("", f"{len(job['files']) - FILES} more")


def _row(label: str, value: str) -> Text:
    return part(f"{label:<9} ", DIM).append(value)


def _error(error: Mapping[str, Any] | None) -> Iterator[Text]:
    if error is None:
        return
    first, *rest = lines_of(error["message"])
    yield Text(first, "bold red")
    for line in rest[:TRACE]:
        yield Text(line, "red")
    if isinstance(error.get("detail"), str):
        for line in lines_of(error["detail"])[-TRACE:]:
            yield Text(f"  {line}", DIM)


def _children(children: Mapping[str, int]) -> Iterator[Text]:
    if children["total"]:
        states = ("running", "queued", "succeeded", "failed", "cancelled")
        counts = ", ".join(f"{children[state]} {state}" for state in states if children[state])
        yield _row("children", f"{children['total']}: {counts}")


def _counters(counters: Mapping[str, Any]) -> str:
    shown = [f"{plain(name)} {number(value)}" for name, value in counters.items()]
    more = [f"{len(shown) - COUNTERS} more"] if len(shown) > COUNTERS else []
    return _dotted([*shown[:COUNTERS], *more])


def _file(file: Mapping[str, Any]) -> str:
    count = "" if file["size"] is None else f"  {size(file['size'])}"
    return plain(file["name"]) + count


def _dotted(parts: Iterable[str]) -> str:
    return " · ".join(part for part in parts if part)


def log_tail(entries: Sequence[Mapping[str, Any]], width: int, rows: int) -> list[Text]:
    """The last lines that fit."""
    lines: list[Text] = []
    for entry in reversed(entries):
        if len(lines) >= rows:
            break
        lines = [fitted(line, width) for line in as_lines(entry)] + lines
    return lines[-rows:] if rows > 0 else []


def final(
    job: Job, entries: Sequence[Mapping[str, Any]], width: int, *, unicode: bool
) -> list[Text]:
    """What stays on the screen when a job has ended: for one that failed, with its last lines."""
    lines = portrait(job, width, unicode=unicode)
    tail = log_tail(entries, width, LOG) if job["status"] == "failed" else []
    return [*lines, *([Text()] if tail else []), *tail]
