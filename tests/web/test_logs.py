"""The log of a job as text and as events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

from tests.support.api import Api
from tests.web.sent import LOG, SUCCEED, TEXT


def test_logs_are_lines_for_clients_that_accept_text(api: Api, spoken: str) -> None:
    answer = api.get(f"/v1/jobs/{spoken}/logs", headers=TEXT)
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text == "".join(f"line {n}\n" for n in range(1, 251))
    answer = api.get(f"/v1/jobs/{spoken}/logs?after=2&limit=3&level=warning", headers=TEXT)
    assert answer.text == "line 3\nline 6\nline 7\n"
    answer = api.get(f"/v1/jobs/{spoken}/logs?tail=2", headers=TEXT)
    assert answer.text == "line 249\nline 250\n"


def test_text_moves_no_terminal(api: Api, id: str) -> None:
    nasty = "a\x1b[31mred\x07\r\tb\x9b2J\u202etxt.exe\u2066\x00"
    api.report(id, {**LOG, "message": nasty}, SUCCEED)
    answer = api.get(f"/v1/jobs/{id}/logs", headers=TEXT)
    assert answer.text == "a\\x1b[31mred\\x07\\x0d\tb\\x9b2J\\u202etxt.exe\\u2066\\x00\n"
    assert api.get(f"/v1/jobs/{id}/logs").json()["logs"][0]["message"] == nasty


def test_a_message_forges_no_second_line_and_no_order(api: Api, id: str) -> None:
    api.report(id, {**LOG, "message": "a\u2028b\u2029c\x85d\u200ee\u200ff\u061cg"}, SUCCEED)
    answer = api.get(f"/v1/jobs/{id}/logs", headers=TEXT)
    assert answer.text == "a\\u2028b\\u2029c\\x85d\\u200ee\\u200ff\\u061cg\n"


def test_text_is_followed_until_the_job_ends(api: Api, id: str) -> None:
    api.report(id, {**LOG, "message": "first"})
    with api.stream("GET", f"/v1/jobs/{id}/logs?follow=1", headers=TEXT) as answer:
        lines = answer.iter_lines()
        assert next(lines) == "first"
        api.report(id, {**LOG, "message": "second"})
        assert next(lines) == "second"
        api.report(id, {**LOG, "message": "last"}, SUCCEED)
        assert [*lines] == ["last"]


class Event(NamedTuple):
    event: str
    id: str
    data: str


def log_events(api: Api, id: str, query: str = "", **headers: str) -> Iterator[Event]:
    headers = {"accept": "text/event-stream"} | headers
    with api.stream("GET", f"/v1/jobs/{id}/logs{query}", headers=headers) as answer:
        said: dict[str, str] = {}
        for line in answer.iter_lines():
            if line:
                name, _, value = line.partition(": ")
                said[name] = value
            else:
                yield Event(said["event"], said.get("id", ""), said["data"])
                said = {}


def messages(event: Event) -> list[str]:
    return [line["message"] for line in json.loads(event.data)]


def test_logs_come_as_events_until_the_job_ends(api: Api, id: str) -> None:
    api.report(id, {**LOG, "message": "first"}, {**LOG, "message": "second"})
    events = log_events(api, id)
    told = next(events)
    assert (told.event, messages(told)) == ("logs", ["first", "second"])
    assert told.id == api.job(id)["cursor"]
    api.report(id, {**LOG, "message": "third"})
    assert messages(next(events)) == ["third"]
    api.report(id, {**LOG, "message": "last"}, SUCCEED)
    rest = list(events)
    assert [line for event in rest[:-1] for line in messages(event)] == ["last"]
    assert (rest[-1].event, rest[-1].id) == ("end", api.job(id)["cursor"])
    again = api.get(
        f"/v1/jobs/{id}/logs",
        headers={"accept": "text/event-stream", "last-event-id": rest[-1].id},
    )
    assert again.status_code == 204


def test_a_full_page_of_log_lines_is_sent_at_once(api: Api, id: str) -> None:
    events = log_events(api, id)
    api.report(id, {**LOG, "message": "first"})
    assert messages(next(events)) == ["first"]
    api.report(id, *[{**LOG, "message": str(n)} for n in range(1000)])
    assert len(messages(next(events))) == 1000
    assert len(messages(next(log_events(api, id, "?tail=1000")))) == 1000


def test_log_events_go_on_after_any_of_their_ids(api: Api, id: str) -> None:
    for n in range(20):  # some changes larger than what is read at once
        api.report(id, *[{**LOG, "message": f"{n}.{at}"} for at in range(1 + 333 * (n % 3))])
    api.report(id, SUCCEED)
    events = list(log_events(api, id))[:-1]
    lines = [line for event in events for line in messages(event)]
    assert len(lines) == len(set(lines)) == api.job(id)["logs_total"]
    sofar = 0
    for event in events:
        sofar += len(messages(event))
        headers = {"last-event-id": event.id}
        rest = list(log_events(api, id, **headers))
        assert [line for one in rest[:-1] for line in messages(one)] == lines[sofar:]


def test_log_events_are_filtered_begun_at_the_end_and_reset(api: Api, spoken: str) -> None:
    last = next(log_events(api, spoken, "?tail=2"))
    assert messages(last) == ["line 249", "line 250"]
    warned = next(log_events(api, spoken, "?level=warning&after=2"))
    assert messages(warned)[:2] == ["line 3", "line 6"]
    foreign = log_events(api, spoken, **{"last-event-id": "other.3"})
    assert [next(foreign).event, next(foreign).event] == ["reset", "logs"]
