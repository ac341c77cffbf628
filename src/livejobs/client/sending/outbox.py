"""A job's queue, before any I/O: what to send next, and what each answer means for the queue.

The laws: numbers rise in sending order; a request that was not answered is sent again byte for
byte; a record leaves the queue only when the server has acknowledged or refused it, or when memory
and disk are both full. Nothing here sends, sleeps, locks, or reads a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from livejobs.client.plain import encode
from livejobs.client.sending.exchange import (
    AWAY,
    BATCH,
    ENDS,
    Answer,
    Record,
    Request,
    Verdict,
    culprit,
)
from livejobs.client.sending.joined import Joined
from livejobs.client.sending.waiting import Waiting

MISSING: Final = 12  # answers "no such job" before a job that others create is given up

HEARTBEAT: Final = b'{"type":"heartbeat"}'


class News(NamedTuple):
    """Something to log. `key`: the same thing is logged once."""

    key: str
    text: str


class Outbox:
    def __init__(
        self, producer: str, creation: Mapping[str, Any] | None, *, attached: bool = False
    ) -> None:
        """`creation`: what to create the job with before anything else. `attached`: the job is
        somebody else's, who may not have created it yet."""
        self.producer = producer
        self.joined = Joined()
        self.waiting = Waiting()
        self.ended = False  # the end is in the queue, or has gone
        self.over = False  # nothing more is sent
        self.resting = False  # back in the queue: a heartbeat would start the job again
        self.acked = 0  # the highest number that the server has answered for
        self.dropped = 0  # log lines and more, for want of room: not yet told
        self.sent = self.refused = self.lost = 0  # records, in all
        self.news: list[News] = []
        self._creation = creation
        self._attached = attached
        self._known = False  # the server has answered for this job
        self._missing = 0
        self._suffix = b',"producer":"%b","n":%%d}' % producer.encode()
        self._n = 0
        self._most = BATCH  # records in the next request
        self._flight: Request | None = None

    @classmethod
    def inherited(
        cls, producer: str, creation: Mapping[str, Any] | None, first: int, last: int
    ) -> Outbox:
        """The queue of a process that has gone: all of it is on disk, and nothing is added."""
        box = cls(producer, creation, attached=True)
        box._n = last
        box.waiting = Waiting((first, last) if first <= last else None)
        box.ended = True
        return box

    # What the job says

    def put(self, kind: str, body: bytes) -> None:
        """An entry, in order after all others. After the end, nothing is taken."""
        if self.ended or self.over:
            return
        if kind in ENDS or kind == "retry":  # progress after a retry would start the job again
            self._settle()
        self.ended = kind in ENDS
        self._push(kind, body)

    def put_step(self, name: str, said: Mapping[str, Any]) -> None:
        """A step's status, with the progress of that step that was joined until now."""
        if not (self.ended or self.over):
            self._push("step", encode({**self.joined.take_step(name), **said}))

    def _push(self, kind: str, body: bytes) -> None:
        self._n += 1
        self.resting = kind == "retry"
        record = Record(self._n, kind, body[:-1] + self._suffix % self._n)
        self.waiting.put(record)

    def _settle(self) -> None:
        """What was joined takes its place in the queue, and its numbers."""
        if self.dropped:
            lines, self.dropped = self.dropped, 0
            text = f"livejobs dropped {lines} reports here: memory and disk were full."
            self._push("log", encode({"type": "log", "message": text, "level": "warning"}))
        for kind, said in self.joined.take():
            self._push(kind, encode(said))

    # What is sent

    @property
    def idle(self) -> bool:
        """Whether there is nothing to send."""
        if self.over:
            return True
        unsaid = not self.ended and (self.joined or self.dropped)
        return not (self._flight or self.pending or unsaid)

    @property
    def pending(self) -> bool:
        """Whether something waits that must not be lost, the request on its way aside."""
        return bool(self.waiting) or self._creation is not None

    @property
    def unanswered(self) -> bool:
        return not self.over and (self.pending or self._flight is not None)

    @property
    def bytes(self) -> int:
        """In memory."""
        return self.waiting.bytes

    @property
    def creation(self) -> Mapping[str, Any] | None:
        return self._creation

    @property
    def last(self) -> int:
        """The highest number given."""
        return self._n

    @property
    def backlog(self) -> bool:
        """Whether more than one request waits, so that a pause would join nothing."""
        return not self.waiting.fits(self._most)

    def next(self, *, heartbeat: bool = False) -> Request | None:
        """What to send now. Until it is answered, the same again."""
        if self.over:
            return None
        if self._flight is None:
            self._flight = self._frozen(heartbeat)
        return self._flight

    def _frozen(self, heartbeat: bool) -> Request | None:
        if self._creation is not None:
            return Request("create", encode(self._creation))
        if records := self._batch():
            body = b"[" + b",".join(record.body for record in records) + b"]"
            return Request("reports", body, records)
        alive = heartbeat and not (self.ended or self.resting)
        return Request("heartbeat", HEARTBEAT) if alive else None

    def _batch(self) -> tuple[Record, ...]:
        # Joined reports are newest: they may take a number only when all others go with them.
        if not self.ended and self.waiting.fits(self._most):
            self._settle()
        return self.waiting.take(self._most)

    # What was answered

    def answered(self, answer: Answer) -> Verdict:
        """What the answer to `next()` means. The queue has changed accordingly."""
        request = self._flight
        if request is None:
            return Verdict.GO
        if 200 <= answer.status < 300:
            return self._acknowledged(request)
        return _ANSWERS.get(answer.status, Outbox._other)(self, request, answer)

    def _acknowledged(self, request: Request) -> Verdict:
        self._known, self._missing = True, 0
        if request.kind == "create":
            self._creation = None
        self._flight = None
        self._most = BATCH
        self.sent += len(request.records)
        self.waiting.acknowledged()
        if request.records:
            self.acked = request.records[-1].n
        return Verdict.GO

    def _finished(self, request: Request, answer: Answer) -> Verdict:
        if answer.said.get("code") != "job_finished":
            return self._forbidden(request, answer)
        return self._stop("finished", f"The job has ended elsewhere: {answer.reason}")

    def _forbidden(self, request: Request, answer: Answer) -> Verdict:
        return self._stop("refused", f"The server refuses this job: {answer.reason}")

    def _absent(self, request: Request, answer: Answer) -> Verdict:
        """The job of another process may be on its way; a job that was there is gone."""
        self._missing += 1
        if self._attached and not self._known and self._missing < MISSING:
            return Verdict.AGAIN
        return self._forbidden(request, answer)

    def _stop(self, key: str, text: str) -> Verdict:
        waiting = self.waiting.clear()
        self.refused += waiting
        if waiting:
            text += f" {waiting} reports are dropped, and all later ones."
        self._tell(key, text)
        self.over = True
        self._flight = self._creation = None
        self.joined.take()
        self.acked = self._n
        return Verdict.OVER

    def _invalid(self, request: Request, answer: Answer) -> Verdict:
        """Some of it is wrong: drop that, and send the rest."""
        if request.kind == "create":
            return self._creation_refused(request, answer)
        records = request.records
        if not records:  # a heartbeat says nothing that could be wrong
            return self._forbidden(request, answer)
        wrong = culprit(len(records), answer)
        if wrong is None:
            self._halve(records)
        else:
            self._drop(records, wrong, answer)
        return Verdict.GO

    def _halve(self, records: tuple[Record, ...]) -> None:
        self._flight = None
        self._most = max(1, len(records) // 2)
        self.waiting.put_back(records)

    def _drop(self, records: tuple[Record, ...], wrong: int, answer: Answer) -> None:
        bad = records[wrong]
        self._tell(
            f"{answer.status}:{bad.kind}",
            f"The server refuses a report of type {bad.kind!r}: {answer.reason}",
        )
        self._flight = None
        self._most = BATCH
        self.waiting.put_back([*records[:wrong], *self._instead(bad), *records[wrong + 1 :]])
        if not self.unanswered:
            self.acked = bad.n

    def _instead(self, bad: Record) -> list[Record]:
        """An end that is refused is sent without what it carries: the job must end."""
        bare = _bare(bad.kind)[:-1] + self._suffix % bad.n if bad.kind in ENDS else bad.body
        if bad.body == bare:
            self.refused += 1
            return []
        return [Record(bad.n, bad.kind, bare)]

    def _creation_refused(self, request: Request, answer: Answer) -> Verdict:
        """Begin with less: without the wrong field, else with the type alone, else with nothing."""
        creation = self._creation or {}
        wrong = answer.path[0] if answer.path else ""
        rest = {name: value for name, value in creation.items() if name != wrong}
        bare = {name: value for name, value in creation.items() if name == "type"}
        smaller = [fewer for fewer in (rest, bare, {}) if len(fewer) < len(creation)]
        if not smaller:
            return self._forbidden(request, answer)
        self._tell(f"create:{wrong}", f"The server refuses to create the job: {answer.reason}")
        self._flight = None
        self._creation = smaller[0]
        return Verdict.GO

    def _other(self, request: Request, answer: Answer) -> Verdict:
        """Nothing is known of what was sent, so it is sent again."""
        if answer.status in AWAY:
            return Verdict.AWAY
        if answer.status >= 500:
            return Verdict.AGAIN
        return Verdict.SLOWLY

    def _tell(self, key: str, text: str) -> None:
        self.news.append(News(key, text))

    # What may be let go of

    @property
    def through(self) -> int:
        """Everything up to this number is answered for: acknowledged, refused, or dropped."""
        last = self._n  # before looking at the rest: a record may come in between
        return self.acked if self.unanswered else last

    def settle(self) -> None:
        """Before the process lets go of the queue: what was joined is kept as well."""
        if not (self.ended or self.over):
            self._settle()

    def drop(self, bound: int) -> None:
        """The disk refuses, and memory holds more bytes than this."""
        dropped = self.waiting.drop(bound)
        self.dropped += dropped
        self.lost += dropped


# What each answer means. 2xx is an acknowledgement; the rest is decided by `_other`.
_ANSWERS: Final[Mapping[int, Callable[[Outbox, Request, Answer], Verdict]]] = {
    400: Outbox._invalid,
    403: Outbox._forbidden,
    404: Outbox._absent,
    409: Outbox._finished,
    410: Outbox._forbidden,
    413: Outbox._invalid,
    422: Outbox._invalid,
}


def _bare(kind: str) -> bytes:
    said = {"message": "The job failed. The server refused the details."} if kind == "fail" else {}
    return encode({"type": kind, **said})
