"""Two real nodes share a database: what one of them gets, the other one knows and shows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from typing import Any

import httpx2 as httpx
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from tests.nodes.cluster import ADMIN, Cluster, Node, until
from tests.nodes.viewer import Viewer
from tests.support.api import Api
from tests.support.server import LONG_ENOUGH

LINES = "view=delta&logs=1&rate=60"
KEYED = {"authorization": f"Bearer {ADMIN}"}


def line(text: object, **more: Any) -> dict[str, Any]:
    return {"type": "log", "message": str(text), **more}


async def report(url: str, job: str, reports: Iterator[dict[str, Any]]) -> None:
    """Send reports one by one."""
    async with httpx.AsyncClient(base_url=url, headers=KEYED) as http:
        for it in reports:
            answer = await http.post(f"/v1/jobs/{job}/reports", json=it)
            assert answer.status_code == 200, answer.text


async def long_poll(url: str, job: str, told: list[int], until_seq: Callable[[int], bool]) -> None:
    async with httpx.AsyncClient(base_url=url, headers=KEYED) as http:
        tag = "none"
        while True:
            headers = {"prefer": "wait=30", "if-none-match": tag}
            answer = await http.get(f"/v1/jobs/{job}", headers=headers)
            if answer.status_code == 200:
                tag = answer.headers["etag"]
                told.append(int(answer.json()["cursor"].partition(".")[2]))
                if until_seq(answer.json()["logs_total"]):
                    return


async def hear_socket(url: str, job: str, many: int) -> list[str]:
    lines: list[str] = []
    address = url.replace("http", "ws") + "/v1/ws"
    async with (
        asyncio.timeout(LONG_ENOUGH),
        connect(address, subprotocols=[Subprotocol("livejobs.v1")], additional_headers=KEYED) as ws,
    ):
        ask = {"op": "subscribe", "id": 1, "job": job, "logs": True, "view": "delta", "rate": 60}
        await ws.send(json.dumps(ask))
        async for text in ws:
            told = json.loads(text)
            state = told.get("append") or (told["job"] if told["op"] == "snapshot" else {})
            lines += [it["message"] for it in state.get("logs", ())]
            if len(lines) >= many:
                break
    return lines


# Viewers


async def test_two_nodes_report_to_one_job_and_all_viewers_of_both_see_each_report_once(
    cluster: Cluster,
) -> None:
    cluster.first.api.create(id="both")
    paths = (f"/v1/jobs/both/events?{LINES}", f"/v1/events?{LINES}&jobs=both")
    numbers = {who: count(1) for who in "ab"}

    def reports(who: str) -> Iterator[dict[str, Any]]:
        for n in range(60):
            told = {"type": "count", "counters": {who: 1}} if n % 2 else line(f"{who}{n}")
            yield {**told, "producer": who, "n": next(numbers[who])}

    sockets = [asyncio.create_task(hear_socket(url, "both", 60)) for url in cluster.urls]
    polled: list[list[int]] = [[], []]
    polls = [
        asyncio.create_task(long_poll(url, "both", told, lambda total: total == 60))
        for url, told in zip(cluster.urls, polled, strict=True)
    ]
    async with (
        Viewer(cluster.urls[0], paths[0]) as a, Viewer(cluster.urls[1], paths[0]) as b,
        Viewer(cluster.urls[0], paths[1]) as feed_a, Viewer(cluster.urls[1], paths[1]) as feed_b,
    ):  # fmt: skip
        viewers = [a, b, feed_a, feed_b]
        for viewer in viewers:
            await viewer.until(lambda it: it.events)
        urls = zip(cluster.urls, "ab", strict=True)
        await asyncio.gather(*(report(url, "both", reports(who)) for url, who in urls))
        cluster.second.api.report("both", {"type": "succeed"})
        for viewer in viewers[:2]:
            await viewer.until_told("end")
        for viewer in viewers[2:]:
            await viewer.until(lambda it: len(it.lines) >= 60)
    job = cluster.first.api.job("both")
    assert job == cluster.second.api.job("both")
    assert (job["counters"], job["logs_total"]) == ({"a": 30, "b": 30}, 60)
    kept = [
        it["message"]
        for it in cluster.first.api.get("/v1/jobs/both/logs?limit=1000").json()["logs"]
    ]
    for lines in [*(viewer.lines for viewer in viewers), *await asyncio.gather(*sockets)]:
        assert lines == kept
    for who in "ab":
        assert [it for it in kept if it[0] == who] == [f"{who}{n}" for n in range(0, 60, 2)]
    await asyncio.gather(*polls)
    for seqs in [*(viewer.seqs for viewer in viewers), *polled]:
        assert seqs == sorted(seqs)


async def test_a_viewer_goes_to_another_node_with_its_cursor_and_is_not_reset(
    cluster: Cluster,
) -> None:
    """Also at once, before the other node has heard of the change."""
    first, second = cluster.first.api, cluster.second.api
    first.create(id="walk", project="walked")
    for n in range(8):
        here, there = (first, second) if n % 2 else (second, first)
        cursor = here.report("walk", line(n))["cursor"]
        tag = {"if-none-match": f'W/"{cursor}"'}
        seen = there.get("/v1/jobs/walk", headers=tag)
        assert (seen.status_code, seen.headers["etag"]) == (304, f'W/"{cursor}"')
        path = f"/v1/jobs/walk/events?{LINES}"
        by_header = Viewer(there.url, path, since=cursor)
        by_query = Viewer(there.url, f"{path}&since={cursor}")
        async with by_header, by_query:
            here.report("walk", line("next"))
            for viewer in (by_header, by_query):
                await viewer.until(lambda it: it.events)
                assert (viewer.names, viewer.lines) == (["delta"], ["next"])


async def test_a_cursor_of_a_new_project_is_known_to_every_node(cluster: Cluster) -> None:
    """A node that knows the project by the cursor only."""
    for n in range(5):
        new = {"id": f"in-new-{n}", "project": f"new-{n}"}
        cursor = cluster.first.api.post("/v1/jobs", json=new).json()["cursor"]
        path = f"/v1/events?project=new-{n}&view=delta"
        async with Viewer(cluster.second.url, path, since=cursor) as viewer:
            cluster.first.api.report(new["id"], {"type": "start"})
            await viewer.until(lambda it: it.events)
            assert viewer.names == ["delta"]


def test_a_job_of_a_new_project_is_listed_by_every_node(cluster: Cluster) -> None:
    for n in range(5):
        cluster.first.api.create(project=f"listed-{n}")
        read = partial(cluster.second.api.get, f"/v1/jobs?project=listed-{n}")
        found = until(read, lambda it: it.status_code != 200 or it.json()["jobs"])
        assert found.status_code == 200, found.text


def test_an_offset_of_a_stream_is_known_to_every_node(cluster: Cluster) -> None:
    """A node that has not heard of the newest messages yet."""
    first, second = cluster.first.api, cluster.second.api
    job = first.create()
    path = f"/streams/{job}/logs"
    for n in range(20):
        first.report(job, line(n))
        at = first.head(path).headers["stream-next-offset"]
        rest = second.get(path, params={"offset": at})
        assert (rest.status_code, rest.text) == (200, "[]"), rest.text
        assert rest.headers["stream-next-offset"] == at


# Creating and reporting at once


def at_once(cluster: Cluster, method: str, path: str, *bodies: Any, **how: Any) -> list[Any]:
    """The answers of both nodes to the same request, or to a body each. The best is first."""
    apis = (cluster.first.api, cluster.second.api)
    calls = [
        partial(api.request, method, path, json=body, **how)
        for api, body in zip(apis, bodies if len(bodies) > 1 else bodies * 2, strict=True)
    ]
    with ThreadPoolExecutor(2) as pool:
        answers = [it.result() for it in [pool.submit(call) for call in calls]]
    return sorted(answers, key=lambda it: it.status_code)


def statuses(answers: list[httpx.Response]) -> list[int]:
    return [it.status_code for it in answers]


def test_a_job_is_created_once_whatever_is_sent_at_once(cluster: Cluster) -> None:
    for n in range(10):
        key = {"idempotency-key": f"key-{n}"}
        made = at_once(cluster, "POST", "/v1/jobs", {}, headers=key)
        assert statuses(made) == [200, 201]
        assert made[0].json()["id"] == made[1].json()["id"]
        same = {"id": f"same-{n}"}
        assert statuses(at_once(cluster, "POST", "/v1/jobs", same)) == [201, 409]
        split = [{"id": f"split-{n}", "project": project} for project in ("one", "two")]
        assert statuses(at_once(cluster, "POST", "/v1/jobs", *split)) == [201, 409]
        assert statuses(at_once(cluster, "PUT", f"/v1/jobs/put-{n}", {})) == [200, 201]


def test_numbered_reports_that_are_sent_to_both_nodes_count_once(cluster: Cluster) -> None:
    cluster.first.api.create(id="numbered")
    for n in range(1, 21):
        told = line(n, producer="p", n=n)
        done = at_once(cluster, "POST", "/v1/jobs/numbered/reports", told)
        assert statuses(done) == [200, 200]
        assert sum(it.json()["accepted"] for it in done) == 1
    logs = cluster.second.api.get("/v1/jobs/numbered/logs").json()["logs"]
    assert [it["message"] for it in logs] == [str(n) for n in range(1, 21)]


def test_a_job_ends_once_and_never_changes_after(cluster: Cluster) -> None:
    for n in range(10):
        job = cluster.first.api.create()
        ends = [{"type": "succeed"}, [line(n), {"type": "fail", "message": "x"}]]
        done = at_once(cluster, "POST", f"/v1/jobs/{job}/reports", *ends)
        assert statuses(done) == [200, 409]
        won = done[0].json()["status"]
        for api in (cluster.first.api, cluster.second.api):
            ended = api.ended(job)
            assert (ended["status"], ended["logs_total"]) == (won, int(won == "failed"))


def test_places_in_the_queue_are_equal_on_every_node(cluster: Cluster) -> None:
    nodes = [cluster.first.api, cluster.second.api]
    ids = [f"queued-{n}" for n in range(6)]
    for n, id in enumerate(ids):
        nodes[n % 2].create(id=id, type="places")
    nodes[1].report(ids[2], {"type": "start"})
    nodes[0].post(f"/v1/jobs/{ids[0]}/cancel").raise_for_status()

    def places(api: Api) -> list[Any]:
        return [(api.job(id)["queue"] or {}).get("position") for id in ids]

    for api in nodes:
        until(partial(places, api), lambda it: it == [None, 1, None, 2, 3, 4])
        assert api.job(ids[5])["queue"]["length"] == 4


# Workers on one node, people on the other


def test_a_cancel_is_heard_by_a_worker_of_another_node(cluster: Cluster) -> None:
    first, second = cluster.first.api, cluster.second.api
    second.create(id="stop-me")
    second.report("stop-me", {"type": "start"})
    first.post("/v1/jobs/stop-me/cancel").raise_for_status()
    heard = until(
        lambda: second.report("stop-me", {"type": "heartbeat"}), lambda it: it["cancel_requested"]
    )
    assert heard["status"] == "running"
    second.report("stop-me", {"type": "cancelled"})
    assert first.ended("stop-me")["status"] == "cancelled"


def test_a_question_is_answered_on_another_node(cluster: Cluster) -> None:
    first, second = cluster.first.api, cluster.second.api
    first.create(id="asks")
    n = first.report("asks", {"type": "ask", "prompt": "Publish?"})["asked"]
    until(lambda: second.job("asks"), lambda it: it["waiting"])
    assert second.post("/v1/jobs/asks/answer", json={"n": n, "value": "yes"}).status_code == 202
    late = first.post("/v1/jobs/asks/answer", json={"n": n, "value": "no"})
    assert (late.status_code, late.json()["code"]) == (409, "not_waiting")
    told = first.report("asks", {"type": "heartbeat"})
    assert (told["answer"]["n"], told["answer"]["value"]) == (n, "yes")
    first.report("asks", {"type": "succeed", "answered": n})


async def test_a_heartbeat_to_another_node_keeps_the_job_from_being_stalled(
    cluster: Cluster,
) -> None:
    """`silent` begins with it, and reports to nobody: it shows that there was time to stall."""
    first, second = cluster.first.api, cluster.second.api
    for id in ("beats", "silent"):
        first.create(id=id, heartbeat_timeout=4)
        first.report(id, {"type": "start"})
    at = first.job("beats")["heartbeat_at"]
    async with Viewer(cluster.first.url, "/v1/jobs/beats/events?view=delta") as viewer:
        await viewer.until(lambda it: it.events)
        await asyncio.to_thread(
            until,
            lambda: (second.report("beats", {"type": "heartbeat"}), first.job("silent"))[1],
            lambda it: it["stalled"],
        )
        second.report("beats", line("and on"))
        await viewer.until(lambda it: len(it.events) > 1)
    assert not any(event.data.get("set", {}).get("stalled") for event in viewer.events)
    assert first.job("beats")["heartbeat_at"] > at
    for id in ("beats", "silent"):
        second.report(id, {"type": "succeed"})


# Access


async def test_a_key_that_is_revoked_on_one_node_ends_on_the_other(cluster: Cluster) -> None:
    first = cluster.first.api
    made = first.post("/v1/keys", json={"name": "short", "scopes": ["report"]}).json()
    first.create(id="watched")
    with cluster.second.client(made["key"]) as theirs:
        until(lambda: theirs.get("/v1/jobs/watched").status_code, lambda it: it == 200)
        token = theirs.post("/v1/tokens", json={"jobs": ["watched"]}).json()["token"]
        with cluster.first.client(token) as guest:
            assert guest.get("/v1/jobs/watched").status_code == 200
        path = "/v1/jobs/watched/events"
        async with (
            Viewer(cluster.second.url, path, key=made["key"]) as by_key,
            Viewer(cluster.second.url, path, key=token) as by_token,
        ):
            for viewer in (by_key, by_token):
                await viewer.until(lambda it: it.events)
            assert first.delete(f"/v1/keys/{made['id']}").status_code == 204
            for viewer in (by_key, by_token):
                await viewer.until(lambda it: it.over)
        assert theirs.get("/v1/jobs/watched").status_code == 401
    with cluster.second.client(token) as guest:
        assert guest.get("/v1/jobs/watched").status_code == 401


# The end of jobs


async def test_a_deleted_job_is_gone_on_every_node(cluster: Cluster) -> None:
    first, second = cluster.first.api, cluster.second.api
    first.create(id="dies")
    first.report("dies", line(1), {"type": "succeed"})
    until(lambda: second.get("/v1/jobs/dies").json(), lambda it: it["status"] == "succeeded")
    async with Viewer(cluster.second.url, "/v1/events?view=delta&jobs=dies") as viewer:
        await viewer.until_told("ready")
        assert first.delete("/v1/jobs/dies").status_code == 204
        await viewer.until_told("gone")
        assert viewer.events[-1].data["job"] == "dies"
    assert second.get("/v1/jobs/dies").status_code == 404
    assert second.post("/v1/jobs/dies/reports", json=line(2)).status_code == 404
    assert second.put("/v1/jobs/dies", json={"project": "reborn"}).status_code == 201
    second.report("dies", line("new"))
    until(lambda: first.get("/v1/jobs/dies").json(), lambda it: it.get("logs_total") == 1)


async def test_a_job_that_expires_is_gone_on_every_node(cluster: Cluster) -> None:
    first, second = cluster.first.api, cluster.second.api
    async with (
        Viewer(cluster.first.url, "/v1/events?view=delta&jobs=expires") as a,
        Viewer(cluster.second.url, "/v1/events?view=delta&jobs=expires") as b,
    ):
        for viewer in (a, b):
            await viewer.until_told("ready")
        second.create(id="expires", ttl_seconds=1)
        second.report("expires", {"type": "succeed"})
        for viewer in (a, b):
            await viewer.until_told("gone")
    for api in (first, second):
        assert api.get("/v1/jobs/expires").status_code == 404


# Files, the audit trail, statistics


def test_a_file_of_one_node_is_downloaded_from_the_other(cluster: Cluster) -> None:
    first, second = cluster.first.api, cluster.second.api
    second.create(id="makes")
    data = bytes(range(256)) * 1000
    put = second.put("/v1/jobs/makes/files/a.bin", content=data)
    assert put.status_code == 201
    until(lambda: first.job("makes")["files"], lambda it: it)
    part = first.get("/v1/jobs/makes/files/a.bin", headers={"range": "bytes=1000-1999"})
    assert (part.status_code, part.content) == (206, data[1000:2000])
    for api in (first, second):
        assert api.get("/v1/jobs/makes/files/a.bin").content == data

    def downloads(api: Api) -> int:
        [file] = api.get("/v1/jobs/makes/files").json()["files"]
        return int(file["downloads"])

    for api in (first, second):
        until(partial(downloads, api), lambda it: it == 2)


def test_acts_and_statistics_are_those_of_all_nodes(cluster: Cluster) -> None:
    nodes = [cluster.first.api, cluster.second.api]
    for n, api in enumerate(nodes):
        api.create(id=f"counted-{n}", project="counted")
        api.post(f"/v1/jobs/counted-{n}/cancel").raise_for_status()
    for api in nodes:
        for n in range(2):
            acts = api.get(f"/v1/jobs/counted-{n}/audit").json()["acts"]
            assert [it["action"] for it in acts].count("cancel") == 1
        stats = api.get("/v1/stats?project=counted").json()
        assert stats["now"]["cancelled"] == 2, stats


# Kills


def test_the_next_node_leads_when_the_first_is_killed(cluster: Cluster) -> None:
    api = cluster.second.api
    api.create(id="abandoned", heartbeat_timeout=1)
    api.report("abandoned", {"type": "start"})
    cluster.kill_first()
    until(lambda: api.job("abandoned"), lambda it: it["stalled"])
    api.report("abandoned", {"type": "succeed"})
    api.create(id="brief", ttl_seconds=1)
    api.report("brief", {"type": "succeed"})
    until(lambda: api.get("/v1/jobs/brief").status_code, lambda it: it == 404)
    cluster.second.restart()


async def test_viewers_of_a_killed_node_miss_nothing_on_another(cluster: Cluster) -> None:
    victim, other = cluster.second, cluster.first
    victim.api.create(id="busy")
    path = f"/v1/jobs/busy/events?{LINES}"
    viewers = [Viewer([victim.url, other.url], path) for _ in range(20)]
    for viewer in viewers:
        await viewer.__aenter__()
    for viewer in viewers:
        await viewer.until(lambda it: it.events)
    sender = Sender([victim, other], "busy")
    sending = asyncio.create_task(sender.run(150))
    await viewers[0].until(lambda it: len(it.lines) >= 50)
    victim.kill()
    acknowledged = await sending
    other.api.report("busy", {"type": "succeed"})
    victim.restart()
    for viewer in viewers:
        await viewer.until_told("end")
        assert viewer.lines == [str(n) for n in range(1, 151)]
        assert viewer.seqs == sorted(viewer.seqs)
        assert "reset" not in viewer.names
        await viewer.__aexit__()
    assert acknowledged == 150
    job = victim.api.job("busy")
    assert (job["logs_total"], job["counters"]) == (150, {"done": 150})


class Sender:
    """A worker that numbers its reports, and goes to the next node when one does not answer."""

    def __init__(self, nodes: list[Node], job: str) -> None:
        self._urls = [node.url for node in nodes]
        self._job = job

    async def run(self, many: int) -> int:
        accepted = 0
        async with httpx.AsyncClient(headers=KEYED) as http:
            for n in range(1, many + 1):
                number = {"producer": "w", "n": 2 * n}
                told = [
                    {**line(n), "producer": "w", "n": 2 * n - 1},
                    {"type": "count", "counters": {"done": 1}, **number},
                ]
                await self._send(http, told)
                accepted += 1
        return accepted

    async def _send(self, http: httpx.AsyncClient, told: list[dict[str, Any]]) -> None:
        async with asyncio.timeout(LONG_ENOUGH):
            while True:
                path = f"{self._urls[0]}/v1/jobs/{self._job}/reports"
                try:
                    answer = await http.post(path, json=told)
                except httpx.TransportError:
                    self._urls.append(self._urls.pop(0))
                    continue
                assert answer.status_code in (200, 503), answer.text
                if answer.status_code == 200:
                    return


def test_a_silent_job_is_lost_whoever_leads(cluster: Cluster) -> None:
    """It was started when the nodes were."""
    for api in (cluster.first.api, cluster.second.api):
        job = until(partial(api.job, "forgotten"), lambda it: it["status"] == "failed")
        assert job["error"]["code"] == "lost"
