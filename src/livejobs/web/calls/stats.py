"""Counts over time over REST, for the charts of a dashboard."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final, get_args

from starlette.requests import Request
from starlette.responses import Response

from livejobs import clock
from livejobs.core import wire
from livejobs.core.history import RANGES, Point, RangeName, points, total
from livejobs.core.times import wire_time
from livejobs.web import http
from livejobs.web.calls.jobs import projects
from livejobs.web.ready import Given, ready

NAMES: Final[tuple[RangeName, ...]] = get_args(RangeName)


async def stats(request: Request) -> Response:
    live, asked = http.service(request), projects(request)
    wanted = http.choice(request, "range", NAMES)
    name = next((it for it in NAMES if it == wanted), NAMES[0])
    range, now = RANGES[name], clock.now_ms()
    history = await live.history(asked, range, now)
    found = points(history, range, now)
    body = wire.encode({
        "range": name,
        "step_seconds": range.step // 1000,
        "now": {**history.now, **await live.flagged(asked)},
        "total": _shown(total(found, history)),
        "points": [_shown(point) for point in found],
    })  # fmt: skip
    return Given(ready(body, sha256(body).hexdigest()[:32]).to(request.scope))


def _shown(point: Point) -> dict[str, Any]:
    return {
        "at": wire_time(point.at),
        "created": point.created,
        "finished": point.succeeded + point.failed + point.cancelled,
        "succeeded": point.succeeded,
        "failed": point.failed,
        "cancelled": point.cancelled,
        "queued": point.queued,
        "running": point.running,
        "p50": point.p50,
        "p95": point.p95,
    }
