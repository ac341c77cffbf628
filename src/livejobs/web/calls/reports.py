"""Reports over REST. JSON is read whole: one report, or an array. NDJSON is applied line by line as
it arrives.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from functools import lru_cache, partial
from typing import Final, NoReturn

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope

from livejobs import clock
from livejobs.access.keyring import unauthorized
from livejobs.core import reports as say
from livejobs.core import wire
from livejobs.core.access import Principal
from livejobs.core.errors import FieldError, Invalid, LivejobsError
from livejobs.core.questions import Room
from livejobs.jobs.changes.reporting import LinesReceipt, Receipt
from livejobs.jobs.commit.committer import shutting_down
from livejobs.jobs.commit.outcomes import attempt
from livejobs.jobs.state import Slot
from livejobs.service import LiveJobs
from livejobs.web import http
from livejobs.web.instant import Instant, Offer
from livejobs.web.ready import Answer, Given, answer_of_json

NO_STORE: Final = (b"cache-control", b"no-store")
AT_ONCE: Final = 1000  # lines of a stream in one commit


def plain(scope: Scope) -> bool:
    """Always: the answer depends on nothing that the framework reads."""
    return True


async def report(request: Request) -> Response:
    return Given(await receipt(request.scope, request.receive))


async def receipt(scope: Scope, receive: Receive) -> Answer:
    """Take the reports in the body, and acknowledge them once they are on disk."""
    live: LiveJobs = scope["app"].live
    by: Principal = scope[http.PRINCIPAL]
    slot = await live.find(scope["path_params"]["id"], by)
    if http.takes_lines(scope):
        receipt = await _report_lines(receive, live, slot, by)
    else:
        body = await http.read_body(scope, receive, live.bounds.body)
        reporting = live.reporting
        receipt = await reporting.apply(slot, reporting.decode(body))
    return _acknowledged(receipt)


def _open(offer: Offer, by: Principal) -> Slot | None:
    """The job of whole reports, if it is in memory."""
    try:
        lines = http.once(http.takes_lines, offer.scope)
    except LivejobsError:
        return None
    if lines or len(offer.body) > offer.live.bounds.body:
        return None
    return offer.live.at_hand(offer.parameters["id"], by)


def _take(offer: Offer, slot: Slot) -> None:
    """Acknowledge the reports when they are on disk."""

    reporting = offer.live.reporting
    reporting.put(slot, reporting.decode(offer.body), partial(_acknowledge, offer))


def _acknowledge(offer: Offer, receipt: Receipt | Exception) -> None:
    answer = attempt(_acknowledged, receipt)
    if isinstance(answer, Exception):
        offer.fail(answer)
    else:
        offer.reply.give(answer)


INSTANT: Final = Instant(_open, _take)


def _acknowledged(receipt: Receipt) -> Answer:
    body = wire.encode(receipt)
    empty = _answer_of(len(body))
    return Answer(empty.status, empty.headers, empty.head, body)


@lru_cache  # receipts have few lengths
def _answer_of(length: int) -> Answer:
    return answer_of_json(bytes(length), NO_STORE)


async def _report_lines(receive: Receive, live: LiveJobs, slot: Slot, by: Principal) -> Receipt:
    """Apply lines as they arrive: all complete lines of a chunk are one commit."""
    taken = Lines(live, slot, by)
    rest = bytearray()  # of a line; bytes would be copied with each small piece
    try:
        async for chunk in _pieces(receive, live, taken):
            *lines, begun = chunk.split(b"\n")
            if lines:
                lines[0], rest = bytes(rest) + lines[0], bytearray()
            rest += begun
            for group in _groups(lines):
                await taken.keep(group)
            if len(rest) > live.bounds.body:
                taken.refuse(http.too_large(live.bounds.body, "A line"))
    except ClientDisconnect:
        rest.clear()  # a line cut in the middle does not count
    if rest:
        await taken.keep([bytes(rest)])
    return taken.receipt()


def _groups(lines: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """A question ends a group: questions that are checked together have less room."""
    first = 0
    for at, line in enumerate(lines, 1):
        if at - first == AT_ONCE or b'"ask"' in line:
            yield lines[first:at]
            first = at
    if first < len(lines):
        yield lines[first:]


async def _pieces(receive: Receive, live: LiveJobs, taken: Lines) -> AsyncIterator[bytes]:
    """The body as it arrives, until it ends or the server stops: a worker may keep it open for
    hours."""
    more = True
    while more:
        with live.until_drained() as scope:
            message = await receive()
        if scope.cancelled_caught:
            taken.refuse(shutting_down())
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        yield message.get("body", b"")
        more = message.get("more_body", False)


class Lines:
    """A stream of reports: how many lines came, and how many were kept."""

    def __init__(self, live: LiveJobs, slot: Slot, by: Principal) -> None:
        self._keyring = live.keyring
        self._reporting = live.reporting
        self._bounds = live.bounds
        self._slot = slot
        self._by = by
        self._read = 0  # lines, empty ones too, as an editor counts them
        self._kept = 0
        self._accepted = 0
        self._last: Receipt | None = None

    async def keep(self, lines: Sequence[bytes]) -> None:
        # The credential was valid when the first line came, maybe hours ago.
        if (why := self._keyring.valid(self._by, clock.now_ms())) is not None:
            self.refuse(unauthorized(why, "expired"))
        good, bad = self._decoded(lines)
        if good:
            batch = await self._applied(good)
            self._last = batch.receipt
            self._kept += batch.kept
            self._accepted += batch.receipt.accepted
            if batch.refused is not None:
                filled = [n for n, line in enumerate(lines) if line.strip()]
                self._read += filled[batch.kept]
                self.refuse(batch.refused)
        if bad is not None:
            self.refuse(bad)
        self._read += len(lines)

    async def _applied(self, good: Sequence[say.AnyReport]) -> LinesReceipt:
        """If the disk refuses, none of these lines is applied; earlier lines stay."""
        try:
            return await self._reporting.apply_lines(self._slot, good)
        except LivejobsError as error:
            self.refuse(error)

    def _decoded(self, lines: Sequence[bytes]) -> tuple[list[say.AnyReport], LivejobsError | None]:
        """The reports before the first bad line, and that line's error."""
        if max(map(len, lines)) > self._bounds.body:
            return self._decoded_one_by_one(lines)
        try:
            return say.decode_lines(lines, self._bounds), None
        except LivejobsError:
            return self._decoded_one_by_one(lines)

    def _decoded_one_by_one(
        self, lines: Sequence[bytes]
    ) -> tuple[list[say.AnyReport], LivejobsError | None]:
        good: list[say.AnyReport] = []
        room = Room()
        for number, line in enumerate(lines, self._read + 1):
            if not line.strip():
                continue
            try:
                if len(line) > self._bounds.body:
                    raise http.too_large(self._bounds.body, "A line")
                good.append(say.decode_line(line, self._bounds, room))
            except LivejobsError as error:
                error.extra["line"] = number
                return good, error
        return good, None

    def refuse(self, error: LivejobsError) -> NoReturn:
        # Not changed in place: others whose group the disk refused share these.
        error.extra = {"line": self._read + 1, **error.extra, "kept": self._kept}
        error.headers = {**error.headers, "Connection": "close"}  # the rest is not read
        raise error

    def receipt(self) -> Receipt:
        if self._last is None:
            raise Invalid(
                "The body has no report.", errors=[FieldError("", "Send at least one line.")]
            )
        return msgspec.structs.replace(self._last, accepted=self._accepted)
