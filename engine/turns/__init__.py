"""A turn from its begin to its end, and what is done while nobody waits.

Does not know threads, event loops or pages.
"""

from engine.turns.ahead import Ahead
from engine.turns.core import CoreParts, EngineCore
from engine.turns.idle import Idle
from engine.turns.opening import Opening
from engine.turns.prompt import PromptBuilder
from engine.turns.sharing import Sharing
from engine.turns.titles import Titles
from engine.turns.turn import Gather, TurnRequest, at_once

__all__ = [
    "Ahead",
    "CoreParts",
    "EngineCore",
    "Gather",
    "Idle",
    "Opening",
    "PromptBuilder",
    "Sharing",
    "Titles",
    "TurnRequest",
    "at_once",
]
