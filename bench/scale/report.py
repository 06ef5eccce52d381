"""One growth: its points and the line through them, on the screen and as figures.

a is what it costs at nothing, b what each token or sequence adds. Does not know what was measured.
"""

from collections.abc import Mapping
from typing import Any

from bench.fit import fit


def report(title: str, points: Mapping[int, float]) -> dict[str, Any]:
    """Print the points and their line; return both."""
    line = fit(points)
    print(title)
    print("  " + "  ".join(f"{n}: {y:.1f}" for n, y in points.items()))
    print(f"  a + b*n: a = {line.a:.4g}, b = {line.b:.4g}, R2 = {line.r2:.3f}", flush=True)
    rounded = {str(n): round(y, 2) for n, y in points.items()}
    return {"points": rounded, **line.figures()}
