"""From samples to figures: medians, ratios of pairs, percentiles. Pure.

A sample belongs to a round and an item (a turn, a conversation, a number of people). Ratios are made
of samples of the same round and item only, taken within seconds of each other, so that a machine
that is slow for a while is slow for both.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

Key = tuple[int, int]


@dataclass(slots=True)
class Samples:
    """Answers of one piece of work, by round and item and then by peer."""

    by_key: dict[Key, dict[str, dict[str, Any]]] = field(default_factory=dict)

    def add(self, which: int, item: int, peer: str, answer: dict[str, Any] | None) -> None:
        """Keep an answer; None is no sample."""
        if answer is not None:
            self.by_key.setdefault((which, item), {})[peer] = answer

    def values(self, peer: str, field_name: str, items: Iterable[int] | None = None) -> list[Any]:
        """A peer's samples, of some items or of all."""
        wanted = None if items is None else set(items)
        return [
            answers[peer][field_name]
            for (_, item), answers in self.by_key.items()
            if peer in answers and (wanted is None or item in wanted)
        ]

    def ratio(
        self, ours: str, theirs: str, field_name: str, items: Iterable[int] | None = None
    ) -> float | None:
        """The median of ours over theirs; None where they never met."""
        wanted = None if items is None else set(items)
        ratios = [
            answers[ours][field_name] / answers[theirs][field_name]
            for (_, item), answers in self.by_key.items()
            if ours in answers and theirs in answers and (wanted is None or item in wanted)
        ]
        return round(median(ratios), 3) if ratios else None


def middle(values: Sequence[float], scale: float = 1.0, digits: int = 1) -> float | None:
    """The median, scaled; None of nothing."""
    return round(scale * median(values), digits) if values else None


def percentile_95(values: Sequence[float]) -> float | None:
    """The smallest value that 95 % of them do not exceed."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[-(-95 * len(ordered) // 100) - 1]


def against_each(
    theirs: Sequence[str], ratio: Callable[[str], float | None]
) -> dict[str, float | None]:
    """A ratio for each peer; null where that peer is absent."""
    return {name: ratio(name) for name in theirs}
