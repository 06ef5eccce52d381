"""A turn's figures, for tests of how they are shown."""

from engine import TurnFigures
from engine.metrics import KVSource


def figures(
    reused: int = 1834,
    prefilled: int = 27,
    note: str | None = None,
    source: KVSource = KVSource.MEMORY,
    saved_s: float | None = 4.06,
    first_visible: int = 0,
) -> TurnFigures:
    return TurnFigures(
        reused_tokens=reused, prefilled_tokens=prefilled, generated_tokens=9, wait_s=0.0,
        ttft_s=0.09, itl_s=1 / 71, note=note,
        source=source, saved_s=saved_s, first_visible=first_visible,
    )  # fmt: skip
