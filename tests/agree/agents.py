"""What MCP should show of a job, worked out from its native answers alone."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

ENTRIES = ("results", "errors", "logs")
BRIEF = (
    "id", "project", "type", "title", "status", "stalled", "cancel_requested",
    "created_at", "updated_at",
)  # fmt: skip


def expected(job: Any, origin: str) -> dict[str, Any]:
    whole = {
        **head(job),
        "results": job["results"],
        "errors": job["errors"],
        "results_next": None,
        "errors_next": None,
    }
    return {
        "get_job": structured(whole, links(job, origin)),
        "resource": whole,
        "list_jobs": brief(job),
        "get_logs": {"logs": job["logs"], "next": None, "total": len(job["logs"])},
        "wait_for_job": structured(head(job), links(job, origin)),
        "task": task(job, origin),
    }


def head(job: Any) -> Any:
    return {name: value for name, value in job.items() if name not in ENTRIES}


def structured(value: Any, links: list[Any], *, error: bool = False) -> Any:
    return {"structuredContent": value, "text": value, "links": links, "isError": error}


def read(result: Any) -> Any:
    """The same of a result that came."""
    (text, *links) = result["content"]
    return {
        "structuredContent": result["structuredContent"],
        "text": json.loads(text["text"]),
        "links": links,
        "isError": result["isError"],
    }


def links(job: Any, origin: str) -> list[Any]:
    return [
        {
            "type": "resource_link",
            "uri": origin + file["url"],
            "name": file["name"],
            "mimeType": file["media_type"],
            "size": file["size"],
        }
        for file in job["files"]
    ]


def brief(job: Any) -> Any:
    progress = {name: job["progress"][name] for name in ("percent", "message")}
    return {
        **{name: job[name] for name in BRIEF},
        **progress,
        "waiting": job["waiting"] is not None,
    }


# Tasks


def task(job: Any, origin: str) -> Any:
    status = {"succeeded": "completed", "failed": "completed", "cancelled": "cancelled"}
    asked = job["waiting"]
    made = {
        "status": "input_required" if asked else status.get(job["status"], "working"),
        "statusMessage": message(job),
        "createdAt": job["created_at"],
        "lastUpdatedAt": job["updated_at"],
        "ttlMs": job["expires_at"] and since(job["created_at"], job["expires_at"]),
    }
    if made["status"] == "completed":
        failed = job["status"] == "failed"
        made["result"] = structured(head(job), links(job, origin), error=failed)
    if asked:
        field = asked["schema"] or {"type": "string"}
        form = {"type": "object", "properties": {"answer": {"title": "Answer", **field}}}
        params = {
            "mode": "form",
            "message": asked["prompt"],
            "requestedSchema": {**form, "required": ["answer"]},
        }
        made["inputRequests"] = {
            str(asked["n"]): {"method": "elicitation/create", "params": params}
        }
    return made


def message(job: Any) -> str:
    """The state, the percent while it means something, and what the job says."""
    ended, percent = job["completed_at"] is not None, job["progress"]["percent"]
    state, said = job["status"].capitalize(), job["progress"]["message"]
    if ended:
        said = job["error"] and job["error"]["message"]
    elif job["waiting"]:
        state, said = "Waiting for an answer", job["waiting"]["prompt"]
    elif job["status"] == "running" and (job["cancel_requested"] or job["stalled"]):
        state = "Cancelling" if job["cancel_requested"] else "Stalled"
    if percent is not None and not ended:
        state += f", {percent}%"
    return f"{state}: {said}" if said else state


def since(start: str, end: str) -> int:
    between = datetime.fromisoformat(end) - datetime.fromisoformat(start)
    return round(between.total_seconds() * 1000)
