"""A picture of figures over time, as SVG: one small chart for each series, in two columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil, log10
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 380, 150  # of a chart
LEFT, TOP, RIGHT, BOTTOM = 48, 34, 12, 24  # around its plot
HEAD: Final = 40
STYLE: Final = """
  text { font: 12px system-ui, sans-serif; fill: #57606a }
  .title { font-size: 15px; font-weight: 600; fill: #1f2328 }
  .name { font-weight: 600; fill: #1f2328 }
  .grid { stroke: #d0d7de; stroke-width: 1 }
  .line { fill: none; stroke: #0969da; stroke-width: 2; stroke-linejoin: round }
  .area { fill: #0969da; opacity: .1 }
  @media (prefers-color-scheme: dark) {
    text { fill: #9198a1 } .title, .name { fill: #f0f6fc } .grid { stroke: #3d444d }
    .line { stroke: #4493f8 } .area { fill: #4493f8 }
  }
"""


class Series(NamedTuple):
    name: str
    unit: str
    values: Sequence[float]


def draw(title: str, days: Sequence[float], series: Sequence[Series]) -> str:
    rows = ceil(len(series) / 2)
    width, height = 2 * WIDTH, HEAD + rows * HEIGHT
    charts = (
        f'<g transform="translate({n % 2 * WIDTH} {HEAD + n // 2 * HEIGHT})">{chart(days, one)}</g>'
        for n, one in enumerate(series)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n"
        f'<text class="title" x="{LEFT}" y="24">{escape(title)}</text>\n'
        + "\n".join(charts)
        + "\n</svg>\n"
    )


def chart(days: Sequence[float], series: Series) -> str:
    top = ceiling(max(series.values))
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def x(day: float) -> float:
        return round(LEFT + (right - LEFT) * day / days[-1], 1)

    def y(value: float) -> float:
        return round(bottom - (bottom - TOP) * value / top, 1)

    line = " ".join(f"{x(day)},{y(value)}" for day, value in zip(days, series.values, strict=True))
    area = f"{x(days[0])},{bottom} {line} {right},{bottom}"
    last = f"{series.values[-1]:,.3g}" if series.values[-1] < 100 else f"{series.values[-1]:,.0f}"
    return "\n".join(
        (
            f'<text class="name" x="{LEFT}" y="{TOP - 12}">{escape(series.name)}</text>',
            f'<text x="{right}" y="{TOP - 12}" text-anchor="end">{last} {series.unit}</text>',
            *(grid(value, y(value), right) for value in (0, top / 2, top)),
            *(month(day, x(day), bottom) for day in range(0, int(days[-1]) + 1, 91)),
            f'<polygon class="area" points="{area}"/>',
            f'<polyline class="line" points="{line}"/>',
        )
    )


def grid(value: float, y: float, right: int) -> str:
    return (
        f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y}" y2="{y}"/>'
        f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{value:g}</text>'
    )


def month(day: int, x: float, bottom: int) -> str:
    anchor = "start" if day == 0 else "end" if day == 364 else "middle"
    name = day or "day 0"
    return f'<text x="{x}" y="{bottom + 16}" text-anchor="{anchor}">{name}</text>'


def ceiling(value: float) -> float:
    """The next number with one digit or two that ends the scale well."""
    power = 10.0 ** int(log10(value)) if value >= 1 else 0.1
    steps: Iterator[float] = (step * power for step in (1, 2, 3, 4, 5, 6, 8, 10))
    return next(step for step in steps if step >= value)
