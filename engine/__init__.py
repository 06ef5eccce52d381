"""The engine: conversations on OpenVINO that keep their KV cache.

This is its public face. Owns threads, event loops and how the parts are put together; does not know
pages or programs. Its packages, from the top down: turns, tiers, conversations, model, text,
scheduling; on the ground: config, errors, events, metrics.
"""

from engine.config import EngineConfig
from engine.conversations import SessionId
from engine.engine import Engine
from engine.grammars import Grammar
from engine.loading import ModelInfo
from engine.metrics import TurnFigures
from engine.scheduling import SamplingParams
from engine.stats import EngineStats
from engine.text import Message

__all__ = [
    "Engine",
    "EngineConfig",
    "EngineStats",
    "Grammar",
    "Message",
    "ModelInfo",
    "SamplingParams",
    "SessionId",
    "TurnFigures",
    "config",
    "errors",
    "events",
    "metrics",
]
