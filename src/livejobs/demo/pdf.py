"""A PDF of one page, with the fonts that every reader has. It holds the letters of Western Europe;
others become question marks."""

from __future__ import annotations

from collections.abc import Sequence


def page(title: str, subtitle: str, paragraphs: Sequence[str]) -> bytes:
    drawn = "\n".join([
        "0.13 0.16 0.33 rg 0 742 595 100 re f",  # a band at the top
        "0.98 0.72 0.43 rg 0 738 595 4 re f",
        _text("F1", 24, 56, 790, title, "1 1 1"),
        _text("F2", 11, 56, 766, subtitle, "0.8 0.83 0.95"),
        *(_paragraph(690 - 52 * at, text) for at, text in enumerate(paragraphs)),
        "0.85 0.86 0.9 rg 56 64 483 1 re f",
        _text("F2", 9, 56, 46, "livejobs demo", "0.5 0.52 0.6"),
        _text("F2", 9, 528, 46, "1", "0.5 0.52 0.6"),
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
