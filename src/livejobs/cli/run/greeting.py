"""The link to the job's page, and its QR code for a phone."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

BORDER: Final = 2  # modules around the code; scanners need it

# By whether the upper and the lower module are light.
_HALVES: Final = {(True, True): "█", (True, False): "▀", (False, True): "▄", (False, False): " "}
_COLOURS: Final = ("\x1b[38;5;231;48;5;16m", "\x1b[0m")  # white on black, whatever the theme


def greeting(page: str, *, code: bool, size: os.terminal_size, colour: bool) -> str:
    lines = [f"livejobs: {harmless(page)}"]
    if code and _opens_elsewhere(page):
        lines += _fitting(qr_code(page), size, colour=colour)
    return "\n".join(lines) + "\n"


def _opens_elsewhere(page: str) -> bool:
    """A phone cannot reach this machine's loopback."""
    host = urlsplit(page).hostname or ""
    try:
        return not ip_address(host).is_loopback
    except ValueError:  # a name
        return host != "localhost" and not host.endswith(".localhost")


def harmless(text: str) -> str:
    """Text of a server or a user that cannot control the terminal, nor turn its direction."""
    return "".join(character if character.isprintable() else "?" for character in text)


def qr_code(text: str) -> list[str]:
    """The code as lines of half blocks, drawn in light on dark."""
    # Loaded on use: most output has no code.
    import segno  # noqa: PLC0415 - see above

    made = segno.make(text, error="l", boost_error=False, micro=False)
    rows = [[not dark for dark in row] for row in made.matrix_iter(border=BORDER)]
    if len(rows) % 2:
        rows.append([False] * len(rows[0]))
    return ["".join(_halves(*pair)) for pair in zip(rows[::2], rows[1::2], strict=True)]


def _halves(upper: Sequence[bool], lower: Sequence[bool]) -> Iterable[str]:
    return (_HALVES[pair] for pair in zip(upper, lower, strict=True))


def _fitting(code: list[str], size: os.terminal_size, *, colour: bool) -> list[str]:
    """Nothing, if the window is too small: half a code cannot be scanned."""
    if len(code[0]) > size.columns or len(code) + 2 > size.lines:
        return []
    before, after = _COLOURS if colour else ("", "")
    return [f"{before}{line}{after}" for line in code]
