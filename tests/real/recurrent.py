"""Tiny random models with recurrent layers, exported as the program does it, and proof of what they say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from engine import Engine, EngineConfig, SamplingParams, SessionId
from engine.conversations import Branch
from engine.events import Finished, Text
from engine.metrics import TurnFigures
from export import export_model
from tests.engine.fakes import CHATML
from tests.export import hybrid_reference
from tests.export.folders import LFM2, write_folder, write_safetensors, write_tokenizer
from tests.export.hybrid_folders import GRANITE, QWEN3_5_TEXT, QWEN3_NEXT, write_hybrid
from tests.export.lfm2_reference import from_lfm2
from tests.export.reference import F

GREEDY = SamplingParams(temperature=0, max_tokens=20)
NUM_LETTERS = 94  # the first tokens, which are ASCII
MARGIN = 1e-3  # of a logit, by which a token may lose to the best one


@dataclass(frozen=True)
class Model:
    """The model's directory, and what it has to say, in NumPy."""

    path: Path
    logits: Callable[[list[int]], F]  # [tokens, vocab]


KINDS = {"lfm2": LFM2, "qwen3.5": QWEN3_5_TEXT, "qwen3-next": QWEN3_NEXT, "granite": GRANITE}


def make_model(folder: Path, kind: str = "lfm2") -> Model:
    config = {**KINDS[kind], "max_position_embeddings": 4096, "tie_word_embeddings": False}
    source = folder / "source"
    tensors = (write_folder if kind == "lfm2" else write_hybrid)(source, config)
    tensors["lm_head.weight"][NUM_LETTERS:] = 0  # half a character at the end would be taken back
    write_safetensors(source / "model.safetensors", tensors, "F32")
    write_tokenizer(source)
    (source / "chat_template.jinja").write_text(CHATML)
    path = export_model(str(source), folder / kind, "fp16")
    if kind == "lfm2":
        return Model(path, from_lfm2(config, tensors).logits)
    return Model(path, partial(hybrid_reference.logits, config, tensors))


def start(model: Model, **options: Any) -> Engine:
    settings = {
        "precision": "f32",
        "kv_precision": "f32",
        "kv_budget_bytes": 16 << 20,
        "warm_up": False,
        "titles": False,
        "debug": True,
        **options,
    }
    engine = Engine(EngineConfig(model_dir=model.path, **settings)).start()
    engine.wait_ready()
    return engine


async def talk(
    engine: Engine, session_id: SessionId, message: str, keep: int | None = None
) -> tuple[str, TurnFigures]:
    """A turn: what is said, and what it cost."""
    said = ""
    async for event in engine.chat(session_id, message, params=GREEDY, keep=keep):
        if isinstance(event, Text):
            said += event.text
        elif isinstance(event, Finished):
            assert event.error is None
            return said, event.figures
    raise AssertionError("no Finished event")


def say(
    engine: Engine, session_id: SessionId, message: str, keep: int | None = None
) -> tuple[str, TurnFigures]:
    return asyncio.run(talk(engine, session_id, message, keep))


def branch(engine: Engine, session_id: SessionId) -> Branch:
    assert engine._owner.core is not None
    return engine._owner.core.parts.sessions.find(session_id).active


def tokens(engine: Engine, session_id: SessionId) -> list[int]:
    """Those of what was said, without what is prefilled ahead."""
    shown = branch(engine, session_id)
    return list(shown.sequence.tokens[: shown.ledger.num_tokens])


def check_said(model: Model, engine: Engine, session_id: SessionId) -> None:
    """Each token of each reply is what the model says behind all those before it."""
    shown, said = branch(engine, session_id), tokens(engine, session_id)
    logits, begin = model.logits(said), 0
    for segment in shown.ledger.segments:
        end = begin + segment.num_tokens
        if segment.ends is not None:
            _check(said[begin:end], logits[begin - 1 : end - 1])
        begin = end
    assert any(segment.ends is not None for segment in shown.ledger.segments)


def _check(reply: Sequence[int], logits: F) -> None:
    chosen = logits[np.arange(len(reply)), reply]
    assert (logits.max(1) - chosen).max() < MARGIN
