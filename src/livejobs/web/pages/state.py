"""A job's state in a word, for places that take no script: the badge and the embedded page."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

from starlette.requests import Request

from livejobs.core.errors import LivejobsError
from livejobs.core.model import Head
from livejobs.core.progress import percent
from livejobs.web import http
from livejobs.web.guard import admit

LONGEST: Final = 60  # characters of a label

Kind: TypeAlias = Literal["waits", "works", "stalled", "good", "bad", "none"]


class State(NamedTuple):
    label: str
    word: str
    kind: Kind
    head: Head | None = None  # None: the request was refused
    error: LivejobsError | None = None


KINDS: Final[dict[str, Kind]] = {
    "queued": "waits",
    "running": "works",
    "succeeded": "good",
    "failed": "bad",
    "cancelled": "none",
}
REFUSED: Final = {
    401: "no access",
    403: "no access",
    404: "not found",
    422: "bad address",
    429: "too many requests",
}


async def state_of(request: Request) -> State:
    """The state, for those who may see the job. A refusal is a state too: what shows this answer
    can't show a problem document."""
    live = http.service(request)
    try:
        by = await admit(live, request.scope, "view", "read")
        head = (await live.find(request.path_params["id"], by)).head
    except LivejobsError as error:
        live.note_refusal(error)
        return refused(error)
    return State(shown(head.title or head.type or head.id) or "job", *_told(head), head)


def refused(error: LivejobsError) -> State:
    return State("job", REFUSED.get(error.status, "unavailable"), "none", None, error)


def _told(head: Head) -> tuple[str, Kind]:
    done = percent(head)
    if head.status != "running":
        return head.status, KINDS[head.status]
    word = "stalled" if head.stalled else "cancelling" if head.cancel_requested else "running"
    kind: Kind = "stalled" if head.stalled else "works"
    return word if done is None else f"{word} {done} %", kind


def shown(text: str) -> str:
    """At most LONGEST characters, without those that are not seen or change the order of others."""
    seen = "".join(char if char.isprintable() else " " for char in text[: 10 * LONGEST])
    seen = " ".join(seen.split())
    return seen if len(seen) <= LONGEST else seen[: LONGEST - 1] + "…"
