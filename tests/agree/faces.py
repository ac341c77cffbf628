"""What each face should show of a job, worked out from its native answers alone."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

ORIGIN = "https://jobs.example"  # of links; not where the app is reached
COUNTERS = ["memories_merged", "memories_archived", "memories_promoted", "summaries_created"]

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


def first_file(job: Any) -> str | None:
    return job["files"][0]["name"] if job["files"] else None


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
        "output_file": (text(job, "output_file") or first_file(job)) if done else None,
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
        "outputPath": text(job, "outputPath") or first_file(job) or "",
        "createdAt": job["created_at"],
        "updatedAt": job["updated_at"],
    }
    if job["completed_at"]:
        said["completedAt"] = job["completed_at"]
    if job["status"] == "failed":
        said["error"] = why(job)
        said["logs"] = "\n".join(line["message"] for line in job["logs"])
    if job["status"] == "succeeded" and job["files"]:
        said["downloadUrl"] = f"/api/jobs/{job['id']}/download"
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
    for file in job["files"]:
        about = {"type": file["media_type"], "title": file["name"]}
        links.append({"href": file["url"], "rel": "enclosure", **about})
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
    for file in job["files"]:
        about = {"type": file["media_type"], "title": file["name"]}
        found[f"files/{file['name']}"] = {"href": file["url"], **about}
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
    return {
        "id": job["id"],
        "contextId": job["project"],
        "status": status,
        "artifacts": artifacts(job),
        "metadata": facts(job),
    }


def artifacts(job: Any) -> Any:
    data = [(f"results/{it['n']}", f"Result {it['n']}", it["value"]) for it in job["results"]]
    end = [] if job["result"] is None else [("result", "Result", job["result"])]
    return [*map(of_data, data), *(of_file(it) for it in job["files"]), *map(of_data, end)]


def of_data(it: tuple[str, str, Any]) -> Any:
    id, name, value = it
    return {"artifactId": id, "name": name, "parts": [{"data": value, "mediaType": JSON}]}


def of_file(file: Any) -> Any:
    about = {"filename": file["name"], "mediaType": file["media_type"]}
    part = {"url": ORIGIN + file["url"], **about}
    return {"artifactId": f"files/{file['name']}", "name": file["name"], "parts": [part]}


JSON = "application/json"


def state(job: Any) -> str:
    if job["waiting"] is not None:
        return "INPUT_REQUIRED"
    return word(job, "SUBMITTED", "WORKING", "COMPLETED", "FAILED", "CANCELED")


def plain(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:.15g}"


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
        of = "" if it["total"] is None else f" of {plain(it['total'])}"
        facts.append(f"{plain(it['current'])}{of} {it['unit'] or ''}".rstrip())
    facts += [it["message"]] if it["message"] else []
    facts += ["The worker is silent."] if job["stalled"] else []
    facts += ["Cancellation is requested."] if job["cancel_requested"] else []
    return [{"text": " · ".join(facts)}] if facts else []


def facts(job: Any) -> Any:
    """The metadata of a task."""
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
