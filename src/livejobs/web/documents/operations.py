"""Every call of the REST API: what it takes, and what it answers."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from livejobs.core.history import RANGES
from livejobs.core.model import FLAGS
from livejobs.core.reports import AnyReport, NewAnswer, NewJob
from livejobs.web.calls.admin import NewKey, NewToken
from livejobs.web.calls.jobs import CancelMany
from livejobs.web.calls.webhooks import NewWebhook, Rotation
from livejobs.web.documents.parameters import (
    AFTER,
    DIGESTS,
    FETCHED,
    FILTERS,
    IDEMPOTENCY,
    KNOWN,
    LENGTH,
    LIMIT,
    LINES,
    METADATA,
    OFFSET,
    POLLED,
    PROJECT,
    RESUMED,
    STREAMED,
    TUS,
    Parameter,
)
from livejobs.web.documents.schemas import (
    CANCELLED,
    DELIVERY,
    ENTRY,
    FILE,
    HOOK,
    HOOKS,
    LISTED_FILES,
    NEXT,
    READY,
    SESSION,
    STATS,
    SWITCH,
    TESTED,
    TEXT,
    Schema,
    entries,
    listed,
    ref,
    whole,
)
from livejobs.web.files.calls import Attach
from livejobs.web.files.resumable import PIECE
from livejobs.web.pages.badge import STYLES
from livejobs.web.pages.embed import THEMES


class Operation(NamedTuple):
    method: str
    path: str
    summary: str
    good: dict[int, Schema | str | None]  # a schema of JSON, another media type, or no body
    parameters: tuple[Parameter, ...] = ()
    body: Any = None  # the struct that decodes it
    optional: bool = False  # the body
    errors: tuple[int, ...] = ()  # besides those of every route
    example: Any = None  # of the body


STREAM: Final = "text/event-stream"
SVG: Final = "image/svg+xml"
HTML: Final = "text/html"
BYTES: Final = "application/octet-stream"
ANY: Final = "*/*"  # a file comes with its own media type

OPERATIONS: Final = (
    Operation("get", "/v1/jobs", "List jobs, newest first", {
        200: listed("jobs", ref("Job"), {"type": ["string", "null"]}, counts={"type": "object"}),
    }, (*FILTERS, Parameter("q", TEXT, "Part of an id or title; at least 3 characters."),
        Parameter("flag", {"enum": list(FLAGS)}, "Only jobs with this flag."), LIMIT,
        Parameter("after", TEXT, "`next` of the previous page."),
        Parameter("skip", whole(0, 1_000_000), "Leave out the newest N jobs.")), errors=(400,)),
    Operation("post", "/v1/jobs", "Create a job", {201: ref("Job"), 200: ref("Job")},
              (IDEMPOTENCY,), NewJob, True, (409, 503), {"title": "Teaser", "type": "render"}),
    Operation("get", "/v1/jobs/{id}", "Get a job", {200: ref("Job"), 304: None},
              (*POLLED, *STREAMED)),
    Operation("put", "/v1/jobs/{id}", "Create a job unless it exists",
              {201: ref("Job"), 200: ref("Job")}, (), NewJob, True, (409, 503),
              {"title": "Teaser"}),
    Operation("delete", "/v1/jobs/{id}", "Delete a finished job", {204: None}, errors=(409, 503)),
    Operation("post", "/v1/jobs/{id}/reports", "Report on a job", {200: ref("Receipt")},
              (), AnyReport, errors=(409, 503),
              example={"type": "progress", "percent": 42}),
    Operation("post", "/v1/jobs/{id}/cancel", "Cancel a job", {202: ref("Job")},
              (Parameter("force", SWITCH, "End it now, without its worker."),), errors=(409, 503)),
    Operation("post", "/v1/jobs/{id}/answer", "Answer what a job waits for", {202: ref("Job")},
              (), NewAnswer, errors=(409, 503), example={"n": 1, "value": True}),
    Operation("post", "/v1/cancel", "Cancel many jobs", {200: CANCELLED}, (), CancelMany,
              errors=(503,), example={"jobs": ["teaser", "trailer"]}),
    Operation("get", "/v1/jobs/{id}/logs", "List log lines",
              {200: entries("logs"), 204: None},
              (*LINES, Parameter("tail", whole(1, 1000), "Only the last N lines."),
               Parameter("follow", SWITCH, "As text: keep sending until the job ends."), *RESUMED)),
    Operation("get", "/v1/jobs/{id}/results", "List results", {200: entries("results")},
              (AFTER, LIMIT)),
    Operation("get", "/v1/jobs/{id}/errors", "List errors of single items",
              {200: entries("errors")}, (AFTER, LIMIT)),
    Operation("get", "/v1/jobs/{id}/events", "Stream a job", {200: STREAM, 204: None},
              (*STREAMED, Parameter("tail", whole(0, 1000), "Begin with the last N log lines."))),
    Operation("get", "/jobs/{id}/badge.svg", "Get a picture of a job's state",
              {**dict.fromkeys((200, 401, 403, 404, 422, 429, 503), SVG), 304: None},
              (Parameter("label", TEXT, "Default: the job's title."),
               Parameter("style", {"enum": list(STYLES)}, "Default: flat."), KNOWN)),
    Operation("get", "/jobs/{id}/embed", "Get a page with a job, for a frame in another page",
              dict.fromkeys((200, 401, 403, 404, 422, 429, 503), HTML),
              (Parameter("theme", {"enum": list(THEMES)}, "Default: the reader's own."),
               Parameter("compact", SWITCH, "Show the job in one line."))),
    Operation("get", "/v1/events", "Stream many jobs", {200: STREAM},
              (*FILTERS, Parameter("jobs", TEXT, "Only these ids, with commas between."), *STREAMED,
               LIMIT)),
    Operation("get", "/v1/jobs/{id}/audit", "List who did what to a job",
              {200: listed("acts", ENTRY, NEXT)},
              (LIMIT, Parameter("before", whole(1, 2**53), "Only records before this `n`."))),
    Operation("get", "/v1/jobs/{id}/files", "List files, with download counts",
              {200: LISTED_FILES}),
    Operation("post", "/v1/jobs/{id}/files", "Attach an existing file",
              {201: FILE, 200: FILE}, (), Attach, errors=(409, 503),
              example={"name": "out.mp4", "url": "https://cdn.example/out.mp4"}),
    Operation("get", "/v1/jobs/{id}/files/{name}", "Download a file",
              {200: ANY, 206: ANY, 302: None, 304: None}, FETCHED, errors=(412, 416, 503)),
    Operation("put", "/v1/jobs/{id}/files/{name}", "Upload or replace a file",
              {201: FILE, 200: FILE}, DIGESTS, BYTES, errors=(409, 503)),
    Operation("get", "/v1/jobs/{id}/files.zip", "Download all files as a zip",
              {200: "application/zip"}, errors=(503,)),
    Operation("get", "/v1/jobs/{id}/download", "Download the first file of a succeeded job",
              {200: ANY, 206: ANY, 302: None, 304: None}, FETCHED, errors=(409, 412, 416, 503)),
    Operation("post", "/v1/jobs/{id}/uploads", "Begin a resumable upload (tus 1.0)", {201: None},
              (TUS, LENGTH, METADATA), errors=(409, 412, 413, 503)),
    Operation("options", "/v1/jobs/{id}/uploads", "Get the tus options", {204: None}),
    Operation("head", "/v1/jobs/{id}/uploads/{upload}", "Get the offset of an upload", {200: None},
              (TUS,), errors=(409, 412, 423, 503)),
    Operation("patch", "/v1/jobs/{id}/uploads/{upload}", "Resume an upload", {204: None},
              (TUS, OFFSET), PIECE, errors=(409, 412, 423, 503)),
    Operation("delete", "/v1/jobs/{id}/uploads/{upload}", "Cancel an upload", {204: None}, (TUS,),
              errors=(409, 412, 423)),
    Operation("post", "/v1/jobs/{id}/uploads/{upload}", "Use HEAD, PATCH or DELETE by POST",
              {200: None, 204: None},
              (TUS, Parameter("X-HTTP-Method-Override", {"enum": ["HEAD", "PATCH", "DELETE"]},
                              "The method to use.", "header")), PIECE,
              errors=(405, 409, 412, 423, 503)),
    Operation("options", "/v1/jobs/{id}/uploads/{upload}", "Get the tus options", {204: None}),
    Operation("post", "/v1/tokens", "Create a short-lived token", {201: {"type": "object"}}, (),
              NewToken, True, example={"jobs": ["teaser"], "ttl_seconds": 900}),
    Operation("get", "/v1/session", "Get the rights of the credential", {200: SESSION}),
    Operation("post", "/v1/session", "Log in: get the cookie of a browser, or renew it",
              {200: SESSION}),
    Operation("delete", "/v1/session", "Log out: remove the cookie", {204: None}),
    Operation("get", "/v1/keys", "List keys", {200: {"type": "object"}}),
    Operation("post", "/v1/keys", "Create a key, shown only once", {201: {"type": "object"}}, (),
              NewKey, errors=(409, 503),
              example={"name": "ci", "scopes": ["report"], "projects": ["films"]}),
    Operation("delete", "/v1/keys/{id}", "Revoke a key", {204: None}, errors=(503,)),
    Operation("get", "/v1/audit", "List audit records", {200: listed("acts", ENTRY, NEXT)},
              (LIMIT, Parameter("before", whole(1, 2**53), "Only records before this `n`."))),
    Operation("get", "/v1/webhooks", "List webhooks of a project, or of a job", {200: HOOKS},
              (PROJECT, Parameter("job", TEXT, "Those of this job instead.")), errors=(404,)),
    Operation("post", "/v1/webhooks", "Create a webhook of a project", {201: HOOK}, (), NewWebhook,
              errors=(409, 503),
              example={"url": "https://hooks.example/jobs", "events": ["finished"]}),
    Operation("get", "/v1/webhooks/{id}", "Get a webhook", {200: HOOK}),
    Operation("delete", "/v1/webhooks/{id}", "Remove a webhook", {204: None}, errors=(503,)),
    Operation("post", "/v1/webhooks/{id}/rotate", "Replace the secret of a webhook", {200: HOOK},
              (), Rotation, True, (503,)),
    Operation("post", "/v1/webhooks/{id}/test", "Send a test to a webhook", {200: TESTED}),
    Operation("get", "/v1/webhooks/{id}/deliveries", "List deliveries of a webhook, newest first",
              {200: listed("deliveries", DELIVERY, NEXT)},
              (LIMIT, Parameter("before", whole(1, 2**53), "Only deliveries before this `n`."))),
    Operation("post", "/v1/webhooks/{id}/deliveries/{n}/replay", "Deliver once more", {202: None},
              errors=(409, 503)),
    Operation("get", "/v1/projects", "List the projects that the credential may see",
              {200: {"type": "object"}}),
    Operation("get", "/v1/stats", "Get counts of jobs over time", {200: STATS, 304: None},
              (PROJECT, Parameter("range", {"enum": list(RANGES)}, "Default: hour."), KNOWN)),
    Operation("get", "/metrics", "Get metrics for Prometheus", {200: "text/plain"}),
    Operation("get", "/healthz", "Check that the process answers", {200: {"type": "object"}}),
    Operation("get", "/readyz", "Check that the server takes reports",
              {200: READY, 503: READY}),
)  # fmt: skip

# Groups of operations, by path; the first match counts.
TAGS: Final = (
    ("Live", r"/events$|^/jobs/"),
    ("Files", r"^/v1/jobs/.*/(files|download|uploads)"),
    ("Jobs", r"^/v1/(jobs|cancel)"),
    ("Webhooks", r"^/v1/webhooks"),
    ("Access", r"^/v1/(tokens|session|keys|audit)"),
    ("Server", r"^/(healthz|readyz|metrics|v1/stats|v1/projects)"),
    ("Other APIs", ""),
)
ORDER: Final = ("Jobs", "Live", "Files", "Webhooks", "Access", "Server", "Other APIs")

PUBLIC: Final = frozenset({"/healthz", "/readyz"})


def tag_of(path: str) -> str:
    return next(tag for tag, pattern in TAGS if re.search(pattern, path))


_NAMES: Final = str.maketrans({"/": "_", ":": "_", "{": "", "}": ""})


def operation_id(method: str, path: str) -> str:
    return method + path.translate(_NAMES)
