"""The changes of a job, as A2A streams them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import msgspec

from livejobs.core.model import Head
from livejobs.core.wire import encode
from livejobs.faces.a2a.tasks import result_of
from livejobs.faces.given import ResultLine
from livejobs.hooks import a2a
from livejobs.live.form import Form, Step


def asks_or_over(head: Head) -> bool:
    return head.finished or head.waiting is not None


def is_over(head: Head) -> bool:
    return head.finished


@lru_cache(maxsize=8)  # viewers with the same form share each message
def form_of(origin: str, *, asks: bool) -> Form:
    """`asks`: the job waits for an answer as the stream begins. Such a stream does not end there:
    its client would only ask again."""

    def change(step: Step) -> bytes:
        return b"".join(map(event, a2a.updates(
            step.before,
            step.head,
            [result_of(msgspec.json.decode(it.value, type=ResultLine)) for it in step.entries],
            f"{origin}{step.base}",
        )))  # fmt: skip

    return Form(change, frozenset({"results"}), over=is_over if asks else asks_or_over)


def event(response: Any) -> bytes:
    data = encode(response)
    for separator, escaped in ESCAPED:
        data = data.replace(separator, escaped)
    return b"data: " + data + b"\n\n"


# The official client in Python ends a line at these too, which events do not.
ESCAPED: Final = [(it.encode(), b"\\u%04x" % ord(it)) for it in "\x85\u2028\u2029"]
