"""The checker finds errors: each test puts one false fact into its ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import pytest

from tests.crash.checker import Broken, Checker
from tests.crash.client import Client, Lost
from tests.crash.kill import rest
from tests.crash.ledger import FINISHED, Book, Ledger, Seen, Voice
from tests.crash.load import Load
from tests.support.server import Server, hold_port


class Scene:
    """A server with some jobs, and their true ledger."""

    def __init__(self, server: Server, ledger: Ledger) -> None:
        self.port = server.port
        self.ledger = ledger

    async def check(self, ledger: Ledger) -> None:
        client = Client(self.port)
        try:
            await Checker(ledger, client).check(everything=True)
        finally:
            client.close()

    def book(self, *, finished: bool = False, alone: bool = True) -> Book:
        """The book of the job with the most reports."""
        return max(self.books(finished=finished, alone=alone), key=said)

    def books(self, *, finished: bool, alone: bool) -> list[Book]:
        return [
            book
            for book in self.ledger.books.values()
            if book.alone == alone
            and not book.gone
            and (book.main().status in FINISHED) == finished
        ]

    def enough(self) -> bool:
        """Whether the random jobs suffice for every false fact."""
        own = self.books(finished=False, alone=True)
        shared = self.books(finished=False, alone=False)
        if not (own and shared and self.books(finished=True, alone=True)):
            return False
        most = max(own, key=said)
        types = [report["type"] for report in voice_of(most).said]
        parent = max(shared, key=said).id
        everyone = self.ledger.books.values()
        children = [one for one in everyone if one.parent == parent]
        listed = [one for one in everyone if (one.type, one.project) == (most.type, most.project)]
        # The checker reads only lists of known types: an unknown job must share one.
        return types.count("log") > 1 and "count" in types and bool(children) and len(listed) > 1


def said(book: Book) -> int:
    return sum(voice.acked for voice in book.voices.values())


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    ledger = Ledger()
    with Server(tmp_path_factory.mktemp("checker") / "data") as server:
        scene = Scene(server, ledger)

        async def play() -> None:
            load = Load(ledger, server.port, 1, workers=6)
            for _ in range(60):
                await rest(load)
                await scene.check(ledger)  # which also settles what was left unanswered
                if scene.enough():
                    return
            raise AssertionError("no such jobs in a minute")

        asyncio.run(play())
        yield scene


def voice_of(book: Book) -> Voice:
    return max(book.voices.values(), key=lambda voice: voice.acked)


def log(voice: Voice, **more: Any) -> dict[str, Any]:
    return {"type": "log", "message": f"{voice.name}:0:", **more}


def a_lost_report(book: Book, ledger: Ledger) -> None:
    voice = voice_of(book)
    voice.said.append(log(voice))
    voice.acked += 1


def a_report_that_nobody_made(book: Book, ledger: Ledger) -> None:
    voice = voice_of(book)
    at = next(n for n, report in enumerate(voice.said) if report["type"] == "log")
    del voice.said[at]
    voice.acked -= 1
    voice.kept = voice.acked


def a_report_counted_twice(book: Book, ledger: Ledger) -> None:
    said = voice_of(book).said
    count = next(report for report in said if report["type"] == "count")
    name = next(name for name in count["counters"] if name.endswith(".total"))
    count["counters"][name] -= 1


def progress_that_was_lost(book: Book, ledger: Ledger) -> None:
    voice = voice_of(book)
    voice.said.append({"type": "progress"})
    voice.acked += 1


def half_an_array(book: Book, ledger: Ledger) -> None:
    """The last kept report and one that was lost, from a request of all or nothing."""
    voice = voice_of(book)
    voice.acked -= 1
    voice.kept = voice.acked
    voice.say([log(voice)], whole=True)


def another_order(book: Book, ledger: Ledger) -> None:
    said = voice_of(book).said
    first, second = [n for n, report in enumerate(said) if report["type"] == "log"][:2]
    said[first], said[second] = said[second], said[first]


def a_cursor_that_went_back(book: Book, ledger: Ledger) -> None:
    seen = book.seen["checker"]
    book.seen["v0"] = Seen(seen.seq + 1, seen.facts)


def a_receipt_from_the_future(book: Book, ledger: Ledger) -> None:
    book.seq += 10**6


def another_state_at_the_same_cursor(book: Book, ledger: Ledger) -> None:
    seen = book.seen["checker"]
    book.seen["checker"] = Seen(seen.seq, {**seen.facts, "updated_at": "earlier"})


def another_epoch(book: Book, ledger: Ledger) -> None:
    ledger.feeds[book.project].epoch = "another"


def a_lost_job(book: Book, ledger: Ledger) -> None:
    lost = Book(title="lost", project="default", type="round-1", how="put", id="lost", born=True)
    ledger.open(lost)


def a_job_that_nobody_made(book: Book, ledger: Ledger) -> None:
    ledger.drop(book)


def a_deleted_job_that_came_back(book: Book, ledger: Ledger) -> None:
    book.gone = True


def a_lost_child(book: Book, ledger: Ledger) -> None:
    child = next(one for one in ledger.books.values() if one.parent == book.id)
    child.parent = None


LIES: dict[Callable[[Book, Ledger], None], str] = {
    a_lost_report: "shown and at least owed",
    a_report_that_nobody_made: "shown and at least owed",
    a_report_counted_twice: "total",
    progress_that_was_lost: "advanced",
    half_an_array: "the rest all or none",
    another_order: "shown and at least owed",
    a_cursor_that_went_back: "was shown",
    a_receipt_from_the_future: "was acknowledged",
    another_state_at_the_same_cursor: "two states of one cursor",
    another_epoch: "epoch was another",
    a_lost_job: "answered 404",
    a_job_that_nobody_made: "listed",
    a_deleted_job_that_came_back: "gone: True",
}


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
async def test_it_finds(lie: Callable[[Book, Ledger], None], scene: Scene) -> None:
    with pytest.raises(Broken, match=LIES[lie]):
        await scene.check(told(scene, lie, scene.book()))


async def test_it_finds_a_lost_child(scene: Scene) -> None:
    with pytest.raises(Broken, match="children"):
        await scene.check(told(scene, a_lost_child, scene.book(alone=False)))


async def test_it_finds_a_finished_job_that_changed(scene: Scene) -> None:
    def changed(book: Book, ledger: Ledger) -> None:
        assert book.final is not None
        facts = {**book.final.facts, "heartbeat_at": "another time"}
        book.final = Seen(book.final.seq, facts)

    with pytest.raises(Broken, match="changed after its end"):
        await scene.check(told(scene, changed, scene.book(finished=True)))


async def test_it_finds_nothing_in_a_true_ledger(scene: Scene) -> None:
    await scene.check(deepcopy(scene.ledger))


def told(scene: Scene, lie: Callable[[Book, Ledger], None], book: Book) -> Ledger:
    ledger = deepcopy(scene.ledger)
    lie(ledger.books[book.title], ledger)
    return ledger


async def test_a_job_that_was_requested_again_is_checked_again() -> None:
    """The second request may have created it, and only the ledger knows."""
    ledger = Ledger()
    book = Book(title="job", project="default", type="t", how="put", id="job")
    ledger.open(book)
    ledger.touched.clear()  # as a check does that did not find it
    with hold_port() as nobody:
        worker = Load(ledger, nobody.getsockname()[1], 1).workers[0]
        worker.asked = book
        worker.start(worker.load.port)
        with pytest.raises(Lost):
            await worker.step()
    assert ledger.touched == {"job"}


def test_a_seq_is_given_once_and_never_from_before_a_restart() -> None:
    ledger = Ledger()
    book = Book(title="job", project="default", type="t", how="put")
    voice = Voice("w0")
    ledger.receipt(book, voice, {"cursor": "e.5"}, new=True)
    ledger.receipt(book, voice, {"cursor": "e.5"}, new=False)
    assert ledger.wrong == []
    ledger.receipt(book, voice, {"cursor": "e.5"}, new=True)
    ledger.restarted()
    ledger.receipt(book, voice, {"cursor": "e.5"}, new=True)
    ledger.receipt(book, voice, {"cursor": "e.4"}, new=False)
    assert [line.partition(": ")[2] for line in ledger.wrong] == [
        "seq 5 was given twice",
        "seq 5 is from before the restart",
        "cursor 4 after 5",
    ]
