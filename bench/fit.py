"""A straight line through measurements, so that growth is known and not guessed from two points."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Line:
    """y = a + b * n by least squares. r2: share of the variance it explains, 1 where there is none."""

    a: float
    b: float
    r2: float

    def figures(self) -> dict[str, float]:
        """Rounded to what such a measurement can tell."""
        return {name: float(f"{getattr(self, name):.4g}") for name in ("a", "b", "r2")}


def fit(points: Mapping[int, float]) -> Line:
    """The line through y by n; at least two different n."""
    n, y = np.array(list(points), float), np.array(list(points.values()), float)
    assert n.size > 1, "a line needs two points"
    b, a = np.polyfit(n, y, 1)
    left, whole = ((y - a - b * n) ** 2).sum(), ((y - y.mean()) ** 2).sum()
    return Line(float(a), float(b), float(1 - left / whole) if whole > 0 else 1.0)
