"""Shared by the workers beside this file: report to livejobs over plain HTTP.

Run a worker with `python NAME.py http://127.0.0.1:8000 [JOB]`. Set LIVEJOBS_KEY if the server needs
a key, and PACE to change the seconds of a step from 0.5.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import httpx2 as httpx

PACE = float(os.environ.get("PACE", "0.5"))


class Job:
    """The job whose id is on the command line, created unless it exists; or a new job."""

    def __init__(self, type: str, title: str) -> None:
        url, *rest = sys.argv[1:]
        key = os.environ.get("LIVEJOBS_KEY")
        self._http = httpx.Client(
            base_url=url, headers={"authorization": f"Bearer {key}"} if key else {}
        )
        fields = {"type": type, "title": title}
        made = (
            self._http.put(f"/v1/jobs/{rest[0]}", json=fields)
            if rest
            else self._http.post("/v1/jobs", json=fields)
        )
        made.raise_for_status()
        self.id = str(made.json()["id"])
        self.cancelled = False
        print(f"{url}/jobs/{self.id}")

    def send(self, *reports: dict[str, Any]) -> None:
        """Send reports; the server keeps all or none. Its answer shows whether to cancel."""
        answer = self._http.post(f"/v1/jobs/{self.id}/reports", json=list(reports))
        answer.raise_for_status()
        self.cancelled = answer.json()["cancel_requested"]

    def upload(self, name: str, content: bytes, media_type: str) -> None:
        headers = {"content-type": media_type}
        path = f"/v1/jobs/{self.id}/files/{name}"
        self._http.put(path, content=content, headers=headers).raise_for_status()


def work() -> None:
    """A real worker would do its work here."""
    time.sleep(PACE)
