"""Compare a server with the ledger, through its public API.

The server holds every acknowledged report exactly once and every other report at most once. Cursors
and states agree with each other and with all earlier answers. Finished jobs never change. Counts
match the lists. No worker may report during a check.
"""

from __future__ import annotations

import random
import re
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from tests.crash.client import Answer, Client
from tests.crash.ledger import (
    ENDS,
    FINISHED,
    KINDS,
    STRIDE,
    Book,
    Job,
    Ledger,
    Shown,
    Sum,
    Voice,
    differences,
    facts,
)

SHOWN: Final = 20  # complaints in a message
SAMPLE: Final = 30  # jobs checked again though nobody reported to them
LISTED: Final = 200  # jobs a page

Entries = dict[str, list[dict[str, Any]]]


class Broken(AssertionError):
    """The server broke a guarantee."""

    def __init__(self, wrong: list[str]) -> None:
        more = f"\n… and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        super().__init__("\n".join(wrong[:SHOWN]) + more)


def integrity(data: Path) -> None:
    """Check the database file of a dead server. The connection is read-only, so it leaves the log
    for the server to replay."""
    db = sqlite3.connect(f"file:{data / 'livejobs.db'}?mode=ro", uri=True)
    try:
        said = [row[0] for row in db.execute("PRAGMA integrity_check")]
    finally:
        db.close()
    if said != ["ok"]:
        raise Broken([f"integrity_check: {line}" for line in said])


class Checker:
    def __init__(self, ledger: Ledger, client: Client) -> None:
        self.ledger = ledger
        self.client = client

    async def check(self, *, everything: bool = False) -> int:
        """Check the jobs and return their number. Raises Broken if anything is wrong."""
        books = self._everything() if everything else self._some()
        await self._find_unanswered(books)
        for book in books:
            await self._look(book)
        self._check_children(books)
        await self._check_lists(books)
        self.ledger.touched.clear()
        if self.ledger.wrong:
            raise Broken(self.ledger.wrong)
        return len(books)

    def _everything(self) -> list[Book]:
        """All jobs, to compare from their first entry."""
        for book in self.ledger.books.values():
            book.forget_looks()
        return list(self.ledger.books.values())

    def _some(self) -> list[Book]:
        """The jobs with new reports, their parents, and a few others."""
        all_ = self.ledger.books
        titles = set(self.ledger.touched & all_.keys())
        titles.update(random.sample(sorted(all_), min(SAMPLE, len(all_))))
        parents = {all_[title].parent for title in titles} - {None}
        titles.update(self.ledger.ids[parent].title for parent in parents if parent)
        return [all_[title] for title in sorted(titles)]

    # Jobs whose creation was never answered

    async def _find_unanswered(self, books: list[Book]) -> None:
        asked = [book for book in books if not book.born and not book.found]
        for type_, project in {(book.type, book.project) for book in asked}:
            titles = Counter[str]()
            async for job in self._list(f"project={project}&type={type_}"):
                titles[job["title"]] += 1
                self._found(job)
            for title, times in titles.items():
                self.ledger.expect(times == 1, f"{title}: there are {times} of it")
        for book in asked:
            if not book.found:
                books.remove(book)
                if book.how == "post":  # only a PUT can be repeated
                    self.ledger.drop(book)

    def _found(self, job: Job) -> None:
        book = self.ledger.books.get(job["title"])
        if book is None:
            self.ledger.complain(f"{job['title']}: nobody made it")
        elif not book.born:
            book.found = True
            self.ledger.is_there(book, job["id"])

    # One job

    async def _look(self, book: Book) -> None:
        answer = await self.client.get(f"/v1/jobs/{book.id}")
        if answer.status == 404 and (book.gone or book.deleting):
            book.gone, book.deleting, book.last = True, False, None
            return
        if answer.status != 200 or book.gone:
            self._complain(book, f"gone: {book.gone}, but answered {answer.status}")
            return
        book.deleting = False
        job = book.last = answer.json()
        new = await self._new_entries(book, job)
        self.ledger.saw("checker", job)
        self._check_cursor(book, job, answer)
        self._check_entries(book, job, new)
        self._check_voices(book, job, new)
        self._check_outcome(book, job)
        for complaint in insane(job):
            self._complain(book, complaint)

    def _complain(self, book: Book, what: str) -> None:
        self.ledger.complain(f"{book.title} ({book.id}): {what}")

    async def _new_entries(self, book: Book, job: Job) -> Entries:
        """The entries after those that an earlier check compared."""
        new: Entries = {}
        for kind, looked in zip(KINDS, book.looked, strict=True):
            new[kind] = []
            after: int | None = looked if job[f"{kind}_total"] > looked else None
            while after is not None:
                path = f"/v1/jobs/{book.id}/{kind}?after={after}&limit=1000"
                page = (await self.client.get(path)).json()
                new[kind] += page[kind]
                after = page["next"]
        return new

    def _check_cursor(self, book: Book, job: Job, answer: Answer) -> None:
        seq = self.ledger.cursor(book.project, job["cursor"])
        if seq < book.seq:
            self._complain(book, f"cursor {seq}, but {book.seq} was acknowledged")
        if job["cursor"] not in answer.headers["etag"]:
            self._complain(book, f"ETag {answer.headers['etag']} of cursor {job['cursor']}")
        latest = self.ledger.latest(book)
        if latest is not None and latest.seq == seq and latest.facts != facts(job):
            changed = differences(latest.facts, facts(job))
            self._complain(book, f"was shown otherwise at this cursor: {changed}")
        elif latest is not None and latest.seq > seq:
            self._complain(book, f"cursor {seq}, but {latest.seq} was shown")

    def _check_entries(self, book: Book, job: Job, new: Entries) -> None:
        for at, kind in enumerate(KINDS):
            looked = book.looked[at]
            numbers = [entry["n"] for entry in new[kind]]
            if numbers != list(range(looked + 1, job[f"{kind}_total"] + 1)):
                total = job[f"{kind}_total"]
                self._complain(book, f"{kind} after {looked} of {total}: {_brief(numbers)}")
            if kind != "logs" and new[kind] and job[kind][-len(new[kind]) :] != new[kind][-1000:]:
                self._complain(book, f"the last {kind} of the job are not those of the page")
            book.looked[at] = looked + len(numbers)

    def _check_voices(self, book: Book, job: Job, new: Entries) -> None:
        told = 0
        for voice in book.voices.values():
            shown = shown_of(voice, book, job, new)
            told += sum(len(some) for some in shown.entries)
            if not voice.settle(shown, alone=book.alone):
                self._complain(book, _contradiction(voice, shown, alone=book.alone))
        there = sum(len(entries) for entries in new.values())
        if told != there:
            self._complain(book, f"{there - told} entries that nobody said")

    def _check_outcome(self, book: Book, job: Job) -> None:
        main = book.main()
        expected: dict[str, Any] = {
            "status": main.status,
            "attempt": main.attempt,
            "cancel_requested": main.cancel_requested,
            "counters": counters(book),
            "steps": sorted(n for n, v in book.voices.items() if v.sum.step is not None),
            "meta": {n: v.sum.meta for n, v in book.voices.items() if v.sum.meta is not None},
            "current": sum(v.sum.advanced * STRIDE**v.slot for v in book.voices.values()),
        }
        shown: dict[str, Any] = {name: job.get(name) for name in expected}
        shown["steps"] = sorted(step["name"] for step in job["steps"])
        shown["current"] = job["progress"]["current"] or 0
        if shown != expected:
            self._complain(book, f"shown and told: {differences(shown, expected)}")

    # Many jobs

    def _check_children(self, books: list[Book]) -> None:
        wanted = {book.id: book for book in books if book.last is not None}
        children: dict[str, Counter[str]] = {id: Counter() for id in wanted if id}
        for book in self.ledger.books.values():
            if book.parent in children and (book.born or book.found):
                children[book.parent][book.main().status] += 1
        for id, counted in children.items():
            job = wanted[id].last
            if job is None or job["status"] in FINISHED:  # its counts are history
                continue
            shown = {name: n for name, n in job["children"].items() if n and name != "total"}
            if shown != counted:
                self._complain(wanted[id], f"children {shown}, but they are {dict(counted)}")

    async def _check_lists(self, books: list[Book]) -> None:
        """Counts match the lists, and the lists match the ledger."""
        for project in self.ledger.feeds:
            there = Counter[str]()
            for book in self.ledger.books.values():
                if book.project == project and not book.gone and (book.born or book.found):
                    there[book.main().status] += 1
            await self._check_counts(f"project={project}", there)
        for type_, project in sorted({(book.type, book.project) for book in books}):
            await self._check_list(type_, project)

    async def _check_list(self, type_: str, project: str) -> None:
        listed = [job async for job in self._list(f"project={project}&type={type_}")]
        for job in listed:
            self.ledger.saw("list", job)
        titles = sorted(job["title"] for job in listed)
        there = sorted(
            book.title
            for book in self.ledger.books.values()
            if (book.type, book.project) == (type_, project)
            and (book.born or book.found)
            and not book.gone
        )
        self.ledger.expect(titles == there, f"type {type_}: listed {titles}, but is {there}")
        by_status = Counter[str](job["status"] for job in listed)
        await self._check_counts(f"project={project}&type={type_}", by_status)

    async def _check_counts(self, filter_: str, there: Counter[str]) -> None:
        page = (await self.client.get(f"/v1/jobs?{filter_}&limit=1")).json()
        counts = {status: n for status, n in page["counts"].items() if n}
        self.ledger.expect(counts == there, f"{filter_}: counted {counts}, but is {dict(there)}")

    async def _list(self, filter_: str) -> AsyncIterator[Job]:
        after: str | None = ""
        while after is not None:
            page = (await self.client.get(f"/v1/jobs?{filter_}&limit={LISTED}{after}")).json()
            for job in page["jobs"]:
                yield job
            after = None if page["next"] is None else f"&after={page['next']}"


def shown_of(voice: Voice, book: Book, job: Job, new: Entries) -> Shown:
    """One producer's part of what the server shows."""
    mine = f"{voice.name}:"
    texts = (
        [entry["message"] for entry in new["logs"]],
        [entry["value"]["said"] for entry in new["results"]],
        [entry["message"] for entry in new["errors"]],
    )
    return Shown(
        entries=tuple(tuple(text for text in some if text.startswith(mine)) for some in texts),
        times=job["counters"].get(f"{voice.name}.times", 0),
        total=job["counters"].get(f"{voice.name}.total", 0),
        advanced=(job["progress"]["current"] or 0) // STRIDE**voice.slot % STRIDE,
        step=next((step["current"] for step in job["steps"] if step["name"] == voice.name), None),
        meta=job["meta"].get(voice.name),
        told=_told(mine, job, alone=book.alone),
    )


def _told(mine: str, job: Job, *, alone: bool) -> tuple[Any, ...]:
    result, error = job["result"], job["error"] and job["error"]["message"]
    if alone:
        rest = job["status"], job["attempt"], job["cancel_requested"], job["worker"]
        return (result, error, *rest)
    texts: list[Any] = [result, error]
    return tuple(text if text and text.startswith(mine) else None for text in texts)


def counters(book: Book) -> dict[str, int]:
    told: dict[str, int] = {}
    for name, voice in book.voices.items():
        if voice.sum.times:
            told |= {f"{name}.times": voice.sum.times, f"{name}.total": voice.sum.total}
    return told


def _contradiction(voice: Voice, shown: Shown, *, alone: bool) -> str:
    """Where what is shown differs from what the acknowledged reports come to."""
    least = Sum()
    for at, report in enumerate(voice.said[: max(voice.acked, voice.kept)]):
        if at == voice.settled:
            least.entries = ([], [], [])
        least.hear(report)
    differing = {
        name: (there, owed)
        for name, there, owed in zip(Shown._fields, shown, least.shown(alone=alone), strict=True)
        if there != owed
    }
    how = "all or none" if voice.whole else "line by line"
    return (
        f"{voice.name} said {len(voice.said)}, {voice.acked} acknowledged, {voice.kept} seen, "
        f"the rest {how}; shown and at least owed: {str(differing)[:2000]}"
    )


def _brief(numbers: list[int]) -> str:
    return str(numbers) if len(numbers) < 12 else f"{numbers[:5]} … {numbers[-5:]}"


# What no job may ever look like.

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_TIMES: Final = ("created_at", "started_at", "updated_at", "completed_at", "heartbeat_at")
_ENDED: Final = frozenset(ENDS.values())


def insane(job: Job) -> Iterator[str]:
    progress = job["progress"]
    if progress["percent"] is not None and not 0 <= progress["percent"] <= 100:
        yield f"percent {progress['percent']}"
    numbers = {**job["timing"], "rate": progress["rate"], "eta": progress["eta_seconds"]}
    for name, value in numbers.items():
        if value is not None and not 0 <= value < float("inf"):
            yield f"{name} is {value}"
    for name in _TIMES:
        if job[name] is not None and not _is_time(job[name]):
            yield f"{name} is {job[name]}"
    if (job["completed_at"] is not None) != (job["status"] in _ENDED):
        yield f"{job['status']}, completed at {job['completed_at']}"


def _is_time(text: str) -> bool:
    return bool(_TIME.fullmatch(text)) and datetime.fromisoformat(text).year > 2000
