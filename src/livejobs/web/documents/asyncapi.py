"""What streams and sockets say, as an AsyncAPI 3 document.

A client's messages are described by the structs that read them; the server's by tables here, to
which a test holds what is really sent. The server speaks: `send` is what a client hears.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from livejobs.core.model import LEVELS
from livejobs.core.reports import AnyReport
from livejobs.web import http
from livejobs.web.documents.openapi import (
    FILTERS,
    JOB,
    STREAMED,
    TEXT,
    TOKEN,
    Parameter,
    Schema,
    portable,
    ref,
    whole,
)
from livejobs.web.streams.socket import Auth, Ping, Subscribe, Unsubscribe

ID: Final[Schema] = {"type": ["integer", "string", "null"]}
ENTRY: Final[Schema] = {
    "type": "object", "required": ["n", "at"], "properties": {"n": whole(1), "at": TEXT},
}  # fmt: skip
LINE: Final[Schema] = {
    "type": "object",
    "required": ["n", "at", "level", "message"],
    "properties": {"n": whole(1), "at": TEXT, "level": {"enum": list(LEVELS)},
                   "source": {"type": ["string", "null"]}, "message": TEXT, "job": TEXT},
}  # fmt: skip


def many(item: Schema) -> Schema:
    return {"type": "array", "items": item}


def shape(**members: Schema) -> Schema:
    return {"type": "object", "required": list(members), "properties": members}


ENTRIES: Final[Schema] = {
    "type": "object",
    "properties": {
        "results": many(ref("Entry")), "errors": many(ref("Entry")), "logs": many(ref("Line")),
    },
    "additionalProperties": False,
}  # fmt: skip
DELTA: Final = shape(job=TEXT, cursor=TEXT, set={"type": "object"}, append=ENTRIES)
GONE: Final = shape(job=TEXT, cursor=TEXT)
REASON: Final = shape(reason=TEXT)
NOTHING: Final[Schema] = {"type": "object", "maxProperties": 0}

# By the event's name: what it says, its data, whether it has an id (the cursor).
EVENTS: Final[Mapping[str, tuple[str, Schema, bool]]] = {
    "message": ("The whole job; in feeds its head. view=state", ref("Job"), True),
    "logs": ("Log lines. view=state with logs=1", many(ref("Line")), True),
    "snapshot": ("The whole job, to begin with. view=delta", ref("Job"), True),
    "delta": ("What changed: assign `set`, extend with `append`. view=delta", DELTA, True),
    "gone": ("The job was deleted.", GONE, True),
    "ready": ("A feed's opening jobs have all been told.", shape(cursor=TEXT), True),
    "end": ("A finished job's last word; the stream closes.", NOTHING, True),
    "reset": ("The cursor can't be continued from; the state follows.", REASON, False),
    "ping": ("Every 15 seconds.", NOTHING, False),
    "bye": ("The server ends the stream, and why.", REASON, False),
}
ALL_JOBS_ONLY: Final = frozenset({"ready"})  # in feeds
ONE_JOB_ONLY: Final = frozenset({"end"})

# By `op`: what it says, and its members beside that.
SAID: Final[Mapping[str, tuple[str, dict[str, Schema]]]] = {
    "ack": ("Done; to a report with its receipt.", {"id": ID}),
    "snapshot": ("The whole job, to begin with. view=delta", {"id": ID, "job": ref("Job")}),
    "delta": ("What changed: assign `set`, extend with `append`. view=delta",
              {"id": ID, **DELTA["properties"]}),
    "state": ("The whole job; in feeds its head. view=state", {"id": ID, "job": ref("Job")}),
    "logs": ("Log lines. view=state with logs",
             {"id": ID, "cursor": TEXT, "logs": many(ref("Line"))}),
    "gone": ("The job was deleted.", {"id": ID, **GONE["properties"]}),
    "ready": ("A feed's opening jobs have all been told.", {"id": ID, "cursor": TEXT}),
    "end": ("A finished job's last word; the subscription is over.", {"id": ID, "cursor": TEXT}),
    "reset": ("The cursor can't be continued from; the state follows.",
              {"id": ID, "reason": TEXT}),
    "error": ("A message was refused.", {"id": ID, "code": TEXT, "detail": TEXT}),
    "pong": ("Answers a client's ping.", {"id": ID}),
    "ping": ("Every 15 seconds; needs no answer.", {}),
    "bye": ("The server ends the connection, and why.", {"reason": TEXT}),
}  # fmt: skip

HEARD: Final = {
    "subscribe": (Subscribe, "Watch a job or a feed: give one of `job` and `feed`."),
    "unsubscribe": (Unsubscribe, "Watch it no more."),
    "report": (AnyReport, "Say how a job is doing; as in the REST API, all or nothing."),
    "auth": (Auth, "A credential: the first, or a fresh one in place of what will expire."),
    "ping": (Ping, "Answered by pong."),
}


def document(version: str) -> dict[str, Any]:
    read, schemas = msgspec.json.schema_components(
        [reader for reader, _ in HEARD.values()], ref_template="#/components/schemas/{name}"
    )
    payloads = dict(zip(HEARD, read, strict=True))
    payloads["report"] = _report(payloads["report"])
    messages = {
        **{f"event_{name}": _event(name) for name in EVENTS},
        **{f"said_{op}": _said(op) for op in SAID},
        **{f"heard_{op}": _message(op, HEARD[op][1], payloads[op]) for op in HEARD},
    }  # fmt: skip
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "livejobs",
            "version": version,
            "description": "Jobs, live: Server-Sent Events, and the WebSocket protocol "
            "livejobs.v1. The REST API is in openapi.json.",
        },
        "defaultContentType": "application/json",
        "channels": {
            "jobEvents": _channel("/v1/jobs/{id}/events", "A job, live (SSE).",
                                  _events(ALL_JOBS_ONLY)),
            "feedEvents": _channel("/v1/events", "Many jobs, live (SSE).",
                                   _events(ONE_JOB_ONLY)),
            "socket": _socket("/v1/ws", "Many subscriptions and reports on one connection."),
            "jobSocket": _socket("/v1/jobs/{id}", "The same, subscribed to the job as id 0."),
        },
        "operations": {
            "watchJob": _operation("send", "jobEvents", STREAMED),
            "watchFeed": _operation("send", "feedEvents", (*FILTERS, *STREAMED)),
            "speak": _operation("send", "socket", of="said"),
            "listen": _operation("receive", "socket", of="heard"),
            "speakOfJob": _operation("send", "jobSocket", of="said"),
            "listenOnJob": _operation("receive", "jobSocket", of="heard"),
        },
        "components": {
            "messages": messages,
            "schemas": portable(schemas) | {"Job": JOB, "Entry": ENTRY, "Line": LINE},
        },
    }  # fmt: skip


def _message(name: str, says: str, payload: Schema) -> dict[str, Any]:
    return {"name": name, "title": name, "summary": says, "payload": portable(payload)}


def _event(name: str) -> dict[str, Any]:
    says, data, has_id = EVENTS[name]
    fields = {"event": {"const": name}} | ({"id": TEXT} if has_id else {})
    required = [it for it in fields if it == "id" or name != "message"]
    headers = {"type": "object", "properties": fields, "required": required}
    return {**_message(name, says, data), "headers": headers}


def _said(op: str) -> dict[str, Any]:
    says, members = SAID[op]
    return _message(op, says, shape(op={"const": op}, **members))


def _report(report: Schema) -> Schema:
    """What reads it puts off reading the reports themselves."""
    report = {**report, "discriminator": "type"}  # in OpenAPI an object, here a name
    reports = {"anyOf": [report, {**many(report), "minItems": 1}]}
    return shape(op={"const": "report"}, id=ID, job=TEXT, reports=reports)


def _events(but: frozenset[str]) -> list[str]:
    return [f"event_{name}" for name in EVENTS if name not in but]


def _channel(address: str, says: str, messages: list[str]) -> dict[str, Any]:
    channel: dict[str, Any] = {
        "address": address,
        "summary": says,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
    }
    if "{id}" in address:
        channel["parameters"] = {"id": {"description": "Which job."}}
    return channel


def _socket(address: str, says: str) -> dict[str, Any]:
    messages = [f"said_{op}" for op in SAID] + [f"heard_{op}" for op in HEARD]
    query = _query(() if "{id}" not in address else STREAMED)
    binding = {"method": "GET", "query": query, "bindingVersion": "0.1.0"}
    return {**_channel(address, says, messages), "bindings": {"ws": binding}}


def _operation(
    action: str, channel: str, parameters: tuple[Parameter, ...] = (), *, of: str = ""
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
    }
    if of:
        table: Mapping[str, Any] = SAID if of == "said" else HEARD
        operation["messages"] = [
            {"$ref": f"#/channels/{channel}/messages/{of}_{op}"} for op in table
        ]
    else:
        binding = {"method": "GET", "query": _query(parameters), "bindingVersion": "0.3.0"}
        operation["bindings"] = {"http": binding}
    return operation


def _query(parameters: tuple[Parameter, ...]) -> Schema:
    """The address's own parameters."""
    asked = {
        parameter.name: {**parameter.schema, "description": parameter.says}
        for parameter in (*parameters, TOKEN)
        if parameter.where == "query"
    }
    return {"type": "object", "properties": asked}


async def asyncapi(request: Request) -> Response:
    body: bytes = request.app.state.asyncapi
    return http.JSONBytes(body, 200, {"cache-control": "public, max-age=3600"})
