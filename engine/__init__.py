"""The engine: conversations on OpenVINO that keep their KV cache."""

from engine.chat_template import Message
from engine.config import EngineConfig
from engine.engine import Engine
from engine.loading import ModelInfo
from engine.metrics import TurnFigures
from engine.sampling import SamplingParams
from engine.session import SessionId
from engine.stats import EngineStats

__all__ = [
    "Engine",
    "EngineConfig",
    "EngineStats",
    "Message",
    "ModelInfo",
    "SamplingParams",
    "SessionId",
    "TurnFigures",
]
