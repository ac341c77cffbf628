"""The face `a2a` on two nodes: each takes what belongs to the other's job."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.faces.test_a2a import VERSION, sent, state, task_of
from tests.faces.test_a2a_streams import Stream, kind_of
from tests.nodes.cluster import Cluster, Node, until
from tests.support.receiver import Receiver

CONFIGS = "pushNotificationConfigs"


def names(node: Node, id: str) -> list[str]:
    answer = node.api.get(f"/a2a/tasks/{id}/{CONFIGS}", headers=VERSION)
    return [it["id"] for it in answer.json()["configs"]]


def test_a_task_is_begun_here_followed_there_and_pushed(cluster: Cluster) -> None:
    first, second = cluster.first, cluster.second
    body = sent("on two nodes", "Teaser")
    tasks = [task_of(it.api.post("/a2a/message:send", json=body, headers=VERSION))
             for it in (second, first)]  # fmt: skip
    id = tasks[0]["id"]
    assert tasks[1]["id"] == id
    with Receiver() as receiver:

        def push(node: Node) -> Any:
            config = {"url": f"{receiver.url}/in", "id": "mine"}
            return node.api.post(f"/a2a/tasks/{id}/{CONFIGS}", json=config, headers=VERSION)

        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(push, (first, second)))
        assert [it.status_code for it in answers] == [200, 200]
        follow = first.api.stream("POST", f"/a2a/tasks/{id}:subscribe", headers=VERSION)
        with follow as answer:
            stream = Stream(answer)
            assert kind_of(*stream.next()) == "SUBMITTED"
            second.api.report(id, {"type": "progress", "percent": 50})
            assert kind_of(*stream.next()) == "WORKING"
            got = receiver.until(lambda got: len(got) >= 1)
            assert state(got[0].json["statusUpdate"]) == "WORKING"
            removed = second.api.delete(f"/a2a/tasks/{id}/{CONFIGS}/mine", headers=VERSION)
            assert removed.json() == {}
            until(lambda: names(first, id), lambda found: found == [])
            first.api.post(f"/a2a/tasks/{id}:cancel", headers=VERSION)
            asked = until(lambda: second.api.job(id), lambda job: job["cancel_requested"])
            assert asked["status"] == "running"
            second.api.report(id, {"type": "cancelled"})
            assert stream.kinds()[-1] == "CANCELED"
    for node in (first, second):
        over = until(
            lambda: node.api.get(f"/a2a/tasks/{id}", headers=VERSION),  # noqa: B023 - called in this round of the loop
            lambda answer: state(task_of(answer)) == "CANCELED",
        )
        assert over.status_code == 200
