"""The changes of other servers, put into the slots."""

from __future__ import annotations

from typing import Any

from livejobs.core.model import Head, Stored
from livejobs.jobs.commit.publishing import Committed, Publisher
from livejobs.jobs.lanes import Lanes
from livejobs.jobs.state import Registry
from livejobs.store.base import Gone
from livejobs.store.news import News


class Reading:
    def __init__(self) -> None:
        self.registry = Registry()
        self.publisher = Publisher(self.registry, Lanes(), "")
        self.publisher.epochs |= {"old": "epoch-of-old", "new": "epoch-of-new"}

    def read(self, project: str, *steps: Stored | Gone) -> list[Committed]:
        jobs = [it for it in steps if isinstance(it, Stored)]
        gone = [it for it in steps if isinstance(it, Gone)]
        upto = max(it.seq for it in steps)
        return self.publisher.news(News(project, jobs, gone, (), upto, whole=True, last=True))


def job(project: str, seq: int, **fields: Any) -> Stored:
    return Stored(Head("j", project, "me", 1, 1, 1, **fields), seq)


def test_an_id_goes_to_another_project_in_whichever_order_that_is_read() -> None:
    for seq in (3, 300):
        for late in (False, True):
            reading = Reading()
            reading.read("old", job("old", 100))
            before = reading.registry.get("j")
            assert before is not None
            told = [] if late else reading.read("old", Gone("j", 101))
            [created] = reading.read("new", job("new", seq))
            told += reading.read("old", Gone("j", 101)) if late else []
            assert (created.before, created.seq) == (None, seq)
            assert [(it.slot, it.before, it.after, it.seq) for it in told] == [
                (before, before.head, None, 101)
            ]
            now = reading.registry.get("j")
            assert now is created.slot
            assert str(now.cursor) == f"epoch-of-new.{seq}"
            assert before.gone
            assert not now.gone
            assert dict(reading.registry.unfinished_of) == {"new": 1}
