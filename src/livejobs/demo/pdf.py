"""A PDF of one page, with the fonts that every reader has. It holds the letters of Western Europe;
others become question marks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

# A lighthouse by the sea, at the bottom of the page.
DRAWING: Final = """0.99 0.86 0.7 rg 470 150 m 595 118 l 595 196 l f
0.72 0.22 0.25 rg 444 152 m 478 152 l 461 176 l f
0.99 0.93 0.72 rg 450 132 22 20 re f
0.24 0.14 0.22 rg 442 127 38 5 re f
0.72 0.22 0.25 rg 446 127 m 476 127 l 484 0 l 438 0 l f
0.95 0.91 0.87 rg 445 108 m 477 108 l 479 84 l 443 84 l f
442 60 m 480 60 l 482 36 l 440 36 l f
0.13 0.16 0.33 rg 0 0 m 0 34 l 120 58 220 18 330 34 c 440 50 500 22 595 40 c 595 0 l f
0.24 0.36 0.56 rg 0 0 m 0 16 l 140 34 240 4 350 16 c 460 28 520 8 595 20 c 595 0 l f"""


def page(title: str, subtitle: str, paragraphs: Sequence[str]) -> bytes:
    drawn = "\n".join([
        "0.13 0.16 0.33 rg 0 742 595 100 re f",  # a band at the top
        "0.98 0.72 0.43 rg 0 738 595 4 re f",
        _text("F1", 24, 56, 790, title, "1 1 1"),
        _text("F2", 11, 56, 766, subtitle, "0.8 0.83 0.95"),
        *(_paragraph(690 - 52 * at, text) for at, text in enumerate(paragraphs)),
        DRAWING,
    ]).encode("cp1252", "replace")  # fmt: skip
    return _pdf(
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R /F2 6 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawn), drawn),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Times-Bold /Encoding /WinAnsiEncoding >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    )


def _paragraph(y: int, text: str) -> str:
    """The first word, such as a day, as a small heading above the rest."""
    head, _, rest = text.partition(" ")
    heading = _text("F1", 13, 56, y, head.rstrip("."), "0.13 0.16 0.33")
    return heading + "\n" + _text("F2", 11.5, 56, y - 18, rest, "0.2 0.2 0.25")


def _text(font: str, size: float, x: int, y: int, text: str, color: str) -> str:
    for special in "\\()":
        text = text.replace(special, f"\\{special}")
    return f"BT {color} rg /{font} {size} Tf {x} {y} Td ({text}) Tj ET"


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
