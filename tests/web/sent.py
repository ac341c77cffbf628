"""What the tests of a job over REST send."""

from __future__ import annotations

import json
from typing import Any

LOG = {"type": "log", "message": "x"}
SUCCEED = {"type": "succeed"}


def lines(*reports: Any, end: str = "\n") -> str:
    return "".join(json.dumps(report) + end for report in reports)


TEXT = {"accept": "text/plain"}
