"""A stream in the words of a face."""

from __future__ import annotations

from starlette.responses import Response

from livejobs.core.access import Principal
from livejobs.jobs.state import Slot
from livejobs.live.channel import Viewer
from livejobs.live.form import Form
from livejobs.live.frames import FORM
from livejobs.live.hub import Hub
from livejobs.live.options import Options
from livejobs.live.sink import Sink
from livejobs.web.streams.response import EVENTS, Headers, Stream


def follow(
    hub: Hub,
    by: Principal,
    slot: Slot,
    form: Form,
    since: int,
    *,
    hello: bytes,
    headers: Headers = EVENTS,
    seconds: float | None = None,
) -> Response:
    """First `hello`, then the changes after this seq, until the form is over, or for so many
    seconds."""
    options = Options("form", form=form)

    def subscribe(sink: Sink) -> Viewer:
        return hub.watch_job(sink, FORM, slot, options, since, 0)

    return Stream(hub, by, subscribe, hello=hello, wire=FORM, headers=headers, seconds=seconds)
