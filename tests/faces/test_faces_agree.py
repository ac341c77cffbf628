"""The same job, seen at one cursor through every face and natively: whatever was said, they agree
in every fact. What each face should say is worked out here from the native answers alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from importlib.metadata import version
from itertools import count
from typing import Any

import httpx2 as httpx
import pytest
from a2a.types import Task
from a2a.utils.proto_utils import validate_proto_required_fields
from google.protobuf.json_format import ParseDict  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from livejobs import LiveJobs, Settings, create_app
from livejobs.core import reports as say
from livejobs.core.errors import Conflict
from livejobs.faces.registry import BUILT_IN
from livejobs.store.memory import MemoryStore
from tests.faces.jobs import schema
from tests.support.examples import examples
from tests.support.strategies import json_values, new_jobs, said, texts, wire_reports

META = [
    "file_path", "source_language", "target_language", "processing_type", "output_file",
    "format_preservation", "projectPath", "outputPath", "endpoint", "id", "current_segment_id",
]  # fmt: skip
COUNTERS = ["memories_merged", "memories_archived", "memories_promoted", "summaries_created"]
worker = st.dictionaries(
    st.sampled_from(["pid", "queue_id", "queue_length"]), st.integers(0, 2**48) | json_values
)
# What the faces look at comes up more often than by chance.
looked_at = st.one_of(
    said("start", worker=worker),
    said("meta", {"set": st.dictionaries(st.sampled_from(META), texts | json_values, max_size=5)}),
    said("count", {"counters": st.dictionaries(st.sampled_from(COUNTERS), st.integers(-9, 99))}),
    said("result", {"value": texts | st.fixed_dictionaries({"id": texts | st.integers(0, 9)})}),
)
told = st.lists(st.one_of(wire_reports, looked_at), max_size=12)


class World:
    def __init__(self) -> None:
        self.ids = (f"j{n}" for n in count())
        self.runner = asyncio.Runner()
        self.exits = AsyncExitStack()
        self.live = LiveJobs(Settings(faces=tuple(BUILT_IN)), store=MemoryStore())
        app = create_app(self.live)
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://localhost"
        )
        self.run(self.exits.enter_async_context(self.live))

    def run(self, what: Any) -> Any:
        return self.runner.run(what)

    async def happen(self, new: say.NewJob, reports: list[Any], forced: bool) -> str:
        id = next(self.ids)
        slot, _ = await self.live.creating.put(id, new)
        for report in reports:
            try:
                await self.live.report(id, report)
            except Conflict:
                break  # it has ended
        if forced and not slot.head.finished:
            await self.live.cancel(id, force=True)
        return id

    async def get(self, path: str) -> Any:
        answer = await self.http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def seen(self, id: str) -> tuple[Any, dict[str, Any]]:
        """Natively with all its log, and through each face, all at one cursor."""
        native = await self.get(f"/v1/jobs/{id}")
        native["logs"] = (await self.get(f"/v1/jobs/{id}/logs?limit=1000"))["logs"]
        faces: dict[str, Any] = {}
        for face, path in (
            ("consolidation", f"/api/v1/consolidation/status/{id}"),
            ("translation", f"/api/v1/status/{id}"),
            ("render", f"/api/jobs/{id}"),
            ("tasks", f"/api/tasks/{id}/status/"),
            ("operations", f"/operations/v1/projects/{native['project']}/operations/{id}"),
            ("ogc", f"/ogc/jobs/{id}"),
            ("a2a", f"/a2a/tasks/{id}"),
        ):
            answer = await self.http.get(path, headers={"a2a-version": "1.0"})
            assert answer.headers["etag"] == f'W/"{native["cursor"]}"'
            faces[face] = answer.json()
        asked = await self.http.post("/v1/toolkit/job/status", json={"job_id": id})
        faces["toolkit"] = asked.json()["response"]
        schema("toolkit").validate(asked.json())
        results = await self.http.get(f"/ogc/jobs/{id}/results")
        assert (results.status_code == 200) == (native["status"] == "succeeded")
        faces["ogc results"] = results.json() if results.status_code == 200 else {}
        for kind in ("logs", "results", "errors"):
            answer = await self.http.get(f"/streams/{id}/{kind}")
            assert ("stream-closed" in answer.headers) == (native["completed_at"] is not None)
            faces[f"streams {kind}"] = answer.json()
        return native, faces

    def close(self) -> None:
        self.run(self.http.aclose())
        self.run(self.exits.aclose())
        self.runner.close()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    world = World()
    yield world
    world.close()


@settings(max_examples=examples(25))
@given(new=new_jobs, reports=told, forced=st.booleans())
def test_all_faces_agree_with_the_job(
    world: World, new: say.NewJob, reports: list[Any], forced: bool
) -> None:
    native, faces = world.run(agreeing(world, new, reports, forced))
    for face, answer in faces.items():
        if face in SCHEMAS:
            schema(face).validate(answer)
    validate_proto_required_fields(ParseDict(faces["a2a"], Task()))
    faces["a2a"]["status"].get("message", {}).pop("messageId", None)
    assert faces == expected(native)


async def agreeing(world: World, *what: Any) -> Any:
    return await world.seen(await world.happen(*what))


# What should be said


SCHEMAS = {"consolidation", "translation", "render", "tasks"}


def expected(job: Any) -> dict[str, Any]:
    return {
        "consolidation": consolidation(job),
        "translation": translation(job),
        "render": render(job),
        "tasks": tasks(job),
        "toolkit": toolkit(job),
        "operations": operation(job),
        "ogc": status_info(job),
        "ogc results": outputs(job),
        "a2a": task(job),
        "streams logs": job["logs"],
        "streams results": [result["value"] for result in job["results"]],
        "streams errors": job["errors"],
    }


def word(job: Any, *words: str) -> str:
    order = ["queued", "running", "succeeded", "failed", "cancelled"]
    return words[order.index(job["status"])]


def percent(job: Any) -> int:
    return job["progress"]["percent"] or 0


def why(job: Any, cancelled: str | None = "Cancelled") -> Any:
    ways = {"failed": (job["error"] or {}).get("message"), "cancelled": cancelled}
    return ways.get(job["status"])


def text(job: Any, name: str) -> str:
    value = job["meta"].get(name)
    return value if type(value) is str else ""


def number(worker: Any, name: str) -> int:
    value = (worker or {}).get(name)
    return value if type(value) is int else 0


def consolidation(job: Any) -> Any:
    changes = []
    for value in (result["value"] for result in job["results"]):
        if type(value) is str:
            changes.append(value)
        elif type(value) is dict and type(value.get("id")) in (str, int):
            changes.append(value["id"])
    return {
        "job_id": job["id"],
        "project_id": job["project"],
        "status": word(job, "pending", "running", "completed", "failed", "cancelled"),
        "progress": percent(job),
        "started_at": job["started_at"],
        "completed_at": job["completed_at"],
        **{name: int(job["counters"].get(name, 0)) for name in COUNTERS},
        "consolidation_changes": changes,
        "error_message": why(job, None),
    }


def translation(job: Any) -> Any:
    done = job["status"] == "succeeded"
    return {
        "status": word(job, "started", "processing", "completed", "failed", "failed"),
        "progress": percent(job),
        **{name: text(job, name) for name in ("file_path", "source_language", "target_language")},
        "created_at": job["created_at"].partition(".")[0] + "Z",
        "output_file": (text(job, "output_file") or None) if done else None,
        "error": why(job),
        "processing_type": text(job, "processing_type"),
        "format_preservation": job["meta"].get("format_preservation") is True,
    }


def render(job: Any) -> Any:
    said = {
        "id": job["id"],
        "status": word(job, "queued", "processing", "completed", "failed", "cancelled"),
        "progress": percent(job),
        "projectPath": text(job, "projectPath"),
        "outputPath": text(job, "outputPath"),
        "createdAt": job["created_at"],
        "updatedAt": job["updated_at"],
    }
    if job["completed_at"]:
        said["completedAt"] = job["completed_at"]
    if job["status"] == "failed":
        said["error"] = why(job)
        said["logs"] = "\n".join(line["message"] for line in job["logs"])
    return said


def tasks(job: Any) -> Any:
    errors = [{"segment_id": it["item"], "error": it["message"]} for it in job["errors"]]
    if why(job) is not None:
        errors.append({"segment_id": None, "error": why(job)})
    progress = {
        "current": int(job["progress"]["current"] or 0),
        "total": int(job["progress"]["total"] or 0),
        "percentage": percent(job),
    }
    if job["meta"].get("current_segment_id") is not None:
        progress["current_segment_id"] = job["meta"]["current_segment_id"]
    return {
        "task_id": job["id"],
        "status": word(job, "PENDING", "PROCESSING", "COMPLETED", "FAILED", "FAILED"),
        "progress": progress,
        "completed_segments": [result["value"] for result in job["results"]],
        "errors": errors,
    }


def toolkit(job: Any) -> Any:
    worker, timing = job["worker"], job["timing"]
    done, good = job["completed_at"] is not None, job["status"] == "succeeded"
    outcome = {
        "endpoint": text(job, "endpoint"),
        "code": 200 if good else 500,
        "id": text(job, "id") or None,
        "job_id": job["id"],
        "response": job["result"] if good else None,
        "message": "success" if good else why(job),
        "pid": number(worker, "pid"),
        "queue_id": number(worker, "queue_id"),
        "run_time": timing["run_seconds"] or 0.0,
        "queue_time": timing["queue_seconds"] or 0.0,
        "total_time": timing["total_seconds"] or 0.0,
        "queue_length": number(worker, "queue_length"),
        "build_number": version("livejobs"),
    }
    return {
        "job_status": word(job, "queued", "running", "done", "done", "done"),
        "job_id": job["id"],
        "queue_id": number(worker, "queue_id"),
        "process_id": number(worker, "pid"),
        "response": outcome if done else None,
    }


def operation(job: Any) -> Any:
    types = "type.googleapis.com/google.protobuf."
    asked = job["waiting"]
    value = {
        **{name: job[name] for name in SAME},
        **{name: job["progress"][name] for name in PROGRESS},
        "waiting": None if asked is None else {"n": asked["n"], "prompt": asked["prompt"]},
    }
    said = {
        "name": f"projects/{job['project']}/operations/{job['id']}",
        "metadata": {"@type": types + "Struct", "value": value},
        "done": job["completed_at"] is not None,
    }
    if job["status"] == "succeeded":
        said["response"] = {"@type": types + "Value", "value": job["result"]}
    elif said["done"]:
        lost = (job["error"] or {}).get("code") == "lost"
        code = 1 if job["status"] == "cancelled" else 4 if lost else 2
        said["error"] = {"code": code, "message": why(job)}
    return said


SAME = [
    "type", "title", "owner", "tags", "status", "stalled", "cancel_requested", "attempt",
    "counters", "files", "created_at", "started_at", "updated_at", "completed_at",
]  # fmt: skip
PROGRESS = ["percent", "current", "total", "unit", "message", "eta_seconds"]


def status_info(job: Any) -> Any:
    own = f"/ogc/jobs/{job['id']}"
    plain = {"type": "application/json"}
    links = [{"href": own, "rel": "self", **plain}, {"href": "/ogc/jobs", "rel": "up", **plain}]
    if job["status"] == "succeeded":
        rel = "http://www.opengis.net/def/rel/ogc/1.0/results"
        links.append({"href": own + "/results", "rel": rel, **plain})
    failed = job["status"] == "failed"
    message = job["progress"]["message"]
    if failed:
        message = why(job)
    elif job["waiting"]:
        message = job["waiting"]["prompt"]
    optional = {
        "processID": job["type"],
        "title": job["title"],
        "message": message,
        "progress": job["progress"]["percent"],
        "started": job["started_at"],
        "finished": job["completed_at"],
        "exception": {"type": "about:blank", "title": "Job failed", "detail": message}
        if failed
        else None,
    }
    return {
        "jobID": job["id"],
        "id": job["id"],
        "type": "process",
        "processingEntityType": "ogc-api-processes",
        "status": word(job, "accepted", "running", "successful", "failed", "dismissed"),
        "created": job["created_at"],
        "updated": job["updated_at"],
        "links": links,
        **{name: value for name, value in optional.items() if value is not None},
    }


def outputs(job: Any) -> Any:
    if job["status"] != "succeeded":
        return {}
    found = {} if job["result"] is None else {"result": {"value": job["result"]}}
    if job["results"]:
        found["results"] = {"value": [result["value"] for result in job["results"]]}
    return found


def task(job: Any) -> Any:
    status = {"state": f"TASK_STATE_{state(job)}", "timestamp": job["updated_at"]}
    parts = said_of(job)
    if parts:
        status["message"] = {
            "contextId": job["project"],
            "taskId": job["id"],
            "role": "ROLE_AGENT",
            "parts": parts,
        }
    artifacts = [(f"results/{it['n']}", f"Result {it['n']}", it["value"]) for it in job["results"]]
    if job["result"] is not None:
        artifacts.append(("result", "Result", job["result"]))
    return {
        "id": job["id"],
        "contextId": job["project"],
        "status": status,
        "artifacts": [
            {"artifactId": id, "name": name, "parts": [{"data": value, "mediaType": JSON}]}
            for id, name, value in artifacts
        ],
        "metadata": facts(job),
    }


JSON = "application/json"


def state(job: Any) -> str:
    if job["waiting"] is not None:
        return "INPUT_REQUIRED"
    return word(job, "SUBMITTED", "WORKING", "COMPLETED", "FAILED", "CANCELED")


def said_of(job: Any) -> list[Any]:
    asked, it = job["waiting"], job["progress"]
    if asked is not None:
        schema = (
            [{"data": {"n": asked["n"], "schema": asked["schema"]}}]
            if asked["schema"] is not None
            else []
        )
        return [{"text": asked["prompt"]}, *schema]
    if job["completed_at"] is not None:
        return [{"text": why(job)}] if job["status"] == "failed" and why(job) else []
    facts = []
    if it["percent"] is not None:
        facts.append(f"{it['percent']} %")
    if it["current"] is not None and (it["total"] is not None or it["unit"]):
        of = "" if it["total"] is None else f" of {it['total']:g}"
        facts.append(f"{it['current']:g}{of} {it['unit'] or ''}".rstrip())
    facts += [it["message"]] if it["message"] else []
    return [{"text": " · ".join(facts)}] if facts else []


def facts(job: Any) -> Any:
    names = {
        "owner": "owner", "title": "title", "type": "type", "tags": "tags", "meta": "meta",
        "counters": "counters", "attempt": "attempt", "stalled": "stalled",
        "cancelRequested": "cancel_requested", "errorsTotal": "errors_total",
        "createdAt": "created_at", "startedAt": "started_at", "completedAt": "completed_at",
    }  # fmt: skip
    made = {name: job[native] for name, native in names.items()}
    made |= {name: job["progress"][name] for name in ("percent", "current", "total", "unit")}
    if job["status"] == "failed":
        made |= {"errorCode": job["error"]["code"], "errorDetail": job["error"]["detail"]}
    return made
