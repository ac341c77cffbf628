"""What a file may be called. A name is shown and sent to clients; no path is ever made of it."""

from __future__ import annotations

import mimetypes
import re
import unicodedata
from typing import Final
from urllib.parse import quote

from livejobs.core.errors import Invalid

LONGEST: Final = 255  # bytes

# Separators of any system; controls; what turns the direction of text, so that "gpj.exe" would
# be read as another kind of file; and what stands for bytes that were not UTF-8.
_FORBIDDEN: Final = re.compile(
    "[/\\\\\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffd]"
)
_MEDIA_TYPE: Final = re.compile(
    r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}([ \t]*;[\x20-\x7e]{0,200})?\Z"
)
# Not the system's own table: what a name means should not differ from one machine to the next.
_TYPES: Final = mimetypes.MimeTypes()
for _type, _suffix in (
    ("text/plain", ".log"),
    ("text/markdown", ".md"),
    ("text/vtt", ".vtt"),
    ("application/x-subrip", ".srt"),
    ("application/x-ndjson", ".ndjson"),
    ("application/zstd", ".zst"),
    ("audio/flac", ".flac"),
    ("audio/ogg", ".ogg"),
    ("video/x-matroska", ".mkv"),
    ("image/avif", ".avif"),
    ("image/webp", ".webp"),
):
    _TYPES.add_type(_type, _suffix)
UNKNOWN: Final = "application/octet-stream"
_SAYS_NOTHING: Final = {"", "application/x-www-form-urlencoded"}  # what curl says of any file


def checked_name(said: str) -> str:
    """The name in its composed form, so that two that look the same are."""
    name = unicodedata.normalize("NFC", said)
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise Invalid.at("/name", "A file's name is UTF-8.") from None
    if not 1 <= size <= LONGEST:
        raise Invalid.at("/name", f"A file's name takes 1 to {LONGEST} bytes; this has {size}.")
    if name in (".", "..") or _FORBIDDEN.search(name):
        raise Invalid.at(
            "/name",
            "A file's name is one segment of a path: no slash, no control or direction character, "
            "not '.' or '..'.",
        )
    return name


def checked_media_type(said: str, name: str) -> str:
    """What was said, or what the name lets one expect."""
    said = said.strip()
    if said in _SAYS_NOTHING:
        kind, coding = _TYPES.guess_type(name)
        return kind if kind and not coding else UNKNOWN  # "x.tar.gz" is not a tar as it is
    if not _MEDIA_TYPE.match(said):
        raise Invalid.at("/Content-Type", "This is no media type, as 'video/mp4' is.")
    return said


def disposition(name: str, *, inline: bool = False) -> str:
    """RFC 6266, with a plain name for those who read no other (RFC 8187)."""
    kind = "inline" if inline else "attachment"
    plain = re.sub(r'[^ !#-&\'-\[\]-~]|[%"\\]', "_", name)
    if plain == name:
        return f'{kind}; filename="{name}"'
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='!#$&+-.^_`|~')}"
