"""`/jobs/{id}/embed`: a page with one job, for a frame in any other page."""

from __future__ import annotations

from html import escape
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from livejobs.core.errors import LivejobsError
from livejobs.web import http
from livejobs.web.guard import TOKEN
from livejobs.web.pages.state import State, refused, state_of

THEMES: Final = ("light", "dark")
HEADERS: Final = {
    "content-type": "text/html; charset=utf-8",
    "cache-control": "no-store",  # the token is in it
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "font-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors *"
    ),
    "cross-origin-resource-policy": "cross-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
# Without a script, the text stays and the page asks again.
AGAIN: Final = '<noscript><meta http-equiv="refresh" content="10"></noscript>\n'
PAGE: Final = """<!doctype html>
<html lang="en"{theme}>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{text}</title>
{again}<link rel="stylesheet" href="../../static/embed.css">
<script type="module" src="../../static/live-job.js"></script>
{body}
</html>
"""


async def embed(request: Request) -> Response:
    state, theme, compact = await state_of(request), "", False
    try:
        theme = http.choice(request, "theme", THEMES) or ""
        compact = http.switch(request, "compact")
    except LivejobsError as wrong:
        state = state if state.error else refused(wrong)
    error = state.error
    page = PAGE.format(
        theme=f' data-theme="{theme}"' if theme else "",
        text=escape(f"{state.label}: {state.word}"),
        again=AGAIN if state.head is not None and not state.head.finished else "",
        body=_body(request, state, theme, compact=compact),
    )
    if error is None:
        return Response(page, headers=HEADERS)
    return Response(page, error.status, {**error.headers, **HEADERS})


def _body(request: Request, state: State, theme: str, *, compact: bool) -> str:
    text = escape(f"{state.label}: {state.word}")
    if state.head is None:
        return f"<p>{text}</p>"
    looks = (f' theme="{theme}"' if theme else "") + (" compact" if compact else "")
    # Any site may frame this page and lead its visitors to a button in it. Where the visitor's own
    # rights would count, there must be no button.
    token = request.scope.get(TOKEN)
    rights = f' token="{escape(token)}"' if token else " readonly"
    job = escape(state.head.id)
    return f'<live-job src="../../" job="{job}"{rights}{looks}>{text}</live-job>'
