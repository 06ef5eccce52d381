"""Tokens per second of sixteen people whose answers keep to a JSON schema, beside sixteen that are free.

Interleaved: every round runs each crowd once, for as many tokens each; the schema's answers have no end
before that. constrained_share: the constrained crowd's tokens per second over the free one's.
"""

import asyncio
import time
from pathlib import Path
from statistics import median
from typing import Any

from bench.conversation import new_session, ready_engine, text_of
from engine import Engine, Grammar, SamplingParams
from engine.events import Finished
from engine.text import Tokenizer

PEOPLE = 16
REPLY_TOKENS = 48  # few free answers end before
ROUNDS = 5
STORY = "Tell me a very long story about all of it."
ITEM = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "pattern": "^[A-Z][a-z]{2,12}$"},
        "kind": {"enum": ["house", "tree", "boat", "road"]},
        "seen_on": {"type": "string", "format": "date"},
        "note": {"type": "string", "maxLength": 60},
        "count": {"type": "integer", "minimum": 0, "maximum": 500},
    },
    "required": ["name", "kind", "seen_on", "note", "count"],
    "additionalProperties": False,
}
SCHEMA = {"type": "array", "items": ITEM, "minItems": 1000}
KINDS = {"free": None, "constrained": Grammar.of_schema(SCHEMA)}


async def _answer(engine: Engine, message: str, grammar: Grammar | None, seed: int) -> int:
    """The number of tokens of one answer."""
    session_id = new_session(engine)
    params = SamplingParams(max_tokens=REPLY_TOKENS, seed=seed)
    async for event in engine.chat(session_id, message, params=params, grammar=grammar):
        if isinstance(event, Finished):
            engine.close_session(session_id)
            return event.figures.generated_tokens
    raise AssertionError("the turn has no end")


async def _crowd(engine: Engine, tokenizer: Tokenizer, grammar: Grammar | None) -> float:
    messages = [f"{text_of(tokenizer, 30)} {STORY}" for _ in range(PEOPLE)]
    began_at = time.perf_counter()
    answers = (_answer(engine, message, grammar, i) for i, message in enumerate(messages))
    counts = await asyncio.gather(*answers)
    return sum(counts) / (time.perf_counter() - began_at)


def run(model_dir: Path) -> dict[str, Any]:
    """Measure, print a table, return the figures."""
    tokenizer = Tokenizer(model_dir)
    speeds: dict[str, list[float]] = {kind: [] for kind in KINDS}

    async def rounds(engine: Engine) -> None:
        await _crowd(engine, tokenizer, KINDS["constrained"])  # the vocabulary is made once
        for _ in range(ROUNDS):
            for kind, grammar in KINDS.items():
                speeds[kind].append(await _crowd(engine, tokenizer, grammar))

    with ready_engine(model_dir) as engine:
        asyncio.run(rounds(engine))
    for kind, measured in speeds.items():
        print(f"{kind:>12} {median(measured):>8.1f} tokens/s")
    pairs = zip(speeds["constrained"], speeds["free"], strict=True)
    return {
        "constrained_share": round(median(bound / free for bound, free in pairs), 3),
        "tokens_per_s": {kind: round(median(measured), 1) for kind, measured in speeds.items()},
    }
