"""Webhooks of a real server, at real receivers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from zlib import crc32

import pytest
from cloudevents.v1.http import from_http
from standardwebhooks import Webhook

from tests.support.api import Api, problem
from tests.support.receiver import Got, Receiver, Reply
from tests.support.server import LONG_ENOUGH

ALL = ["created", "started", "progress", "waiting", "finished", "failed", "cancelled", "stalled"]


def hooked(receiver: Receiver, *events: str, **fields: object) -> dict[str, object]:
    return {"url": f"{receiver.url}/in", "events": events or ALL, **fields}


def first(ask: Callable[[], Any], true: Callable[[Any], object]) -> Any:
    """The first answer of which this is true."""
    end = time.monotonic() + LONG_ENOUGH
    while not true(answer := ask()):
        assert time.monotonic() < end, answer
        time.sleep(0.05)
    return answer


@pytest.fixture
def project(api: Api, request: pytest.FixtureRequest) -> Iterator[str]:
    """A project of the test alone: webhooks of a project get the events of all its jobs."""
    name = f"p{crc32(request.node.name.encode())}"
    yield name
    for hook in api.get(f"/v1/webhooks?project={name}").json()["webhooks"]:
        api.delete(f"/v1/webhooks/{hook['id']}")


def test_a_job_tells_its_webhook_from_its_creation_to_its_end(api: Api, receiver: Receiver) -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    id = api.create(title="Teaser", webhooks=[hooked(receiver, secret=secret)])
    api.report(id, {"type": "start"})
    api.report(id, {"type": "progress", "percent": 42})
    api.report(id, {"type": "ask", "prompt": "Publish?"})
    api.report(id, {"type": "succeed", "result": {"frames": 9}})
    receiver.until_event("finished")
    assert receiver.events() == ["created", "started", "progress", "waiting", "finished"]
    for got in receiver.got:
        assert Webhook(secret).verify(got.body, dict(got.headers))
    last = receiver.got[-1].json
    assert last.keys() == {"type", "timestamp", "data"}
    job = api.job(id)
    del job["results"], job["errors"]
    assert last["data"] == job
    assert last["timestamp"] == job["updated_at"]
    cursors = [int(it.json["data"]["cursor"].partition(".")[2]) for it in receiver.got]
    assert cursors == sorted(set(cursors))
    assert len({it.headers["webhook-id"] for it in receiver.got}) == 5


def test_failed_and_cancelled_are_narrower_than_finished(api: Api, receiver: Receiver) -> None:
    failed = api.create(webhooks=[hooked(receiver)])
    api.report(failed, {"type": "fail", "message": "no"})
    cancelled = api.create(webhooks=[hooked(receiver, "cancelled")])
    api.post(f"/v1/jobs/{cancelled}/cancel")
    receiver.until_event("failed")
    receiver.until_event("cancelled")
    assert receiver.events(failed) == ["created", "started", "finished", "failed"]
    assert receiver.events(cancelled) == ["cancelled"]


def test_a_webhook_of_a_project_hears_its_jobs_and_no_others(
    api: Api, receiver: Receiver, project: str
) -> None:
    made = api.post("/v1/webhooks", json=hooked(receiver, "created", project=project))
    assert made.status_code == 201
    api.create()
    id = api.create(project=project)
    receiver.until_event("created")
    assert [it.json["data"]["id"] for it in receiver.got] == [id]
    body = receiver.got[0]
    assert Webhook(made.json()["secret"]).verify(body.body, dict(body.headers))


def test_a_secret_is_shown_once_and_only_if_the_server_made_it(
    api: Api, receiver: Receiver, project: str
) -> None:
    made = api.post("/v1/webhooks", json=hooked(receiver, project=project)).json()
    assert made["secret"].startswith("whsec_")
    given = {"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
    other = api.post("/v1/webhooks", json=hooked(receiver, project=project, **given)).json()
    assert "secret" not in other
    listed = api.get(f"/v1/webhooks?project={project}")
    assert [it["id"] for it in listed.json()["webhooks"]] == [made["id"], other["id"]]
    assert "whsec_" not in listed.text
    job = api.post("/v1/jobs", json={"webhooks": [hooked(receiver), hooked(receiver, **given)]})
    own, second = job.json()["webhooks"]
    assert own["secret"].startswith("whsec_")
    assert "secret" not in second
    assert "webhooks" not in api.job(job.json()["id"])
    of_job = api.get("/v1/webhooks", params={"job": job.json()["id"]})
    assert [it["id"] for it in of_job.json()["webhooks"]] == [own["id"], second["id"]]
    for text in (api.get("/v1/audit").text, of_job.text):
        assert "whsec_" not in text


def test_both_secrets_sign_after_a_rotation(api: Api, receiver: Receiver, project: str) -> None:
    made = api.post("/v1/webhooks", json=hooked(receiver, "created", project=project)).json()
    rotated = api.post(f"/v1/webhooks/{made['id']}/rotate").json()
    assert rotated["secret"] != made["secret"]
    assert rotated["old_until"]
    api.create(project=project)
    [got] = receiver.until(lambda got: len(got) == 1)
    for secret in (made["secret"], rotated["secret"]):
        assert Webhook(secret).verify(got.body, dict(got.headers))
    assert len(got.headers["webhook-signature"].split()) == 2


def test_cloudevents_are_what_the_sdk_reads(api: Api, receiver: Receiver) -> None:
    id = api.create(webhooks=[hooked(receiver, "created", format="cloudevents")])
    [got] = receiver.until(lambda got: len(got) == 1)
    event = from_http(dict(got.headers), got.body)
    assert event["type"] == "job.created"
    assert event["subject"] == id
    assert event["source"] == f"https://jobs.example/v1/jobs/{id}"
    assert event.data["status"] == "queued"
    assert event["id"] == got.headers["webhook-id"]


def test_a_removed_webhook_gets_nothing(api: Api, receiver: Receiver, project: str) -> None:
    made = api.post("/v1/webhooks", json=hooked(receiver, project=project)).json()
    kept = api.post("/v1/webhooks", json=hooked(receiver, "created", project=project)).json()
    assert api.delete(f"/v1/webhooks/{made['id']}").status_code == 204
    problem(api.delete(f"/v1/webhooks/{made['id']}"), 404, "webhook_not_found")
    api.create(project=project)
    [got] = receiver.until(lambda got: len(got) == 1)
    assert kept["id"].removeprefix("wh_") in got.headers["webhook-id"]


def test_a_410_ends_the_webhook(api: Api, receiver: Receiver, project: str) -> None:
    receiver.reply = lambda _: Reply(410)
    made = api.post("/v1/webhooks", json=hooked(receiver, "created", project=project)).json()
    api.create(project=project)
    shown = first(
        lambda: api.get(f"/v1/webhooks/{made['id']}").json(), lambda it: it["ended"] is not None
    )
    assert "410" in shown["ended"]
    [record] = api.get(f"/v1/webhooks/{made['id']}/deliveries").json()["deliveries"]
    assert (record["state"], record["code"]) == ("failed", 410)
    path = f"/v1/webhooks/{made['id']}/deliveries/{record['n']}/replay"
    problem(api.post(path), 409, "webhook_ended")
    acts = [it["action"] for it in api.get("/v1/audit?limit=5").json()["acts"]]
    assert "webhook.end" in acts


def test_a_410_does_not_bring_back_a_webhook_that_was_removed_meanwhile(
    api: Api, receiver: Receiver, project: str
) -> None:
    removed = threading.Event()

    def reply(_: Got) -> Reply:
        removed.wait(LONG_ENOUGH)
        return Reply(410)

    receiver.reply = reply
    made = api.post("/v1/webhooks", json=hooked(receiver, "created", project=project)).json()
    api.create(project=project)
    receiver.until(lambda got: len(got) == 1)
    assert api.delete(f"/v1/webhooks/{made['id']}").status_code == 204
    removed.set()
    first(lambda: api.get("/metrics").text, lambda it: "livejobs_webhook_sending 0.0\n" in it)
    problem(api.get(f"/v1/webhooks/{made['id']}"), 404, "webhook_not_found")


def test_what_fails_is_recorded_and_waits(api: Api, receiver: Receiver, project: str) -> None:
    receiver.reply = lambda _: Reply(500)
    made = api.post("/v1/webhooks", json=hooked(receiver, "created", project=project)).json()
    api.create(project=project)
    path = f"/v1/webhooks/{made['id']}/deliveries"
    [record] = first(
        lambda: api.get(path).json()["deliveries"], lambda it: it and it[0]["attempts"] == 1
    )
    assert (record["state"], record["code"]) == ("waiting", 500)
    assert record["error"] == "The receiver answered 500."
    assert record["next_at"]
    problem(api.post(f"{path}/{record['n']}/replay"), 404, "delivery_not_found")


def test_a_replay_sends_the_same_again(api: Api, receiver: Receiver, project: str) -> None:
    made = api.post("/v1/webhooks", json=hooked(receiver, "created", project=project)).json()
    api.create(project=project)
    path = f"/v1/webhooks/{made['id']}/deliveries"
    [record] = first(
        lambda: api.get(path).json()["deliveries"], lambda it: it and it[0]["state"] == "delivered"
    )
    assert api.post(f"{path}/{record['n']}/replay").status_code == 202
    before, again = receiver.until(lambda got: len(got) == 2)
    assert before.body == again.body
    assert before.headers["webhook-id"] == again.headers["webhook-id"]
    listed = first(
        lambda: api.get(path).json()["deliveries"], lambda it: it[0]["state"] == "delivered"
    )
    assert [it["replay"] for it in listed] == [True, False]
    page = api.get(f"{path}?limit=1").json()
    assert page["next"] == listed[0]["n"]
    assert api.get(f"{path}?limit=1&before={page['next']}").json()["deliveries"] == listed[1:]


def test_a_test_says_what_the_receiver_answers(api: Api, receiver: Receiver, project: str) -> None:
    made = api.post("/v1/webhooks", json=hooked(receiver, "created", project=project)).json()
    path = f"/v1/webhooks/{made['id']}/test"
    good = api.post(path).json()
    assert (good["delivered"], good["code"], good["error"]) == (True, 204, None)
    assert receiver.got[0].json["type"] == "job.test"
    receiver.reply = lambda _: Reply(503)
    assert api.post(path).json()["error"] == "The receiver answered 503."


def test_progress_comes_at_most_every_half_second_and_the_last_one_always(
    api: Api, receiver: Receiver
) -> None:
    id = api.create(webhooks=[hooked(receiver, "progress")])
    for percent in range(1, 101):
        api.report(id, {"type": "progress", "percent": percent})
    last = receiver.until(lambda got: got[-1].json["data"]["progress"]["percent"] == 100 if got
                          else False)  # fmt: skip
    seen = [it.json["data"]["progress"]["percent"] for it in last]
    assert seen == sorted(set(seen))
    assert len(seen) < 100


def test_a_slow_receiver_delays_nobody_else(api: Api, receiver: Receiver) -> None:
    held = threading.Event()

    def hold(_: Got) -> Reply:
        held.wait(60)
        return Reply()

    with Receiver(hold) as slow:
        slow_ones = [hooked(slow, "created")]
        for _ in range(30):
            api.create(webhooks=slow_ones)
        slow.until(lambda got: len(got) == 4)
        id = api.create(webhooks=[hooked(receiver)])
        receiver.until_event("created", id)
        assert len(slow.got) == 4  # of one receiver at once
        held.set()
        slow.until(lambda got: len(got) == 30)


def test_discord_shows_one_message_that_changes(api: Api, receiver: Receiver) -> None:
    gone = False

    def discord(got: Got) -> Reply:
        if got.method == "PATCH":
            return Reply(404) if gone else Reply(200, b"{}")
        return Reply(200, b'{"id":"%d"}' % len(receiver.got))

    receiver.reply = discord
    hook = {"url": f"{receiver.url}/api/webhooks/7/x", "format": "discord", "events": ALL}
    id = api.create(title="Teaser", webhooks=[hook])
    api.report(id, {"type": "start"})
    receiver.until(lambda got: len(got) == 2)
    gone = True
    api.report(id, {"type": "fail", "message": "Out of memory"})
    got = receiver.until(lambda got: len(got) == 4)
    assert [(it.method, it.path) for it in got] == [
        ("POST", "/api/webhooks/7/x?wait=true"),
        ("PATCH", "/api/webhooks/7/x/messages/1"),
        ("PATCH", "/api/webhooks/7/x/messages/1"),
        ("POST", "/api/webhooks/7/x?wait=true"),
    ]
    [embed] = got[-1].json["embeds"]
    assert embed["title"] == "❌ Teaser has failed"
    assert embed["url"] == f"https://jobs.example/jobs/{id}"


def test_a_redirect_leads_to_allowed_addresses_only(
    api: Api, receiver: Receiver, project: str
) -> None:
    made = api.post("/v1/webhooks", json=hooked(receiver, project=project)).json()
    with Receiver() as moved:
        receiver.reply = lambda _: Reply(308, headers={"location": f"{moved.url}/new"})
        assert api.post(f"/v1/webhooks/{made['id']}/test").json()["delivered"]
        assert moved.got[0].path == "/new"
        private = f"http://127.0.0.2:{moved.port}/secret"
        receiver.reply = lambda _: Reply(307, headers={"location": private})
        answer = api.post(f"/v1/webhooks/{made['id']}/test").json()
        assert not answer["delivered"]
        assert "not public" in answer["error"]
        assert len(moved.got) == 1


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"url": "ftp://example.org/x"}, "/url"),
        ({"url": "not a url"}, "/url"),
        ({"url": "https://"}, "/url"),
        ({"url": "http://[::1"}, "/url"),
        ({"url": "http://example.org:0/"}, "/url"),
        ({"url": "http://10.0.0.1/x"}, "/url"),
        ({"url": "http://[::ffff:10.0.0.1]/x"}, "/url"),
        ({"url": "http://169.254.169.254/latest"}, "/url"),
        ({"events": []}, "/events"),
        ({"events": ["everything"]}, "/events/0"),
        ({"format": "a2a", "secret": "line\nbreak"}, "/secret"),
        ({"format": "smoke"}, "/format"),
        ({"secret": "short"}, "/secret"),
        ({"format": "discord", "secret": "x"}, "/secret"),
        ({"format": "slack", "url": "https://hooks.slack.com/services/T/B/x"}, "/events"),
        ({"format": "slack", "url": "https://slack.com/api/chat.postMessage"}, "/secret"),
        ({"format": "ntfy", "url": "https://ntfy.sh/"}, "/url"),
        ({"more": 1}, "/more"),
    ],
)
def test_a_wrong_webhook_is_refused(api: Api, wrong: dict[str, object], pointer: str) -> None:
    body = {"url": "https://example.org/in", "events": ["progress"]} | wrong
    problem(api.post("/v1/webhooks", json=body), 422, "invalid", pointer)
    job = api.post("/v1/jobs", json={"webhooks": [body]})
    problem(job, 422, "invalid", f"/webhooks/0{pointer}")
