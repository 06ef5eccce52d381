"""What a turn tells the one who asked for it, in order: Thinking?, Queued*, Prefilling*, Text*, Finished.

Values only. `Finished` is always the last event, and comes exactly once.
"""

from dataclasses import dataclass
from enum import StrEnum

from engine.metrics import TurnFigures


class FinishReason(StrEnum):
    """Why a reply ended."""

    STOP = "stop"
    LENGTH = "length"
    CANCELLED = "cancelled"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Thinking:
    """The reply begins inside the model's thoughts: its prompt ends with the mark that opens them."""


@dataclass(frozen=True, slots=True)
class Queued:
    """The turn waits; `position` others start before it."""

    position: int


@dataclass(frozen=True, slots=True)
class Prefilling:
    """`done` of the `total` tokens of this turn's prefill are computed."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Text:
    """More of the reply. The pieces joined are the reply."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The reply is over. `error` is a sentence for people when the reason is `error`.

    is_stored: its end is committed, or there is nowhere to store it; False: it could not be until now,
    and is tried again.
    """

    reason: FinishReason
    figures: TurnFigures
    error: str | None = None
    is_stored: bool = True


Event = Thinking | Queued | Prefilling | Text | Finished
