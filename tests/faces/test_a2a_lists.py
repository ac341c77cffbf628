"""Lists of tasks in the face `a2a`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faces.test_a2a import World, error, task_of
from tests.faces.test_a2a import api as api  # noqa: PLC0414 - a fixture
from tests.faces.test_a2a import world as world  # noqa: PLC0414 - a fixture
from tests.support.api import Api


def listed(api: Api, **query: Any) -> Any:
    answer = api.get("/a2a/tasks", params={"contextId": "lists", **query})
    return task_of(answer)


def test_the_list_has_what_changed_last_first(api: Api) -> None:
    ids = [api.create(project="lists", id=f"l{n}") for n in range(5)]
    api.report("l1", {"type": "succeed", "result": 1})
    api.report("l3", {"type": "start"})
    api.report("l0", {"type": "ask", "prompt": "?"})
    page = listed(api)
    assert [it["id"] for it in page["tasks"]] == ["l0", "l3", "l1", "l4", "l2"]
    assert (page["nextPageToken"], page["pageSize"], page["totalSize"]) == ("", 50, 5)
    assert not any("artifacts" in it for it in page["tasks"])
    seen, token = [], ""
    for _ in range(3):
        page = listed(api, pageSize=2, pageToken=token)
        seen += [it["id"] for it in page["tasks"]]
        token = page["nextPageToken"]
    assert (seen, token) == (["l0", "l3", "l1", "l4", "l2"], "")
    assert set(seen) == set(ids)
    for state_, expected in (
        ("SUBMITTED", ["l4", "l2"]), ("WORKING", ["l3"]), ("INPUT_REQUIRED", ["l0"]),
        ("COMPLETED", ["l1"]), ("FAILED", []), ("REJECTED", []), ("AUTH_REQUIRED", []),
    ):  # fmt: skip
        page = listed(api, status=f"TASK_STATE_{state_}")
        assert ([it["id"] for it in page["tasks"]], page["totalSize"]) == (expected, len(expected))
    full = listed(api, includeArtifacts="true", status="TASK_STATE_COMPLETED")
    assert [it["artifactId"] for it in full["tasks"][0]["artifacts"]] == ["result"]
    assert listed(api, includeArtifacts="true")["pageSize"] == 10
    since = next(it for it in listed(api)["tasks"] if it["id"] == "l1")["status"]["timestamp"]
    page = listed(api, statusTimestampAfter=since)
    assert "l1" in {it["id"] for it in page["tasks"]}
    assert {"l0", "l3"} <= {it["id"] for it in page["tasks"]}
    assert listed(api, statusTimestampAfter="2999-01-01T00:00:00Z")["tasks"] == []


@pytest.mark.parametrize(
    "query",
    [
        "pageSize=0", "pageSize=101", "pageSize=x", "pageSize=-1", "status=WORKING", "status=9",
        "pageToken=x", "pageToken=abc.9", "includeArtifacts=perhaps", "statusTimestampAfter=now",
        "statusTimestampAfter=2026-13-01T00:00:00Z",
    ],
)  # fmt: skip
def test_a_wrong_list_is_refused(api: Api, query: str) -> None:
    error(api.get(f"/a2a/tasks?{query}"), 400, "INVALID_PARAMS")


def test_a_key_lists_its_own_project(world: World) -> None:
    api, headers = world.api, {"x-api-key": world.other}
    id = api.create(project="other")
    found = task_of(api.get("/a2a/tasks", headers=headers))["tasks"]
    assert id in {it["id"] for it in found}
    assert {it["contextId"] for it in found} == {"other"}
    error(api.get("/a2a/tasks?contextId=lists", headers=headers), 403, "FOREIGN_PROJECT")
