"""Messages to the server: what they ask for. A message begins a job, or answers its question."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Struct, UnsetType
from msgspec import Meta as Bound
from msgspec.structs import replace

from livejobs.core import reports as say
from livejobs.core.errors import Invalid, LivejobsError, UnsupportedMediaType
from livejobs.core.hooks import OF_JOB
from livejobs.core.model import Question
from livejobs.core.questions import check_answer
from livejobs.core.reports.rules import check_value
from livejobs.core.wire import encode
from livejobs.faces.a2a.pushes import NAME, PushConfig, asked


class Part(Struct, rename="camel"):
    """One of text and data. Files can't be sent in a message."""

    text: str | None = None
    data: Any | UnsetType = UNSET


class SentMessage(Struct, rename="camel"):
    message_id: Annotated[str, Bound(min_length=1, max_length=200)]
    role: Literal["ROLE_USER"]
    parts: Annotated[list[Part], Bound(min_length=1, max_length=100)]
    context_id: str | None = None
    task_id: str | None = None


class Configuration(Struct, rename="camel"):
    return_immediately: bool | None = None
    task_push_notification_config: PushConfig | None = None


class SendMessageRequest(Struct, rename="camel"):
    message: SentMessage
    configuration: Configuration | None = None


def key_of(message: SentMessage) -> str:
    """The idempotency key of a message that begins a job."""
    return f"a2a:{message.message_id}"


def new_job(sent: SendMessageRequest) -> say.NewJob:
    """The job that a message begins. Its data has the fields, its text is the title."""
    message = sent.message
    fields: dict[str, Any] = {}
    for at, data in data_of(message).items():
        if not isinstance(data, dict):
            raise Invalid.at(at, "Expected an object with the fields of a new job.")
        fields |= data
    text = text_of(message)
    if text and "title" not in fields:
        fields["title"] = text
    if message.context_id:
        if fields.get("project") not in (None, message.context_id):
            raise Invalid.at("/message/contextId", "The project in the data is another one.")
        fields["project"] = message.context_id
    return _with_push(say.decode_new_job(encode(fields)), sent.configuration)


def _with_push(new: say.NewJob, configuration: Configuration | None) -> say.NewJob:
    push = configuration and configuration.task_push_notification_config
    if not push:
        return new
    if len(new.webhooks) >= OF_JOB:
        raise Invalid.at("/configuration", f"A job has at most {OF_JOB} webhooks.")
    return replace(new, webhooks=[*new.webhooks, asked(push, push.id or NAME)])


def data_of(message: SentMessage) -> dict[str, Any]:
    """The data of a message, by where it stands in the body."""
    found = {
        f"/message/parts/{n}/data": part.data
        for n, part in enumerate(message.parts)
        if not isinstance(part.data, UnsetType)
    }
    for at, data in found.items():
        check_value(data, at)
    return found


def text_of(message: SentMessage) -> str:
    """All text of a message. A part of another kind is refused."""
    for part in message.parts:
        if part.text is None and isinstance(part.data, UnsetType):
            raise UnsupportedMediaType(
                "A part has text or data. Upload a file to its task, or send its URL as data."
            )
    return " ".join(part.text for part in message.parts if part.text)


def answer_in(message: SentMessage, question: Question) -> Any:
    """The answer to a question: the data of the message, else its text. If the question wants
    something else than a string, the text may be its JSON."""
    text = text_of(message)
    data = [*data_of(message).values()]
    if len(data) > 1:
        raise Invalid.at("/message/parts", "Expected one part with data: the answer.")
    if data:
        return data[0]
    try:
        check_answer(text, question.schema)
    except Invalid:
        return _as_json(text)
    return text


def _as_json(text: str) -> Any:
    try:
        return say.decode_answer(b'{"value":%b}' % text.encode()).value
    except LivejobsError:
        return text
