"""The examples in the OpenAPI document are answers of a real server.

After a change of an answer, record them again:
    LIVEJOBS_RECORD=1 .venv/bin/pytest -n 0 tests/web/test_recorded.py
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from jsonschema_rs import Draft202012Validator

from livejobs.web.documents.answers import FILE, JSON, PROBLEM
from livejobs.web.documents.openapi import document
from livejobs.web.documents.operations import OPERATIONS
from tests.support.server import Server
from tests.web import troubled

ADMIN = "the-first-admin-key"
VIEWER = "the-viewer"
SECRETS = {
    "key": "lj_…",
    "token": "lj1.…",
    "secret": "whsec_…",
}  # shown once, and never in a document
REPORTS = [
    {"type": "start"},
    {"type": "progress", "current": 420},
    {"type": "log", "message": "Frame 420 took 0.4 s", "level": "info", "source": "blender"},
    {"type": "result", "value": {"frame": 420, "seconds": 0.4}},
    {"type": "error", "item": "frame-7", "message": "A texture is missing"},
]
NEW = {"id": "teaser", "title": "Teaser", "type": "render", "total": 1000, "unit": "frames"}
FILE_AT = "/v1/jobs/teaser/files/still.png"

# Method, path of the document, address, and what else is sent; in order.
CALLS: list[tuple[str, str, str, dict[str, Any]]] = [
    ("POST", "/v1/jobs", "/v1/jobs", {"json": NEW, "headers": {"idempotency-key": "a"}}),
    ("POST", "/v1/jobs", "/v1/jobs", {"json": NEW, "headers": {"idempotency-key": "a"}}),
    ("PUT", "/v1/jobs/{id}", "/v1/jobs/trailer", {"json": {"title": "Trailer"}}),
    ("PUT", "/v1/jobs/{id}", "/v1/jobs/trailer", {"json": {"title": "Trailer"}}),
    ("POST", "/v1/jobs/{id}/reports", "/v1/jobs/teaser/reports", {"json": REPORTS}),
    ("PUT", "/v1/jobs/{id}/files/{name}", FILE_AT, {"content": b"\x89PNG"}),
    ("PUT", "/v1/jobs/{id}/files/{name}", FILE_AT, {"content": b"\x89PNG"}),
    *[
        ("POST", "/v1/jobs/{id}/files", "/v1/jobs/teaser/files",
         {"json": {"name": "out.mp4", "url": "https://cdn.example/out.mp4"}}) for _ in "12"
    ],
    *[
        ("GET", f"/v1/jobs/{{id}}{kind}", f"/v1/jobs/teaser{kind}", {})
        for kind in ("", "/logs", "/results", "/errors", "/files", "/audit")
    ],
    ("GET", "/v1/jobs", "/v1/jobs", {}),
    ("POST", "/v1/jobs/{id}/reports", "/v1/jobs/trailer/reports",
     {"json": {"type": "ask", "prompt": "Publish?", "schema": {"type": "boolean"}}}),
    ("POST", "/v1/jobs/{id}/answer", "/v1/jobs/trailer/answer", {"json": {"n": 1, "value": True}}),
    ("POST", "/v1/jobs/{id}/cancel", "/v1/jobs/trailer/cancel", {}),
    ("POST", "/v1/cancel", "/v1/cancel", {"json": {"jobs": ["teaser", "none"], "force": True}}),
    ("POST", "/v1/tokens", "/v1/tokens", {"json": {"jobs": ["teaser"]}}),
    ("POST", "/v1/session", "/v1/session", {}),
    ("GET", "/v1/session", "/v1/session", {}),
    ("POST", "/v1/keys", "/v1/keys",
     {"json": {"name": "ci", "scopes": ["report"], "projects": ["films"]}}),
    ("POST", "/v1/webhooks", "/v1/webhooks",
     {"json": {"url": "https://hooks.example/livejobs", "events": ["finished"]}}),
    *[
        (method, f"/v1/webhooks/{{id}}{rest}", f"/v1/webhooks/{{hook}}{rest}", {})
        for method, rest in (
            ("GET", ""), ("POST", "/rotate"), ("POST", "/test"), ("GET", "/deliveries"),
        )
    ],
    *[("GET", path, path, {}) for path in
      ("/v1/webhooks", "/v1/keys", "/v1/audit", "/v1/projects", "/v1/stats", "/healthz",
       "/readyz")],
]  # fmt: skip
# The calls that the server refuses, one for each status.
REFUSED: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/v1/jobs?after=x", {}),
    ("GET", "/v1/jobs", {"headers": {"x-api-key": "unknown"}}),
    ("GET", "/v1/keys", {"headers": {"x-api-key": VIEWER}}),
    ("GET", "/v1/jobs/none", {}),
    ("POST", "/v1/jobs/teaser/uploads/none",
     {"headers": {"tus-resumable": "1.0.0", "x-http-method-override": "GET"}}),
    ("POST", "/v1/jobs/teaser/reports", {"json": {"type": "start"}}),
    ("DELETE", "/v1/jobs/teaser/uploads/none", {"headers": {"tus-resumable": "0.2.0"}}),
    ("POST", "/v1/jobs", {"json": {"title": "x" * 2_000_000}}),
    ("POST", "/v1/jobs", {"content": b"a=b", "headers": {"content-type": "text/plain"}}),
    ("GET", FILE_AT, {"headers": {"range": "bytes=99-"}}),
    ("GET", "/v1/jobs", {"headers": {"host": "other.example"}}),
    ("GET", "/v1/jobs?limit=none", {}),
]  # fmt: skip


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a server answers now, as FILE holds it."""
    data: Path = tmp_path_factory.mktemp("recorded") / "data"
    with Server(data, env={"LIVEJOBS_ADMIN_KEY": ADMIN}) as server:
        found = dict(ask(server.url))
    found |= dict(troubled.problems(data.with_name("troubled")))
    if os.environ.get("LIVEJOBS_RECORD"):
        FILE.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    return found


def ask(url: str) -> Iterator[tuple[str, Any]]:
    with httpx.Client(base_url=url, headers={"x-api-key": ADMIN}) as client:
        hook = ""
        for method, path, address, more in CALLS:
            answer = client.request(method, address.replace("{hook}", hook), **more)
            assert answer.is_success, (method, address, answer.text)
            if path == "/v1/webhooks" and method == "POST":
                hook = answer.json()["id"]
            yield f"{method} {path} {answer.status_code}", brief(answer.json())
        client.cookies.clear()
        made = client.post("/v1/keys", json={"name": "viewer", "scopes": ["view"]}).json()
        for method, address, more in REFUSED:
            headers = dict(more.get("headers", {}))
            if headers.get("x-api-key") == VIEWER:
                headers["x-api-key"] = made["key"]
            answer = client.request(method, address, **{**more, "headers": headers})
            assert answer.headers["content-type"] == PROBLEM, (address, answer.text)
            yield str(answer.status_code), answer.json()


def brief(value: Any) -> Any:
    """Without secrets, and lists by their first and last item."""
    if isinstance(value, dict):
        return {key: SECRETS.get(key) or brief(item) for key, item in value.items()}
    if isinstance(value, list):
        return [brief(item) for item in (value if len(value) < 3 else (value[0], value[-1]))]
    return re.sub(r"token=[\w.-]+", "token=…", value) if isinstance(value, str) else value


def shape(value: Any) -> Any:
    """The names and kinds of its members; a list has those of all its items."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return {"items": sorted({json.dumps(shape(item), sort_keys=True) for item in value})}
    return "number" if isinstance(value, int | float) and value is not True else str(type(value))


def test_the_examples_are_what_the_server_answers(answers: dict[str, Any]) -> None:
    assert {call: shape(it) for call, it in answers.items()} == {
        call: shape(it) for call, it in json.loads(FILE.read_text()).items()
    }


def test_every_documented_answer_has_a_valid_example() -> None:
    made = document("1")
    without = set()
    for operation in OPERATIONS:
        responses = made["paths"][operation.path][operation.method]["responses"]
        for status, answer in responses.items():
            for media, content in answer.get("content", {}).items():
                if media == JSON and "example" in content:
                    schema = {**content["schema"], "components": made["components"]}
                    Draft202012Validator(schema).validate(content["example"])
                elif media == PROBLEM and "examples" in content:
                    value = made["components"]["examples"][f"problem_{status}"]["value"]
                    assert value["status"] == int(status)
                elif media in (JSON, PROBLEM):
                    without.add(status)
    assert without == set()
