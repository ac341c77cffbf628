"""The streams and the WebSocket protocol as an AsyncAPI 3 document.

The structs that decode a client's messages also describe them. Tables here describe the server's
messages; a test compares them with what the server sends. The document takes the server's side:
`send` is what a client receives.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from livejobs.core.model import LEVELS
from livejobs.core.reports import AnyReport
from livejobs.jobs.changes.reporting import Receipt
from livejobs.web import http
from livejobs.web.documents.descriptions import DESCRIPTIONS
from livejobs.web.documents.parameters import FILTERS, STREAMED, TOKEN, Parameter
from livejobs.web.documents.schemas import (
    EVENT,
    JOB,
    TEXT,
    Schema,
    portable,
    ref,
    whole,
)
from livejobs.web.streams.protocol import Auth, Ping, Subscribe, Unsubscribe

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

# By event name: a summary, the data, and whether it has an id (the cursor).
EVENTS: Final[Mapping[str, tuple[str, Schema, bool]]] = {
    "message": ("The whole job; in feeds, its head. For view=state.", ref("Job"), True),
    "logs": ("Log lines. For view=state with logs=1.", many(ref("Line")), True),
    "snapshot": ("The whole job, at the start. For view=delta.", ref("Job"), True),
    "delta": ("What changed: assign `set`, extend with `append`. For view=delta.", DELTA, True),
    "trimmed": (
        "So many of the oldest lines were removed. Only in streams of a log alone.",
        shape(logs=whole(1)),
        False,
    ),
    "gone": ("The job was deleted.", GONE, True),
    "ready": ("The feed has sent all its opening jobs.", shape(cursor=TEXT), True),
    "end": ("The last message of a finished job. The stream then closes.", NOTHING, True),
    "reset": ("The server can't resume from the cursor. The whole state follows.", REASON, False),
    "ping": ("Sent every 15 seconds.", NOTHING, False),
    "bye": ("The server ends the stream, for this `reason`.", REASON, False),
}
ALL_JOBS_ONLY: Final = frozenset({"ready"})  # in feeds
ONE_JOB_ONLY: Final = frozenset({"end", "trimmed"})

# By `op`: a summary, and the other members.
SERVER_MESSAGES: Final[Mapping[str, tuple[str, dict[str, Schema]]]] = {
    "ack": ("The message was accepted. For a report, with its receipt.", {"id": ID}),
    "snapshot": ("The whole job, at the start. For view=delta.", {"id": ID, "job": ref("Job")}),
    "delta": ("What changed: assign `set`, extend with `append`. For view=delta.",
              {"id": ID, **DELTA["properties"]}),
    "state": ("The whole job; in feeds, its head. For view=state.", {"id": ID, "job": ref("Job")}),
    "logs": ("Log lines. For view=state with logs.",
             {"id": ID, "cursor": TEXT, "logs": many(ref("Line"))}),
    "gone": ("The job was deleted.", {"id": ID, **GONE["properties"]}),
    "ready": ("The feed has sent all its opening jobs.", {"id": ID, "cursor": TEXT}),
    "end": ("The last message of a finished job. The subscription then ends.",
            {"id": ID, "cursor": TEXT}),
    "reset": ("The server can't resume from the cursor. The whole state follows.",
              {"id": ID, "reason": TEXT}),
    "error": ("A message was refused.", {"id": ID, "code": TEXT, "detail": TEXT}),
    "pong": ("The answer to a client's ping.", {"id": ID}),
    "ping": ("Sent every 15 seconds. Needs no answer.", {}),
    "bye": ("The server closes the connection, for this `reason`.", {"reason": TEXT}),
}  # fmt: skip

CLIENT_MESSAGES: Final = {
    "subscribe": (Subscribe, "Subscribe to a job or a feed: send either `job` or `feed`."),
    "unsubscribe": (Unsubscribe, "End a subscription."),
    "report": (AnyReport, "Report on a job. As in the REST API, all reports are kept, or none."),
    "auth": (Auth, "Send a credential: the first one, or a new one before the old one expires."),
    "ping": (Ping, "Ask for a pong."),
}


def document(version: str) -> dict[str, Any]:
    payload_list, schemas = msgspec.json.schema_components(
        [*(struct for struct, _ in CLIENT_MESSAGES.values()), Receipt],
        ref_template="#/components/schemas/{name}",
    )
    payloads = dict(zip(CLIENT_MESSAGES, payload_list, strict=False))
    payloads["report"] = _report(payloads["report"])
    messages = {
        **{f"event_{name}": _event(name) for name in EVENTS},
        **{f"server_{op}": _from_server(op) for op in SERVER_MESSAGES},
        "server_ack": _ack(schemas.pop(Receipt.__name__)),
        "webhook": _webhook(),
        **{
            f"client_{op}": _message(op, CLIENT_MESSAGES[op][1], payloads[op])
            for op in CLIENT_MESSAGES
        },
    }  # fmt: skip
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "livejobs",
            "version": version,
            "description": "Live jobs over Server-Sent Events and the WebSocket protocol "
            "livejobs.v1. openapi.json describes the REST API.",
        },
        "defaultContentType": "application/json",
        "channels": {
            "jobEvents": _channel("/v1/jobs/{id}/events", "Stream a job (SSE).",
                                  _events(ALL_JOBS_ONLY)),
            "feedEvents": _channel("/v1/events", "Stream many jobs (SSE).",
                                   _events(ONE_JOB_ONLY)),
            "socket": _socket("/v1/ws", "Many subscriptions and reports on one connection."),
            "jobSocket": _socket("/v1/jobs/{id}", "The same, subscribed to this job as id 0."),
            "webhook": {
                "address": None,  # the receiver's URL
                "summary": "Events of jobs, sent by POST to the URL of a webhook.",
                "messages": {"webhook": {"$ref": "#/components/messages/webhook"}},
            },
        },
        "operations": {
            "watchJob": _operation("send", "jobEvents", STREAMED),
            "watchFeed": _operation("send", "feedEvents", (*FILTERS, *STREAMED)),
            "sendMessages": _operation("send", "socket", sender="server"),
            "receiveMessages": _operation("receive", "socket", sender="client"),
            "sendJobMessages": _operation("send", "jobSocket", sender="server"),
            "sendWebhook": {
                "action": "send",
                "channel": {"$ref": "#/channels/webhook"},
                "bindings": {"http": {"method": "POST", "bindingVersion": "0.3.0"}},
            },
            "receiveJobMessages": _operation("receive", "jobSocket", sender="client"),
        },
        "components": {
            "messages": messages,
            "schemas": portable(schemas) | {"Job": JOB, "Entry": ENTRY, "Line": LINE},
        },
    }  # fmt: skip


def _message(name: str, summary: str, payload: Schema) -> dict[str, Any]:
    return {"name": name, "title": name, "summary": summary, "payload": portable(payload)}


def _event(name: str) -> dict[str, Any]:
    summary, data, has_id = EVENTS[name]
    fields = {"event": {"const": name}} | ({"id": TEXT} if has_id else {})
    required = [it for it in fields if it == "id" or name != "message"]
    headers = {"type": "object", "properties": fields, "required": required}
    return {**_message(name, summary, data), "headers": headers}


def _from_server(op: str) -> dict[str, Any]:
    summary, members = SERVER_MESSAGES[op]
    return _message(op, summary, shape(op={"const": op}, **members))


def _webhook() -> dict[str, Any]:
    """As the format `standard` sends it."""
    headers = shape(**{f"webhook-{name}": TEXT for name in ("id", "timestamp", "signature")})
    return {**_message("webhook", "An event of a job.", EVENT), "headers": headers}


def _ack(receipt: Schema) -> dict[str, Any]:
    """With the receipt's members, which only a report's has."""
    ack = _from_server("ack")
    members = portable(receipt["properties"])
    for name, description in DESCRIPTIONS["Receipt"].items():
        members[name]["description"] = description
    ack["payload"]["properties"] |= members
    return ack


def _report(report: Schema) -> Schema:
    """Spelled out here, because the struct leaves the reports undecoded."""
    report = {**report, "discriminator": "type"}  # in OpenAPI an object, here a name
    reports = {"anyOf": [report, {**many(report), "minItems": 1}]}
    return shape(op={"const": "report"}, id=ID, job=TEXT, reports=reports)


def _events(but: frozenset[str]) -> list[str]:
    return [f"event_{name}" for name in EVENTS if name not in but]


def _channel(address: str, summary: str, messages: list[str]) -> dict[str, Any]:
    channel: dict[str, Any] = {
        "address": address,
        "summary": summary,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
    }
    if "{id}" in address:
        channel["parameters"] = {"id": {"description": "The job's id."}}
    return channel


def _socket(address: str, summary: str) -> dict[str, Any]:
    messages = [f"server_{op}" for op in SERVER_MESSAGES]
    messages += [f"client_{op}" for op in CLIENT_MESSAGES]
    query = _query(() if "{id}" not in address else STREAMED)
    binding = {"method": "GET", "query": query, "bindingVersion": "0.1.0"}
    return {**_channel(address, summary, messages), "bindings": {"ws": binding}}


def _operation(
    action: str, channel: str, parameters: tuple[Parameter, ...] = (), *, sender: str = ""
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
    }
    if sender:
        table: Mapping[str, Any] = SERVER_MESSAGES if sender == "server" else CLIENT_MESSAGES
        operation["messages"] = [
            {"$ref": f"#/channels/{channel}/messages/{sender}_{op}"} for op in table
        ]
    else:
        binding = {"method": "GET", "query": _query(parameters), "bindingVersion": "0.3.0"}
        operation["bindings"] = {"http": binding}
    return operation


def _query(parameters: tuple[Parameter, ...]) -> Schema:
    """The parameters of the query, without headers."""
    properties = {
        parameter.name: {**parameter.schema, "description": parameter.description}
        for parameter in (*parameters, TOKEN)
        if parameter.where == "query"
    }
    return {"type": "object", "properties": properties}


async def asyncapi(request: Request) -> Response:
    body = await request.app.state.asyncapi.body()
    return http.JSONBytes(body, 200, {"cache-control": "public, max-age=3600"})
