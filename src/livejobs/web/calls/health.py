"""For whoever watches the server: that the process answers, and whether it can take reports."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from livejobs.core import wire
from livejobs.service.health import Check
from livejobs.web import http


async def healthz(request: Request) -> Response:
    """The process answers."""
    return http.JSONBytes(b'{"status":"ok"}', headers={"cache-control": "no-store"})


async def readyz(request: Request) -> Response:
    """Whether the server can take reports, and what each check found."""
    health = http.service(request).health
    checks = await health.checks()
    ready = all(check.ok for check in checks)
    found = {check.name: _found(check) for check in checks}
    body = wire.encode({"status": "ready" if ready else "unavailable", "checks": found})
    return http.JSONBytes(body, 200 if ready else 503, {"cache-control": "no-store"})


def _found(check: Check) -> dict[str, Any]:
    return {"ok": True} if check.ok else {"ok": False, "why": check.why}
