"""A job's queue, before any I/O: what to send next, and what each answer means for the queue.

The laws: numbers rise in sending order; a request that was not answered is sent again byte for
byte; a record leaves the queue only when the server has acknowledged or refused it, or when memory
and disk are both full. Nothing here sends, sleeps, locks, or reads a clock.

The queue has three parts, oldest first: the head in memory, a gap that is only on disk, and a tail
in memory. The tail is used only while there is a gap.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, Final, Literal, NamedTuple

from livejobs.client.plain import encode
from livejobs.client.sending.joined import Joined

BATCH: Final = 1000  # reports in a request: the server's own limit
BYTES: Final = 512 * 1024  # of a request: half the server's limit
KEEP: Final = 1024 * 1024  # bytes kept in memory of what is on disk, to be sent next
OVERHEAD: Final = 200  # bytes that a record takes in memory beside its body
MISSING: Final = 12  # answers "no such job" before a job that others create is given up

ENDS: Final = frozenset({"succeed", "fail", "cancelled"})
HEARTBEAT: Final = b'{"type":"heartbeat"}'


class Record(NamedTuple):
    """A numbered report."""

    n: int
    kind: str
    body: bytes


class Request(NamedTuple):
    kind: Literal["create", "reports", "heartbeat"]
    body: bytes
    records: tuple[Record, ...] = ()


class Answer(NamedTuple):
    """What came back. Status 0: nothing, for the reason in `error`."""

    status: int
    said: Mapping[str, Any] = {}
    retry_after: float | None = None
    error: str = ""

    @property
    def reason(self) -> str:
        errors = self.said.get("errors")
        first = errors[0] if isinstance(errors, list) and errors else {}
        pointer = first.get("pointer", "") if isinstance(first, dict) else ""
        detail = str(self.said.get("detail") or self.error or f"HTTP status {self.status}")
        return f"{detail} (at {pointer})" if pointer else detail

    @property
    def path(self) -> tuple[str, ...]:
        """Where the server points to, as the tokens of a JSON pointer."""
        errors = self.said.get("errors")
        first = errors[0] if isinstance(errors, list) and errors else None
        pointer = first.get("pointer") if isinstance(first, dict) else None
        return tuple(str(pointer).split("/")[1:]) if pointer else ()


class Verdict(Enum):
    """When to send this job's next request."""

    GO = "as usual"
    AGAIN = "this job later"
    AWAY = "every job later: the server does not answer, or has no room"
    SLOWLY = "every job much later: a person has to mend it"
    OVER = "never: the job takes no more reports"


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
        self.bytes = 0  # in memory
        self.ended = False  # the end is in the queue, or has gone
        self.over = False  # nothing more is sent
        self.resting = False  # back in the queue: a heartbeat would start the job again
        self.acked = 0  # the highest number that the server has answered for
        self.spooled = 0  # what is on disk reaches up to this number
        self.dropped = 0  # log lines and more, for want of room: not yet told
        self.sent = self.refused = self.lost = 0  # records, in all
        self.news: list[News] = []
        self._creation = creation
        self._attached = attached
        self._known = False  # the server has answered for this job
        self._missing = 0
        self._inherited = False
        self._suffix = b',"producer":"%b","n":%%d}' % producer.encode()
        self._n = 0
        self._most = BATCH  # records in the next request
        self._head: deque[Record] = deque()
        self._gap: tuple[int, int] | None = None
        self._tail: deque[Record] = deque()
        self._flight: Request | None = None

    @classmethod
    def inherited(
        cls, producer: str, creation: Mapping[str, Any] | None, first: int, last: int
    ) -> Outbox:
        """The queue of a process that has gone: all of it is on disk, and nothing is added."""
        box = cls(producer, creation, attached=True)
        box._n = box.spooled = last
        box._gap = (first, last) if first <= last else None
        box._inherited = True
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
        (self._tail if self._gap else self._head).append(record)
        self.bytes += _size(record)

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
        return bool(self._head or self._gap or self._tail) or self._creation is not None

    @property
    def unanswered(self) -> bool:
        return not self.over and (self.pending or self._flight is not None)

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
        return len(self._head) >= self._most or self._gap is not None

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
            return Request("reports", body, tuple(records))
        alive = heartbeat and not (self.ended or self.resting)
        return Request("heartbeat", HEARTBEAT) if alive else None

    def _batch(self) -> list[Record]:
        # Joined reports are newest: they may take a number only when all others go with them.
        if not (self._gap or self._tail or self.ended) and len(self._head) < self._most:
            self._settle()
        records: list[Record] = []
        size = 0
        while self._head and len(records) < self._most:
            size += len(self._head[0].body) + 1
            if records and size > BYTES:
                break
            records.append(self._head.popleft())
        return records

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
        self.bytes -= sum(map(_size, request.records))
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
        waiting = len(self._head) + len(self._tail)
        waiting += len(self._flight.records) if self._flight else 0
        self.refused += waiting
        if waiting:
            text += f" {waiting} reports are dropped, and all later ones."
        self._tell(key, text)
        self.over = True
        self._flight = self._creation = self._gap = None
        self._head.clear()
        self._tail.clear()
        self.joined.take()
        self.bytes = 0
        self.acked = self._n
        return Verdict.OVER

    def _invalid(self, request: Request, answer: Answer) -> Verdict:
        """Some of it is wrong: drop that, and send the rest."""
        if request.kind == "create":
            return self._creation_refused(answer)
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
        self._head.extendleft(reversed(records))

    def _drop(self, records: tuple[Record, ...], wrong: int, answer: Answer) -> None:
        bad = records[wrong]
        self._tell(
            f"{answer.status}:{bad.kind}",
            f"The server refuses a report of type {bad.kind!r}: {answer.reason}",
        )
        self._flight = None
        self._most = BATCH
        self.bytes -= _size(bad)
        rest = [*records[:wrong], *self._instead(bad), *records[wrong + 1 :]]
        self._head.extendleft(reversed(rest))
        if not self.unanswered:
            self.acked = bad.n

    def _instead(self, bad: Record) -> list[Record]:
        """An end that is refused is sent without what it carries: the job must end."""
        bare = _bare(bad.kind)[:-1] + self._suffix % bad.n if bad.kind in ENDS else bad.body
        if bad.body == bare:
            self.refused += 1
            return []
        kept = Record(bad.n, bad.kind, bare)
        self.bytes += _size(kept)
        return [kept]

    def _creation_refused(self, answer: Answer) -> Verdict:
        """Begin with less: without the wrong field, else with the type alone, else with nothing."""
        creation = self._creation or {}
        wrong = answer.path[0] if answer.path else ""
        rest = {name: value for name, value in creation.items() if name != wrong}
        bare = {name: value for name, value in creation.items() if name == "type"}
        smaller = [fewer for fewer in (rest, bare, {}) if len(fewer) < len(creation)]
        if not smaller:
            return self._forbidden_create(answer)
        self._tell(f"create:{wrong}", f"The server refuses how the job begins: {answer.reason}")
        self._flight = None
        self._creation = smaller[0]
        return Verdict.GO

    def _forbidden_create(self, answer: Answer) -> Verdict:
        return self._stop("refused", f"The server refuses this job: {answer.reason}")

    def _other(self, request: Request, answer: Answer) -> Verdict:
        """Nothing is known of what was sent, so it is sent again."""
        if answer.status in AWAY:
            return Verdict.AWAY
        if answer.status >= 500:
            return Verdict.AGAIN
        return Verdict.SLOWLY

    def _tell(self, key: str, text: str) -> None:
        self.news.append(News(key, text))

    # What is kept on disk

    @property
    def first(self) -> int:
        """The lowest number that is not answered for yet."""
        return self.acked + 1

    @property
    def through(self) -> int:
        """Everything up to this number is answered for: acknowledged, refused, or dropped."""
        last = self._n  # before looking at the rest: a record may come in between
        return self.acked if self.unanswered else last

    def settle(self) -> None:
        """Before the process lets go of the queue: what was joined is kept as well."""
        if not (self.ended or self.over):
            self._settle()

    def unspooled(self) -> list[Record]:
        """What is not on disk yet, oldest first."""
        flight = self._flight.records if self._flight else ()
        memory = (*flight, *self._head, *self._tail)
        return [record for record in memory if record.n > self.spooled]

    def written(self, n: int) -> None:
        """All up to this number is on disk."""
        self.spooled = n

    def shed(self) -> None:
        """Let go of what is on disk, but for what is sent next."""
        part = self._tail if self._gap else self._head
        kept = deque[Record]() if self._gap else self._first_of(part)
        first = last = 0
        while part and part[0].n <= self.spooled:
            record = part.popleft()
            self.bytes -= _size(record)
            first, last = first or record.n, record.n
        if self._gap:
            self._gap = (self._gap[0], last or self._gap[1])
        elif first:
            self._head, self._gap, self._tail = kept, (first, last), part
        else:
            part.extendleft(reversed(kept))

    def _first_of(self, part: deque[Record]) -> deque[Record]:
        kept: deque[Record] = deque()
        room = KEEP
        while part and part[0].n <= self.spooled and room > 0:
            room -= _size(part[0])
            kept.append(part.popleft())
        return kept

    def missing(self) -> int | None:
        """The number from which to read back what is on disk, when it is needed."""
        return self._gap[0] if self._gap and not self._head else None

    def refill(self, records: Sequence[Record]) -> None:
        """What was read back, from `missing` on. Nothing: the disk has lost the rest."""
        assert self._gap is not None
        last = self._gap[1]
        back = [record for record in records if record.n <= last]
        # Nobody waits for the answers to what a process asked that has gone.
        kept = [record for record in back if not (self._inherited and record.kind == "ask")]
        self._head.extend(kept)
        self.bytes += sum(map(_size, kept))
        if not back or back[-1].n >= last:
            self._gap = None
            self._head.extend(self._tail)
            self._tail.clear()
        else:
            self._gap = (back[-1].n + 1, last)

    def drop(self, bound: int) -> None:
        """The disk refuses: where memory is full, drop the oldest log lines, then the oldest of
        the rest. What is on its way cannot be dropped, so nothing else is dropped for it."""
        bound += sum(map(_size, self._flight.records)) if self._flight else 0
        if self.bytes <= bound:
            return
        goal = bound * 3 // 4  # more than needed, so that it is not done again for each line
        for may_go in (_is_log, _is_no_end):
            for part in (self._head, self._tail):
                if self.bytes > goal:
                    self._drop_from(part, goal, may_go)

    def _drop_from(self, part: deque[Record], goal: int, may_go: Callable[[Record], bool]) -> None:
        for record in [part.popleft() for _ in range(len(part))]:
            if self.bytes > goal and may_go(record):
                self.bytes -= _size(record)
                self.dropped += 1
                self.lost += 1
            else:
                part.append(record)


# No answer, a timeout, "too early", "too many", and a proxy in front of a server that is away.
AWAY: Final = frozenset({0, 408, 425, 429, 502, 503, 504})

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


def culprit(count: int, answer: Answer) -> int | None:
    """The index of the report that is wrong, of so many in the request. None: some of them, or all
    of them together."""
    if count == 1:
        return 0
    token = answer.path[0] if answer.path else ""
    if answer.status == 413 or not token.isdecimal() or int(token) >= count:
        return None
    return int(token)


def _bare(kind: str) -> bytes:
    said = {"message": "The job failed. The server refused the details."} if kind == "fail" else {}
    return encode({"type": kind, **said})


def _size(record: Record) -> int:
    return len(record.body) + OVERHEAD


def _is_log(record: Record) -> bool:
    return record.kind == "log"


def _is_no_end(record: Record) -> bool:
    return record.kind not in ENDS
