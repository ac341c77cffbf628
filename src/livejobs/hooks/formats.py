"""The formats: how a delivery looks to its receiver, and what the receiver's answer means.

FORMATS is the table. A format is two pure functions: a request from a note, and a verdict from an
answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

import msgspec
from msgspec import Struct

from livejobs.core.hooks import Format, Hook
from livejobs.core.model import Head
from livejobs.hooks import a2a as objects
from livejobs.hooks import signing
from livejobs.hooks.messages import Message, clean, message

JSON: Final = "application/json; charset=utf-8"
encode: Final = msgspec.json.Encoder().encode


class Note(Struct, frozen=True):
    """What a delivery tells."""

    id: str  # the same in every attempt
    event: str
    at: str  # of the change
    job: Mapping[str, Any]  # its head, as clients see it
    hook: Hook
    link: str | None  # to the job's page
    source: str  # the job's address
    ref: str | None  # the receiver's id of the message about this job, to edit it
    head: Head  # the same job


class Request(NamedTuple):
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes  # its beginning


class CannotSend(Exception):
    """The request was not answered. The sentence says why."""


class Verdict(NamedTuple):
    """What an answer means. `error` None: delivered."""

    error: str | None = None
    ref: str | None = None  # the receiver's id of the message
    lost: bool = False  # the message that was to be edited is gone: send a new one
    ended: bool = False  # the receiver wants nothing more


class Shape(NamedTuple):
    request: Callable[[Note, int], Request]  # now, in ms
    verdict: Callable[[Request, Answer], Verdict]
    every: int  # ms between two deliveries of progress


def by_status(request: Request, answer: Answer) -> Verdict:
    if 200 <= answer.status < 300:
        return Verdict()
    if answer.status == 410:
        return Verdict("The receiver answered 410: it wants nothing more.", ended=True)
    if 300 <= answer.status < 400:
        return Verdict(
            f"The receiver redirects with {answer.status}, and only 307 and 308 are followed. "
            "Give the address it leads to."
        )
    return Verdict(f"The receiver answered {answer.status}.")


# Standard Webhooks, CloudEvents


def standard(note: Note, now: int) -> Request:
    body = encode({"type": f"job.{note.event}", "timestamp": note.at, "data": note.job})
    return _signed(note, now, JSON, body)


def cloudevents(note: Note, now: int) -> Request:
    body = encode({
        "specversion": "1.0",
        "id": note.id,
        "source": note.source,
        "type": f"job.{note.event}",
        "subject": note.job["id"],
        "time": note.at,
        "datacontenttype": "application/json",
        "data": note.job,
    })  # fmt: skip
    return _signed(note, now, "application/cloudevents+json; charset=utf-8", body)


def _signed(note: Note, now: int, media_type: str, body: bytes) -> Request:
    signed = signing.headers(note.id, now, body, note.hook.secrets(now))
    return Request("POST", note.hook.url, {"content-type": media_type, **signed}, body)


# Slack


POST_MESSAGE: Final = "/api/chat.postMessage"


def slack_edits(url: str) -> bool:
    """Slack's API can edit a message. An incoming webhook can't."""
    return urlsplit(url).path == POST_MESSAGE


def slack(note: Note, now: int) -> Request:
    said = message(note.event, note.job, note.link)
    url, headers = note.hook.url, {"content-type": JSON}
    body: dict[str, Any] = _slack_body(said)
    if slack_edits(url):
        headers["authorization"] = f"Bearer {note.hook.secret}"
        place, _, query = url.partition("?")
        url = place
        body["channel"] = "".join(parse_qs(query).get("channel", [""])[:1])
        if note.ref is not None:
            url = place.replace("chat.postMessage", "chat.update")
            body["channel"], _, body["ts"] = note.ref.partition(" ")
    return Request("POST", url, headers, encode(body))


_SLACK: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_SLACK_MARKS: Final = str.maketrans(dict.fromkeys("*_~`|", " "))


def _slack_body(said: Message) -> dict[str, Any]:
    title = said.title.translate(_SLACK).translate(_SLACK_MARKS)
    name = f"<{said.link}|{title}>" if said.link else title
    first = f"{said.look.mark} *{name}* {said.look.words}"
    text = "\n".join((first, *(line.translate(_SLACK) for line in said.lines)))
    blocks: list[dict[str, Any]] = [
        {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}
    ]
    if said.facts:
        facts = {"type": "plain_text", "text": " · ".join(said.facts), "emoji": False}
        blocks.append({"type": "context", "elements": [facts]})
    plain = f"{said.look.mark} {said.title} {said.look.words}"
    return {"text": plain.translate(_SLACK), "blocks": blocks, "unfurl_links": False}


def slack_verdict(request: Request, answer: Answer) -> Verdict:
    verdict = by_status(request, answer)
    if verdict.error is not None or "authorization" not in request.headers:
        return verdict
    said = _read(answer.body)
    if said.get("ok") is not True:
        why = clean(str(said.get("error", "no reason")), 60)
        return Verdict(f"Slack refused the message: {why}.", lost=why == "message_not_found")
    return Verdict(ref=f"{said.get('channel', '')} {said.get('ts', '')}"[:100])


# Discord


def discord(note: Note, now: int) -> Request:
    said = message(note.event, note.job, note.link)
    place, _, query = note.hook.url.partition("?")
    if note.ref is None:
        url = f"{place}?{query}{'&' if query else ''}wait=true"
    else:
        url = f"{place}/messages/{note.ref}{'?' if query else ''}{query}"
    body = {"embeds": [_embed(said, note.at)], "allowed_mentions": {"parse": []}}
    method = "POST" if note.ref is None else "PATCH"
    return Request(method, url, {"content-type": JSON}, encode(body))


def _embed(said: Message, at: str) -> dict[str, Any]:
    embed: dict[str, Any] = {
        "title": f"{said.look.mark} {said.title} {said.look.words}",
        "description": "\n".join(map(_undecorated, said.lines)),
        "color": said.look.color,
        "timestamp": at,
    }
    if said.link:
        embed["url"] = said.link
    if said.facts:
        embed["footer"] = {"text": " · ".join(said.facts)}
    return embed


def _undecorated(text: str) -> str:
    """Discord shows a character after a backslash as it is."""
    return "".join(f"\\{it}" if it in r"\*_~`|>[]()#" else it for it in text)


def discord_verdict(request: Request, answer: Answer) -> Verdict:
    if request.method == "PATCH" and answer.status == 404:
        return Verdict("The message is gone.", lost=True)
    verdict = by_status(request, answer)
    if verdict.error is not None:
        return verdict
    id = str(_read(answer.body).get("id", ""))
    return Verdict(ref=id if id.isascii() and id.isdigit() and len(id) < 25 else None)


# ntfy


def ntfy(note: Note, now: int) -> Request:
    """As JSON, since its headers hold no letters beyond Latin. A message with the sequence id of
    another one takes its place (from ntfy 2.16 on)."""
    said = message(note.event, note.job, note.link)
    base, _, topic = note.hook.url.partition("?")[0].rstrip("/").rpartition("/")
    same = sha256(f"{note.hook.id} {note.job['id']} {note.job['created_at']}".encode())
    facts = " · ".join(said.facts)
    body: dict[str, Any] = {
        "topic": topic,
        "title": f"{said.title} {said.look.words}",
        "message": "\n".join((*said.lines, facts) if facts else said.lines) or said.look.words,
        "tags": [said.look.tag],
        "priority": said.look.urgency,
        "sequence_id": same.hexdigest()[:24],
    }
    if said.link:
        body["click"] = said.link
    token = note.hook.secret
    headers = {"content-type": JSON, **({"authorization": f"Bearer {token}"} if token else {})}
    return Request("POST", f"{base}/", headers, encode(body))


# A2A


A2A_TOKEN: Final = "x-a2a-notification-token"  # noqa: S105 - the name of a header


def a2a(note: Note, now: int) -> Request:
    """Only the status: results are entries of the job, which its head does not have."""
    headers = {"content-type": objects.MEDIA_TYPE}
    if note.hook.secret is not None:
        headers[A2A_TOKEN] = note.hook.secret
    if note.hook.authorization is not None:
        headers["authorization"] = note.hook.authorization
    return Request("POST", note.hook.url, headers, encode(objects.status_update(note.head)))


def _read(body: bytes) -> Mapping[str, Any]:
    try:
        said = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


FORMATS: Final[Mapping[Format, Shape]] = {
    "standard": Shape(standard, by_status, 500),
    "cloudevents": Shape(cloudevents, by_status, 500),
    "slack": Shape(slack, slack_verdict, 1_500),  # Slack takes about 50 edits a minute
    "discord": Shape(discord, discord_verdict, 1_000),
    "ntfy": Shape(ntfy, by_status, 5_000),
    "a2a": Shape(a2a, by_status, 500),
}
