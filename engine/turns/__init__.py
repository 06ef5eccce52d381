"""A turn from its begin to its end, and what is done while nobody waits.

Does not know threads, event loops or pages.
"""

from engine.turns.assembly import assemble
from engine.turns.core import EngineCore
from engine.turns.editing import NO_SUCH_ANSWER
from engine.turns.prompt import PromptBuilder
from engine.turns.turn import Gather, TurnRequest, at_once

__all__ = [
    "NO_SUCH_ANSWER",
    "EngineCore",
    "Gather",
    "PromptBuilder",
    "TurnRequest",
    "assemble",
    "at_once",
]
