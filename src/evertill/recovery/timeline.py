"""A timeline as SVG: a bar for each part, on one axis of seconds.

It is separate because it is drawing and nothing else. The file stands alone and holds no script.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

WIDTH: Final = 760
LEFT: Final = 140
RIGHT: Final = 70
ROW: Final = 30
TOP: Final = 56
TICKS: Final = 6
# Dark enough on white, light enough on black.
COLORS: Final = ("#4477aa", "#66ccee", "#228833", "#bbaa33", "#ee6677", "#aa3377", "#888888")


class Bar(NamedTuple):
    """A part: its name, when it began after the outage, and how long it took."""

    name: str
    begin_s: float
    took_s: float


def draw(title: str, bars: Sequence[Bar]) -> str:
    """Return the chart."""
    end_s = _nice(max((bar.begin_s + bar.took_s for bar in bars), default=1.0))
    height = TOP + ROW * len(bars) + 40
    scale = (WIDTH - LEFT - RIGHT) / end_s
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="12" y="24" font-size="16" fill="#222222">{escape(title)}</text>',
        '<text x="12" y="42" fill="#666666">seconds since payments stopped</text>',
    ]
    lines += _axis(end_s, scale, height)
    for number, bar in enumerate(bars):
        lines += _bar(bar, TOP + ROW * number, scale, COLORS[number % len(COLORS)])
    return "\n".join([*lines, "</svg>"]) + "\n"


def _axis(end_s: float, scale: float, height: int) -> list[str]:
    lines = []
    for tick in range(TICKS + 1):
        at_s = end_s * tick / TICKS
        x = LEFT + at_s * scale
        lines.append(
            f'<line x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" y2="{height - 30}" stroke="#dddddd"/>'
        )
        text = f"{at_s:g}"
        lines.append(
            f'<text x="{x:.1f}" y="{height - 12}" text-anchor="middle" fill="#666666">{text}</text>'
        )
    return lines


def _bar(bar: Bar, y: int, scale: float, color: str) -> list[str]:
    x, width = LEFT + bar.begin_s * scale, max(2.0, bar.took_s * scale)
    name = escape(bar.name)
    return [
        f'<text x="{LEFT - 8}" y="{y + 16}" text-anchor="end" fill="#222222">{name}</text>',
        f'<rect x="{x:.1f}" y="{y + 3}" width="{width:.1f}" height="{ROW - 10}" fill="{color}"/>',
        f'<text x="{x + width + 5:.1f}" y="{y + 16}" fill="#222222">{bar.took_s:.1f}</text>',
    ]


def _nice(seconds: float) -> float:
    """Return a round number that is not smaller, so that the ticks are round too."""
    step = 10 ** math.floor(math.log10(max(seconds, 1.0) / TICKS))
    for factor in (1, 2, 5, 10):
        if step * factor * TICKS >= seconds:
            return float(step * factor * TICKS)
    return seconds
