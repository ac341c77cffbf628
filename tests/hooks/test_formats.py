"""How messages look to each receiver, and what its answers mean."""

from __future__ import annotations

import json
from typing import Any

import pytest
from a2a.types import StreamResponse, TaskState
from google.protobuf.json_format import ParseDict  # type: ignore[import-untyped]  # it has no types

from livejobs.core import wire
from livejobs.core.cursor import Cursor
from livejobs.core.hooks import FORMATS as NAMES
from livejobs.core.hooks import Book, Format, Hook, events
from livejobs.core.model import Failure, Head, HookRef, Progress, Question
from livejobs.hooks.formats import FORMATS, Answer, Note, Request
from livejobs.hooks.messages import clean, duration, message

URLS: dict[Format, str] = {
    "discord": "https://discord.com/api/webhooks/1/secret?thread_id=5",
    "ntfy": "https://ntfy.example/topics/builds",
    "slack": "https://hooks.slack.com/services/T/B/x",
}
EDITED = "https://slack.com/api/chat.postMessage?channel=C1"


def head(**fields: Any) -> Head:
    facts = {"created_at": 0, "updated_at": 60_000, "queued_at": 0, "title": "Teaser", **fields}
    return Head("j1", "films", "key:ci", **facts)


RUNNING = head(
    status="running", started_at=1_000, progress=Progress(None, 420, 1000, "frames", "Pass 2")
)
FAILED = head(
    status="failed", started_at=1_000, completed_at=193_000, error=Failure("Out of memory")
)


def note(
    format: Format, head: Head, event: str = "progress", ref: str | None = None, **hook: Any
) -> Note:
    fields = {"url": URLS.get(format, "https://a.example/in"), "secret": "whsec_" + "A" * 32}
    made = Hook("wh_1", "films", **(fields | hook), events=("progress",), format=format,
                created_at=0, by="key:ci")  # fmt: skip
    job = wire.fields(head, Cursor("e", 7))
    link = "https://jobs.example/jobs/j1"
    at = "2026-01-01T00:00:00.000Z"
    return Note("msg_1", event, at, job, made, link, "/v1/jobs/j1", ref, head)


def sent(format: Format, head: Head, **how: Any) -> tuple[Request, Any]:
    request = FORMATS[format].request(note(format, head, **how), 1_700_000_000_000)
    return request, json.loads(request.body)


def test_every_format_of_the_contract_is_in_the_table() -> None:
    assert set(FORMATS) == set(NAMES)


def test_a_message_says_title_state_progress_and_question() -> None:
    said = message("progress", wire.fields(RUNNING, Cursor("e", 7)), None)
    assert (said.title, said.look.words) == ("Teaser", "is running")
    assert said.lines == ("▰▰▰▰▰▱▱▱▱▱▱▱ 42 % · 420 of 1000 frames · Pass 2",)
    asks = head(status="running", waiting=Question(1, "Publish it?", 0))
    said = message("waiting", wire.fields(asks, Cursor("e", 7)), None)
    assert (said.look.words, said.lines) == ("needs an answer", ("Publish it?",))


def test_a_message_says_what_went_wrong_and_how_long_it_took() -> None:
    said = message("failed", wire.fields(FAILED, Cursor("e", 7)), None)
    assert said.look.words == "has failed"
    assert said.lines == ("Out of memory",)
    assert said.facts == ("took 3 min 12 s",)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"), (0.25, "250 ms"), (1, "1 s"), (60, "1 min"), (61, "1 min 1 s"),
        (3_600, "1 h"), (3_661, "1 h 1 min"), (86_400 * 2 + 3_600, "2 d 1 h"),
    ],
)  # fmt: skip
def test_durations_have_their_two_largest_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_texts_of_workers_can_not_change_how_the_rest_is_shown() -> None:
    assert clean("a\u202eb\x1b[2J\r\nc\u2028d\0", 99) == "a b [2J c d"
    assert clean("x" * 500, 10) == "x" * 9 + "…"
    evil = head(title="<!channel> *b* <https://x|y> @everyone [a](b)", status="running")
    _, slack = sent("slack", evil)
    text = slack["blocks"][0]["text"]["text"]
    assert "<!channel>" not in text
    assert "&lt;!channel&gt;  b" in text
    _, discord = sent("discord", evil)
    assert discord["allowed_mentions"] == {"parse": []}


def test_slack_gets_a_link_a_bar_and_a_fallback() -> None:
    request, body = sent("slack", RUNNING)
    assert (request.method, request.url) == ("POST", URLS["slack"])
    assert "<https://jobs.example/jobs/j1|Teaser>" in body["blocks"][0]["text"]["text"]
    assert "42 %" in body["blocks"][0]["text"]["text"]
    assert body["text"] == "🔵 Teaser is running"
    assert "authorization" not in request.headers


def test_slack_edits_its_message_where_the_api_can() -> None:
    bot = {"url": EDITED, "secret": "xoxb-1"}
    request, body = sent("slack", RUNNING, **bot)
    assert request.url == "https://slack.com/api/chat.postMessage"
    assert (body["channel"], request.headers["authorization"]) == ("C1", "Bearer xoxb-1")
    verdict = FORMATS["slack"].verdict
    good = verdict(request, Answer(200, {}, b'{"ok":true,"channel":"C9","ts":"1.2"}'))
    assert (good.error, good.ref) == (None, "C9 1.2")
    request, body = sent("slack", RUNNING, ref="C9 1.2", **bot)
    assert request.url == "https://slack.com/api/chat.update"
    assert (body["channel"], body["ts"]) == ("C9", "1.2")
    assert verdict(request, Answer(200, {}, b'{"ok":false,"error":"message_not_found"}')).lost
    bad = verdict(request, Answer(200, {}, b'{"ok":false,"error":"invalid_auth"}'))
    assert (bad.error, bad.lost) == ("Slack refused the message: invalid_auth.", False)
    for odd in (b"", b"[]", b"\xff", b"[" * 5000):
        assert verdict(request, Answer(200, {}, odd)).error is not None


def test_discord_edits_its_message() -> None:
    request, body = sent("discord", FAILED, event="failed")
    assert (request.method, request.url) == (
        "POST", "https://discord.com/api/webhooks/1/secret?thread_id=5&wait=true",
    )  # fmt: skip
    [embed] = body["embeds"]
    assert embed["title"] == "❌ Teaser has failed"
    assert embed["description"] == "Out of memory"
    assert embed["url"] == "https://jobs.example/jobs/j1"
    verdict = FORMATS["discord"].verdict
    assert verdict(request, Answer(200, {}, b'{"id":"123"}')).ref == "123"
    assert verdict(request, Answer(200, {}, b'{"id":"../x"}')).ref is None
    request, _ = sent("discord", RUNNING, ref="123")
    assert (request.method, request.url) == (
        "PATCH", "https://discord.com/api/webhooks/1/secret/messages/123?thread_id=5",
    )  # fmt: skip
    assert verdict(request, Answer(404, {}, b"")).lost


def test_ntfy_gets_json_that_replaces_the_message_before() -> None:
    request, body = sent("ntfy", RUNNING, secret="tk_1")
    assert request.url == "https://ntfy.example/topics/"
    assert (body["topic"], body["title"]) == ("builds", "Teaser is running")
    assert "42 %" in body["message"]
    assert body["click"] == "https://jobs.example/jobs/j1"
    assert request.headers["authorization"] == "Bearer tk_1"
    _, later = sent("ntfy", FAILED, event="failed", secret=None)
    assert later["sequence_id"] == body["sequence_id"]
    assert later["priority"] == 4


def test_a2a_gets_the_status_as_the_official_types_read_it() -> None:
    secrets: dict[str, Any] = {"secret": "t0k", "authorization": "Bearer c"}
    request, body = sent("a2a", RUNNING, **secrets)
    assert (request.method, request.url) == ("POST", "https://a.example/in")
    assert request.headers == {
        "content-type": "application/a2a+json",
        "x-a2a-notification-token": "t0k",
        "authorization": "Bearer c",
    }
    read = ParseDict(body, StreamResponse())
    assert read.WhichOneof("payload") == "status_update"
    update = read.status_update
    assert (update.task_id, update.context_id) == ("j1", "films")
    assert update.status.state == TaskState.TASK_STATE_WORKING
    assert update.status.message.parts[0].text == "42 % · 420 of 1000 frames · Pass 2"
    assert dict(update.metadata)["percent"] == 42
    request, body = sent("a2a", FAILED, event="failed", secret=None)
    assert set(request.headers) == {"content-type"}
    assert body["statusUpdate"]["status"]["state"] == "TASK_STATE_FAILED"
    assert body["statusUpdate"]["status"]["message"]["parts"] == [{"text": "Out of memory"}]


@pytest.mark.parametrize("status", [301, 302, 307, 400, 404, 429, 500, 503])
def test_other_answers_are_failures(status: int) -> None:
    request, _ = sent("standard", RUNNING)
    verdict = FORMATS["standard"].verdict(request, Answer(status, {}, b""))
    assert verdict.error is not None
    assert str(status) in verdict.error
    assert not verdict.ended


# Which events a change causes


QUEUED = head(status="queued")


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, QUEUED, ["created"]),
        (QUEUED, RUNNING, ["started", "progress"]),
        (RUNNING, RUNNING, []),
        (QUEUED, head(status="succeeded", started_at=1, completed_at=1), ["started", "finished"]),
        (QUEUED, head(status="cancelled", completed_at=1), ["finished", "cancelled"]),
        (RUNNING, FAILED, ["finished", "failed"]),
        (head(status="running"), head(status="running", stalled=True), ["stalled"]),
        (head(status="running", stalled=True), head(status="running", stalled=True, tags=("a",)),
         []),
        (head(status="running"), head(status="running", waiting=Question(1, "?", 0)), ["waiting"]),
        (head(status="running", started_at=1), head(status="running", started_at=2, attempt=2),
         ["started"]),
        (RUNNING, head(status="running", started_at=1_000,
                       progress=Progress(None, 420, 1000, "frames", "Pass 2", rate=9.0)), []),
    ],
)  # fmt: skip
def test_events_follow_from_two_heads(
    before: Head | None, after: Head, expected: list[str]
) -> None:
    assert [*events(before, after)] == expected


def test_a_person_reads_one_message_for_a_change() -> None:
    refs = tuple(HookRef(id, ("finished", "failed"), "r", id == "chat") for id in ("app", "chat"))
    own = head(status="failed", completed_at=1, hooks=refs)
    calls = [(it.hook, it.event) for it in Book().calls(RUNNING, own)]
    assert calls == [("app", "finished"), ("app", "failed"), ("chat", "failed")]
