"""Small real files for the jobs of the demo: a film clip, a tune and a page."""

from __future__ import annotations

import io
import math
import random
import wave
from pathlib import Path
from struct import pack
from typing import Final

CLIP: Final = Path(__file__).with_name("clip.mp4")
RATE: Final = 8000  # samples a second
SCALE: Final = (220.0, 246.9, 277.2, 329.6, 370.0, 440.0)  # hertz; any two sound well together


def tune(dice: random.Random, notes: int = 6) -> bytes:
    """Audio (WAV) of about two seconds."""
    sound = io.BytesIO()
    with wave.open(sound, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        for _ in range(notes):
            out.writeframes(_note(dice.choice(SCALE), RATE // 3))
    return sound.getvalue()


def _note(pitch: float, length: int) -> bytes:
    fading = [9000 * (1 - at / length) ** 2 for at in range(length)]
    waves = [math.sin(2 * math.pi * pitch * at / RATE) for at in range(length)]
    return pack(f"<{length}h", *(int(a * b) for a, b in zip(fading, waves, strict=True)))


def page(title: str, lines: list[str]) -> bytes:
    """A PDF of one page."""
    text = [f"BT /F1 20 Tf 64 770 Td ({_quoted(title)}) Tj ET"]
    text += [
        f"BT /F2 12 Tf 64 {730 - 20 * at} Td ({_quoted(line)}) Tj ET"
        for at, line in enumerate(lines)
    ]
    drawn = "\n".join(text).encode("latin-1")
    return _pdf(
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R /F2 6 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawn), drawn),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold /Encoding /WinAnsiEncoding >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    )


def _quoted(text: str) -> str:
    for special in "\\()":
        text = text.replace(special, f"\\{special}")
    return text


def _pdf(*objects: bytes) -> bytes:
    """The objects, then the table of their positions."""
    out = b"%PDF-1.4\n"
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    count = len(objects) + 1
    return out + (
        b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\n"
        b"startxref\n%d\n%%%%EOF\n" % (count, table, count, len(out))
    )
