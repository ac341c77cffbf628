"""The parameters of the calls."""

from __future__ import annotations

from typing import Final, NamedTuple

from livejobs.core.model import LEVELS, STATUSES
from livejobs.web.documents.schemas import SWITCH, TEXT, Schema, whole


class Parameter(NamedTuple):
    name: str
    schema: Schema
    description: str
    where: str = "query"


LIMIT: Final = Parameter("limit", whole(1, 1000), "At most this many; default 100.")
AFTER: Final = Parameter("after", whole(0, 2**53), "Only entries after this `n`.")
TOKEN: Final = Parameter("token", TEXT, "A token, for clients that can't set headers.")
PROJECT: Final = Parameter("project", TEXT, "Only this project; default: the caller's own.")
FILTERS: Final = (
    PROJECT,
    Parameter("status", TEXT, f"Only jobs in these states: {', '.join(STATUSES)}. Use commas."),
    Parameter("type", TEXT, "Only jobs of this type."),
    Parameter("tag", TEXT, "Only jobs with this tag."),
    Parameter("parent", TEXT, "Only children of this job."),
    Parameter("owner", TEXT, "Only jobs of this owner."),
)
RESUMED: Final = (
    Parameter("since", TEXT, "Resume from this cursor."),
    Parameter(
        "lastEventId",
        TEXT,
        "Same as `since`, for clients that can't set the header. Wins over `since`.",
    ),
    Parameter("Last-Event-ID", TEXT, "Same as `since`. Wins over both.", "header"),
)
STREAMED: Final = (
    Parameter(
        "view", {"enum": ["state", "delta"]}, "`state`: whole jobs. `delta`: only what changed."
    ),
    Parameter("logs", SWITCH, "Send log lines too."),
    Parameter(
        "rate",
        {"type": "number", "minimum": 0.1, "maximum": 60},
        "At most this many messages a second for a job; rounded down to one of 12 rates.",
    ),
    *RESUMED,
)
KNOWN: Final = Parameter(
    "If-None-Match", TEXT, "The `ETag` that you have; 304 while it is current.", "header"
)
POLLED: Final = (
    Parameter("until", {"enum": ["finished"]}, "Wait until the job ends."),
    KNOWN,
    Parameter("Prefer", TEXT, "`wait=N`: wait up to N seconds for a change.", "header"),
)
IDEMPOTENCY: Final = Parameter(
    "Idempotency-Key", TEXT, "A repeated key returns the same job.", "header"
)
LINES: Final = (
    AFTER,
    LIMIT,
    Parameter("level", {"enum": list(LEVELS)}, "Only lines of at least this level."),
)
FETCHED: Final = (
    Parameter("inline", SWITCH, "Show the file in the browser instead of saving it."),
    Parameter("follow", SWITCH, "For a file that grows: keep sending until the job ends."),
    Parameter("Range", TEXT, "Only these bytes.", "header"),
    Parameter("If-Range", TEXT, "Use `Range` only if the file still has this `ETag`.", "header"),
    KNOWN,
)
DIGESTS: Final = (
    Parameter("Repr-Digest", TEXT, "SHA-256 of the file, which the server checks.", "header"),
    Parameter("Content-Digest", TEXT, "Same as `Repr-Digest`.", "header"),
)


def _tus(name: str, schema: Schema, example: str, description: str) -> Parameter:
    return Parameter(name, {**schema, "examples": [example]}, description, "header")


TUS: Final = _tus("Tus-Resumable", {"enum": ["1.0.0"]}, "1.0.0", "Version of tus.")
LENGTH: Final = _tus("Upload-Length", TEXT, "1048576", "Size of the whole file in bytes.")
OFFSET: Final = _tus("Upload-Offset", TEXT, "0", "Where this piece begins.")
METADATA: Final = _tus(
    "Upload-Metadata",
    TEXT,
    "filename ZmlsbS5tcDQ=",
    "`filename` and `filetype`, with values in base64.",
)
