"""Examples of answers in the OpenAPI document. A test has recorded them from a real server, and
compares them with its answers (tests/web/test_recorded.py)."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

Recorded = dict[str, Any]  # by METHOD PATH STATUS; those of problems by STATUS alone
FILE: Final = Path(__file__).with_name("answers.json")
JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"


@cache
def recorded() -> Recorded:
    found: Recorded = msgspec.json.decode(FILE.read_bytes())
    return found


def with_answers(document: dict[str, Any], answers: Recorded | None = None) -> dict[str, Any]:
    """The document, whose answers have gained examples. Those of a problem are named once: most
    calls have the same."""
    answers = recorded() if answers is None else answers
    document["components"]["examples"] = {
        _name(status): {"value": value} for status, value in answers.items() if status.isdigit()
    }
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            for status, answer in operation["responses"].items():
                _add(answer.get("content", {}), answers, f"{method.upper()} {path} {status}")
    return document


def _add(content: dict[str, Any], answers: Recorded, call: str) -> None:
    status = call.rpartition(" ")[2]
    if JSON in content and call in answers:
        content[JSON]["example"] = answers[call]
    if PROBLEM in content and status in answers:
        content[PROBLEM]["examples"] = {status: {"$ref": f"#/components/examples/{_name(status)}"}}


def _name(status: str) -> str:
    return f"problem_{status}"
