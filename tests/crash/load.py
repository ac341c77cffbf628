"""Realistic workers and viewers: many at once, of every kind, with timeouts and repeated requests.

Each has one connection and sends one request at a time. When the server is back, it sends its
unanswered reports again, with the same numbers.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Iterable
from itertools import count
from typing import Any, Final

from tests.crash.client import Answer, Client, Lost
from tests.crash.ledger import ENDS, FINISHED, STRIDE, Book, Ledger, Report, Voice
from tests.crash.watch import Watcher

WORKERS: Final = 16
VIEWERS: Final = 2  # that poll
WATCHERS: Final = 3  # that stream
SHARING: Final = 3  # workers that report to one job together
NDJSON: Final = "application/x-ndjson"
BAD: Final = b'{"type": "no such report"}'

_encode = json.JSONEncoder(separators=(",", ":")).encode


class Load:
    """All workers and viewers. They survive the server's deaths, as real clients do."""

    def __init__(
        self,
        ledger: Ledger,
        port: int,
        seed: int,
        *,
        workers: int = WORKERS,
        client: type[Client] = Client,
        watcher: type[Watcher] = Watcher,
        gap: float = 0,
    ) -> None:
        """`gap`: seconds that workers and viewers that poll rest between requests."""
        self.ledger = ledger
        self.gap = gap
        self.client = client
        self.port = port
        self.enough = asyncio.Event()
        self.round = 0
        self.titles = count(1)
        self.shared: list[Book | None] = [None] * -(-workers // SHARING)
        self.workers = [Worker(self, at, random.Random(f"{seed} {at}")) for at in range(workers)]
        self.viewers = [Viewer(self, at, random.Random(f"{seed} v{at}")) for at in range(VIEWERS)]
        self.watchers = [
            watcher(ledger, f"watcher{at}", random.Random(f"{seed} x{at}"))
            for at in range(WATCHERS)
        ]

    async def run(self) -> None:
        """Run until the server is gone or `enough` is set."""
        self.round += 1
        self.enough.clear()
        async with asyncio.TaskGroup() as group:
            for worker in self.workers:
                group.create_task(self._until_lost(worker, self.gap))
            for viewer in self.viewers:
                group.create_task(self._until_lost(viewer, self.gap))
            for watcher in self.watchers:
                group.create_task(self._until_lost(watcher))

    def port_of(self, one: Caller | Watcher) -> int:
        return self.port

    async def _until_lost(self, one: Caller | Watcher, gap: float = 0) -> None:
        one.start(self.port_of(one))
        try:
            while not self.enough.is_set():
                await one.step()
                await asyncio.sleep(gap)
        except Lost:
            pass
        finally:
            one.close()


class Caller:
    """A client with a connection."""

    load: Load
    client: Client

    def start(self, port: int) -> None:
        self.client = self.load.client(port)

    def close(self) -> None:
        self.client.close()

    async def step(self) -> None:
        raise NotImplementedError


class Viewer(Caller):
    """A viewer that polls, long-polls and lists jobs."""

    def __init__(self, load: Load, at: int, chance: random.Random) -> None:
        self.name = f"v{at}"
        self.load = load
        self.chance = chance

    async def step(self) -> None:
        await asyncio.sleep(self.chance.uniform(0, 0.02))
        ids = list(self.load.ledger.ids)[-40:]
        if not ids or self.chance.random() < 0.1:
            await self._list()
        else:
            await self._look(self.chance.choice(ids))

    async def _list(self) -> None:
        answer = await self.client.get("/v1/jobs?limit=20")
        self.load.ledger.expect(answer.status == 200, f"a list: {answer}")
        for job in answer.json()["jobs"]:
            self.load.ledger.saw(self.name, job)

    async def _look(self, id: str) -> None:
        answer = await self.client.get(f"/v1/jobs/{id}")
        if answer.status == 200:
            self.load.ledger.saw(self.name, answer.json())
            if self.chance.random() < 0.2:
                await self._wait(id, answer.headers["etag"])
        else:
            self.load.ledger.expect(answer.status == 404, f"{id}: {answer}")

    async def _wait(self, id: str, tag: str) -> None:
        answer = await self.client.get(f"/v1/jobs/{id}", if_none_match=tag, prefer="wait=1")
        if answer.status == 200:
            self.load.ledger.saw(self.name, answer.json())


class Worker(Caller):
    """A worker with its own job and a part of a shared one."""

    def __init__(self, load: Load, at: int, chance: random.Random) -> None:
        self.name = f"w{at}"
        self.load = load
        self.ledger = load.ledger
        self.at = at
        self.chance = chance
        self.own: Book | None = None
        self.asked: Book | None = None  # a job whose making was not answered
        self.spoken: tuple[Book, Voice] | None = None  # last
        self.dropped: list[Report] = []  # by a full disk, of that voice: to be said again
        self.done: list[Book] = []
        self.steps = 0

    async def step(self) -> None:
        self.steps += 1
        if self.asked is not None:
            await self._make_again(self.asked)
        elif self.spoken is not None and self.spoken[1].waiting:
            await self._say_again(*self.spoken)
        elif self.spoken is not None and self.dropped:
            reports, self.dropped = self.dropped, []
            await self._say(*self.spoken, reports, self._form(reports))
        elif self.own is not None and self.own.main().status in FINISHED:
            self._leave(self.own)  # its end was never answered, and the checker saw it
        elif self.own is None:
            await self._make(shared=False)
        elif self._shared is None and self.at % SHARING == 0:  # one makes it for all
            await self._make(shared=True)
        elif self.done and self.chance.random() < 0.05:
            await self._delete(self.done.pop())
        else:
            shared = self._shared if self.chance.random() < 0.3 else None
            await self._report(shared or self.own)

    @property
    def _shared(self) -> Book | None:
        return self.load.shared[self.at // SHARING]

    # Making jobs

    async def _make(self, *, shared: bool) -> None:
        how = self.chance.choice(("post", "key", "id", "put"))
        title = f"job-{next(self.load.titles)}"
        parent = self._shared if not shared and self.chance.random() < 0.5 else None
        book = Book(
            title=title,
            project=parent.project if parent else self.chance.choice(("default", "other")),
            type=f"round-{self.load.round}",
            how=how,
            alone=not shared,
            id=f"{title}-{self.chance.randrange(10**6)}" if how in ("id", "put") else None,
            parent=parent.id if parent else None,
        )
        self.ledger.open(book)
        self.asked = book
        await self._ask_for(book)

    async def _make_again(self, book: Book) -> None:
        if book.how == "post":  # it can't be asked for twice; the checker has found it, or not
            self.asked = None
            if book.found:
                self._born(book)
        else:
            await self._ask_for(book)

    async def _ask_for(self, book: Book) -> None:
        self.ledger.touched.add(book.title)  # again, where it was asked for before: see the checker
        body: dict[str, Any] = {"title": book.title, "type": book.type, "project": book.project}
        body["total"] = len(book.title) * 10  # anything; the same when asked again
        if book.parent is not None:
            body["parent"] = book.parent
        headers = {"idempotency_key": book.title} if book.how == "key" else {}
        if book.how == "put":
            method, path = "PUT", f"/v1/jobs/{book.id}"
        else:
            method, path = "POST", "/v1/jobs"
            body |= {"id": book.id} if book.how == "id" else {}
        answer = await self.client.call(method, path, _encode(body).encode(), **headers)
        await self._asked(book, answer)

    async def _asked(self, book: Book, answer: Answer) -> None:
        if answer.status == 503:
            if not book.found:
                self.ledger.drop(book)
                self.asked = None
            await self._refused(answer)
        else:
            self.asked = None
            self._made(book, answer)

    def _made(self, book: Book, answer: Answer) -> None:
        again = 409 if book.how == "id" else 200
        expected = again if book.found else 201
        self.ledger.expect(answer.status == expected, f"{book.title}, {book.how}: {answer}")
        if answer.status in (200, 201):
            job = answer.json()
            self.ledger.is_there(book, job["id"])
            self.ledger.saw(self.name, job)
        self._born(book)

    def _born(self, book: Book) -> None:
        book.born = True
        if book.alone:
            self.own = book
        else:
            self.load.shared[self.at // SHARING] = book

    async def _delete(self, book: Book) -> None:
        book.deleting = True
        self.ledger.touched.add(book.title)
        answer = await self.client.call("DELETE", f"/v1/jobs/{book.id}")
        book.deleting = False
        if answer.status == 503:
            await self._refused(answer)
        else:
            self.ledger.expect(answer.status == 204, f"{book.title}, deleted: {answer}")
            book.gone = True

    # Reporting

    async def _report(self, book: Book) -> None:
        voice = book.voices.get(self.name) or self._join(book)
        self.spoken = book, voice
        roll = self.chance.random()
        if voice.said and voice.said[-1]["type"] == "!cancel":  # the worker hears of it, and ends
            end = self.chance.choice(("cancelled", "retry", "succeed"))
            await self._say(book, voice, [self._numbered(voice, end)], "one")
        elif roll < 0.03:
            await self._heartbeat(book, voice)
        elif roll < 0.05 and book.alone:
            await self._cancel(book, voice)
        elif roll < 0.08 and voice.acked and voice.numbered:
            await self._repeat(book, voice)
        elif roll < 0.11:
            await self._say_badly(book, voice)
        else:
            await self._say_something(book, voice)

    def _join(self, book: Book) -> Voice:
        numbered = not book.alone or self.chance.random() < 0.8
        slot = 0 if book.alone else self.at % SHARING
        voice = book.voices[self.name] = Voice(self.name, slot, numbered)
        return voice

    async def _say_something(self, book: Book, voice: Voice) -> None:
        many = 1 if self.chance.random() < 0.4 else self.chance.randint(2, 40)
        reports = [self._make_report(book, voice) for _ in range(many)]
        if self.chance.random() < (0.08 if book.alone else 0.01):
            reports.append(self._make_end(voice, book))
        await self._say(book, voice, reports, self._form(reports))

    async def _say(self, book: Book, voice: Voice, reports: list[Report], form: str) -> None:
        """Send the waiting reports, then the new `reports`."""
        voice.say(reports, whole=form in ("one", "array"))
        self.ledger.touched.add(book.title)
        waiting = voice.said[voice.acked :]
        answer = await self._send(book, waiting, form)
        await self._heard(book, voice, answer)

    async def _say_again(self, book: Book, voice: Voice) -> None:
        if not voice.repeatable:
            self.ledger.complain(f"{book.title} {voice.name}: not settled by the checker")
            return
        await self._say(book, voice, [], self._form(voice.said[voice.acked :]))

    def _form(self, reports: list[Report]) -> str:
        forms = ("array", "lines", "slowly")
        return "one" if len(reports) == 1 else self.chance.choices(forms, (3, 3, 1))[0]

    async def _send(self, book: Book, reports: list[Report], form: str) -> Answer:
        path = f"/v1/jobs/{book.id}/reports"
        if form == "one":
            return await self.client.call("POST", path, _encode(reports[0]).encode())
        if form == "array":
            return await self.client.call("POST", path, _encode(reports).encode())
        lines = b"".join(_encode(report).encode() + b"\n" for report in reports)
        if form == "lines":
            return await self.client.call("POST", path, lines, content_type=NDJSON)
        return await self.client.stream(path, self._pieces(lines), content_type=NDJSON)

    async def _pieces(self, body: bytes) -> AsyncIterator[bytes]:
        """The body in pieces of any length, with pauses."""
        cuts = sorted(self.chance.randrange(1, len(body)) for _ in range(self.chance.randint(1, 8)))
        for begin, end in zip([0, *cuts], [*cuts, len(body)], strict=True):
            if begin < end:
                yield body[begin:end]
                await asyncio.sleep(self.chance.uniform(0, 0.05))

    async def _heard(self, book: Book, voice: Voice, answer: Answer) -> None:
        if answer.status == 200:
            self._acknowledged(book, voice, answer.json())
        else:
            await self._not_taken(book, voice, answer)

    async def _not_taken(self, book: Book, voice: Voice, answer: Answer) -> None:
        if answer.status == 409 and not book.alone:  # somebody else has ended it
            self._keep(voice, answer.json())
            voice.over()
            self._leave(book)
        elif answer.status == 503:
            before = list(voice.said)
            self._keep(voice, answer.json())
            self.dropped = before[len(voice.said) :] if voice.numbered else []
            if voice.said and voice.said[-1]["type"] in ENDS:  # all was kept, but not answered well
                self._leave(book)
            await self._refused(answer)
        else:
            last = [report["type"] for report in voice.said[-3:]]
            told = f"{voice.acked} acknowledged and {voice.kept} seen of {len(voice.said)}, {last}"
            self.ledger.complain(f"{book.title} {voice.name}: {told} were answered {answer}")
            voice.answered(0)

    def _acknowledged(self, book: Book, voice: Voice, receipt: dict[str, Any]) -> None:
        waiting = len(voice.said) - voice.acked
        new = len(voice.said) - max(voice.acked, voice.kept)
        said = f"{book.title} {voice.name}: {new} new of {waiting}, answered {receipt}"
        self.ledger.expect(receipt["accepted"] == new, said)
        self.ledger.receipt(book, voice, receipt, new=new > 0)
        voice.answered(waiting)
        self.ledger.acknowledged += new
        if receipt["status"] in FINISHED:
            self._leave(book)

    def _keep(self, voice: Voice, problem: dict[str, Any]) -> None:
        """A refused request. Of a request of lines, the first ones may have been kept."""
        kept = problem.get("kept", 0)
        self.ledger.acknowledged += max(0, voice.acked + kept - max(voice.kept, voice.acked))
        voice.answered(kept)

    async def _refused(self, answer: Answer) -> None:
        problem = answer.json()
        good = problem["code"] == "storage_unavailable" and "retry-after" in answer.headers
        self.ledger.expect(good, f"503: {answer}")
        self.ledger.refused += 1
        await asyncio.sleep(self.chance.uniform(0, 0.05))

    def _leave(self, book: Book) -> None:
        """The job has ended."""
        if book is self.own:
            self.own = None
            if book.parent is None:
                self.done.append(book)
        elif book is self._shared:
            self.load.shared[self.at // SHARING] = None

    # What is said

    def _make_report(self, book: Book, voice: Voice) -> Report:
        kinds = ["log", "log", "log", "progress", "progress", "result", "error", "count", "step"]
        kinds += [
            "meta",
            *(["start", "retry"] if book.alone and self.chance.random() < 0.1 else []),
        ]
        return self._numbered(voice, self.chance.choice(kinds))

    def _numbered(self, voice: Voice, type_: str) -> Report:
        voice.made += 1
        n, name = voice.made, voice.name
        text = f"{name}:{n}"
        filling = "." * min(9000, int(self.chance.paretovariate(0.6)))  # short, seldom long
        fields: dict[str, dict[str, Any]] = {
            "log": {"message": f"{text}:{filling}"},
            "result": {"value": {"said": text, "more": filling[:2000]}},
            "error": {"message": text, "item": n},
            "count": {"counters": {f"{name}.times": 1, f"{name}.total": n}},
            "progress": {"advance": STRIDE**voice.slot, "message": text},
            "step": {"name": name, "current": n},
            "meta": {"set": {name: n}},
            "start": {"worker": {"said": text}},
            "retry": {"error": text},
            "succeed": {"result": text},
            "fail": {"message": text},
            "cancelled": {},
        }
        number = {"producer": name, "n": n} if voice.numbered else {}
        return {"type": type_, **fields[type_], **number}

    def _make_end(self, voice: Voice, book: Book) -> Report:
        ends = ("succeed", "fail", "cancelled") if book.alone else ("succeed", "fail")
        return self._numbered(voice, self.chance.choice(ends))

    async def _repeat(self, book: Book, voice: Voice) -> None:
        """Repeat acknowledged reports: the server skips them and acknowledges them again."""
        again = voice.said[max(0, voice.acked - 5) : voice.acked]
        again = [report for report in again if report["type"] != "!cancel"]
        if not again:
            return
        answer = await self._send(book, again, self.chance.choice(("array", "lines")))
        if answer.status == 200:
            receipt = answer.json()
            self.ledger.expect(receipt["accepted"] == 0, f"{book.title}: counted twice: {receipt}")
        elif answer.status == 503:
            await self._refused(answer)
        else:
            self.ledger.complain(f"{book.title}, said again: {answer}")

    async def _heartbeat(self, book: Book, voice: Voice) -> None:
        """A report that changes nothing once the job runs."""
        if voice.said and voice.said[-1]["type"] != "retry":
            path = f"/v1/jobs/{book.id}/reports"
            await self.client.call("POST", path, b'{"type":"heartbeat"}')

    async def _say_badly(self, book: Book, voice: Voice) -> None:
        """An invalid last report: an array is refused whole; of lines, earlier ones are kept."""
        reports = [self._make_report(book, voice) for _ in range(self.chance.randint(1, 5))]
        lines = self.chance.random() < 0.5
        voice.say(reports, whole=not lines)
        self.ledger.touched.add(book.title)
        texts = [*(_encode(report).encode() for report in reports), BAD]
        body = b"\n".join(texts) if lines else b"[" + b",".join(texts) + b"]"
        media = NDJSON if lines else "application/json"
        path = f"/v1/jobs/{book.id}/reports"
        answer = await self.client.call("POST", path, body, content_type=media)
        if answer.status != 422:
            await self._not_taken(book, voice, answer)
            return
        expected = len(reports) if lines else 0
        kept = answer.json().get("kept", 0)
        self.ledger.expect(kept == expected, f"{book.title}: {expected} good lines, {answer}")
        self._keep(voice, answer.json())

    async def _cancel(self, book: Book, voice: Voice) -> None:
        force = self.chance.random() < 0.5
        voice.say([{"type": "!cancel", "force": force}], whole=True)
        self.ledger.touched.add(book.title)
        query = "?force=true" if force else ""
        answer = await self.client.call("POST", f"/v1/jobs/{book.id}/cancel{query}")
        if answer.status == 202:
            voice.answered(1)
            job = answer.json()
            self.ledger.saw(self.name, job)
            if job["status"] in FINISHED:
                self._leave(book)
        else:
            voice.answered(0)
            self.ledger.expect(answer.status == 503, f"{book.title}, cancelled: {answer}")
            await self._refused(answer)


def unanswered(workers: Iterable[Worker]) -> int:
    return sum(1 for one in workers if one.asked or (one.spoken and one.spoken[1].waiting))
