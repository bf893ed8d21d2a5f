"""What several tests of plots use: the points of a line."""

from __future__ import annotations

import re


def polyline(svg: str, kind: str) -> list[tuple[float, float]]:
    points = next(re.finditer(rf'<polyline class="{kind}" points="([^"]*)"', svg))[1]
    return [(float(x), float(y)) for x, y in (point.split(",") for point in points.split())]
