"""Names and media types of files. A name is shown and sent to clients, and never part of a path."""

from __future__ import annotations

import mimetypes
import re
import unicodedata
from typing import Final
from urllib.parse import quote

from livejobs.core.errors import Invalid

LONGEST: Final = 255  # bytes

# Path separators of any system; control characters; characters that turn the direction of text and
# could hide a suffix; and the character that stands for bytes that were not UTF-8.
_FORBIDDEN: Final = re.compile(
    "[/\\\\\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffd]"
)
_MEDIA_TYPE: Final = re.compile(
    r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}([ \t]*;[\x20-\x7e]{0,200})?\Z"
)
# Not the system's table, so that a suffix means the same on every machine.
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
_MEANS_NOTHING: Final = {"", "application/x-www-form-urlencoded"}  # curl sends it for any file


def checked_name(text: str) -> str:
    """The name in composed form, so that names that look the same are the same."""
    name = unicodedata.normalize("NFC", text)
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise Invalid.at("/name", "A file's name must be UTF-8.") from None
    if not 1 <= size <= LONGEST:
        raise Invalid.at("/name", f"A file's name has 1 to {LONGEST} bytes; this one has {size}.")
    if name in (".", "..") or _FORBIDDEN.search(name):
        raise Invalid.at(
            "/name",
            "A file's name must not be '.' or '..', nor contain a slash, a control character or a "
            "character that changes the direction of text.",
        )
    return name


def checked_media_type(declared: str, name: str) -> str:
    """The declared media type, or the type that the name suggests."""
    declared = declared.strip()
    if declared in _MEANS_NOTHING:
        kind, coding = _TYPES.guess_type(name)
        return kind if kind and not coding else UNKNOWN  # "x.tar.gz" is a gzip, not a tar
    if not _MEDIA_TYPE.match(declared):
        raise Invalid.at("/Content-Type", "This is not a media type. Send one like 'video/mp4'.")
    return declared


def disposition(name: str, *, inline: bool = False) -> str:
    """Content-Disposition (RFC 6266), with a plain name for clients without RFC 8187."""
    kind = "inline" if inline else "attachment"
    plain = re.sub(r'[^ !#-&\'-\[\]-~]|[%"\\]', "_", name)
    if plain == name:
        return f'{kind}; filename="{name}"'
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='!#$&+-.^_`|~')}"
