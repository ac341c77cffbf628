"""`/jobs/{id}/badge.svg`: the state of a job as a small picture, for a README or a wiki."""

from __future__ import annotations

from hashlib import sha256
from typing import Final
from unicodedata import east_asian_width
from xml.sax.saxutils import escape

from starlette.requests import Request
from starlette.responses import Response

from livejobs.core.errors import LivejobsError
from livejobs.web import http
from livejobs.web.pages.state import Kind, State, refused, shown, state_of
from livejobs.web.tags import not_modified

STYLES: Final = ("flat", "square")
# Dark enough for white text: a contrast of 4.5 or more.
COLOURS: Final[dict[Kind, str]] = {
    "waits": "#5a6472",
    "works": "#0b63ce",
    "stalled": "#9a5b00",
    "good": "#1a7f37",
    "bad": "#cf222e",
    "none": "#5a6472",
}
HEADERS: Final = {
    "content-type": "image/svg+xml; charset=utf-8",
    # Proxies of pictures, such as GitHub's, ask again each time.
    "cache-control": "no-cache",
    "content-security-policy": "default-src 'none'; sandbox",
    "cross-origin-resource-policy": "cross-origin",
    "x-content-type-options": "nosniff",
}
PADDING: Final = 6

SVG: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img"'
    ' aria-label="{label}: {word}"><title>{label}: {word}</title>'
    '<clipPath id="r"><rect width="{width}" height="20" rx="{rx}"/></clipPath>'
    '<g clip-path="url(#r)"><rect width="{left}" height="20" fill="#24292f"/>'
    '<rect x="{left}" width="{right}" height="20" fill="{colour}"/></g>'
    '<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11"'
    ' text-rendering="geometricPrecision">'
    '<text x="{padding}" y="14" textLength="{label_width}">{label}</text>'
    '<text x="{word_x}" y="14" textLength="{word_width}">{word}</text></g></svg>'
)


async def badge(request: Request) -> Response:
    state = await state_of(request)
    style = "flat"
    try:
        style = http.choice(request, "style", STYLES) or style
    except LivejobsError as error:
        state = state if state.error else refused(error)
    label = shown(request.query_params.get("label", ""))
    body = drawn(state, label or state.label, rx=3 if style == "flat" else 0)
    if state.error is not None:
        no_store = {**HEADERS, **state.error.headers, "cache-control": "no-store"}
        return Response(body, state.error.status, no_store)
    tag = sha256(body).hexdigest()[:32]
    headers = {**HEADERS, "etag": f'"{tag}"'}
    if not_modified(request.scope["headers"], headers["etag"].encode()):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers)


def drawn(state: State, label: str, *, rx: int) -> bytes:
    label_width, word_width = width(label), width(state.word)
    left, right = label_width + 2 * PADDING, word_width + 2 * PADDING
    return SVG.format(
        width=left + right,
        left=left,
        right=right,
        rx=rx,
        padding=PADDING,
        colour=COLOURS[state.kind],
        label=escape(label, {'"': "&quot;"}),
        label_width=label_width,
        word=escape(state.word),
        word_x=left + PADDING,
        word_width=word_width,
    ).encode()


def width(text: str) -> int:
    """About how wide a text is in pixels. The picture fits the text to this width, so that it looks
    the same with other fonts."""
    return max(1, round(sum(map(_char_width, text))))


def _char_width(char: str) -> float:
    if east_asian_width(char) in "WF":
        return 11.0
    if char in "ijlI.,:;|!'()[] ":
        return 4.2
    return 9.5 if char in "mwMW@%" else 7.6 if char.isupper() else 6.6
