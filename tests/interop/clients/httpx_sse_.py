"""`httpx-sse` over httpx2: it parses, we reconnect."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import httpx2

httpx2.alias_httpx()  # httpx-sse asks for httpx by its old name

from httpx_sse import connect_sse  # noqa: E402  after the alias

url, name = sys.argv[1:]
job: dict[str, Any] = {}
headers: dict[str, str] = {}
retry = 1.0


def say(**fact: object) -> None:
    print(json.dumps(fact), flush=True)


def follow(client: httpx2.Client) -> bool:
    """Whether it is over."""
    global retry  # noqa: PLW0603  a script
    params = {"view": "delta", "logs": "1"}
    path = f"{url}/v1/jobs/{name}/events"
    with connect_sse(client, "GET", path, params=params, headers=dict(headers)) as events:  # type: ignore[arg-type]
        if events.response.status_code == 204:
            return True
        for event in events.iter_sse():
            if event.id:
                headers["last-event-id"] = event.id
            if event.retry:
                retry = event.retry / 1000
            hear(event.event, event.json())
    return False


def hear(kind: str, data: Any) -> None:
    if kind == "snapshot":
        job.update(data)
        say(logs=data["logs"])
        say(state=job)
    elif kind == "delta":
        job.update(data["set"])
        say(logs=data["append"].get("logs", []))
        say(state=job)


def main() -> None:
    with httpx2.Client() as client:
        while True:
            try:
                if follow(client):
                    say(over=204)
                    return
            except httpx2.TransportError:
                pass
            time.sleep(retry)


main()
