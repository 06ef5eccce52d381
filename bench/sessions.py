"""Tokens per second with 1, 4 and 16 people at once, and how much of it is not the model's work.

Interleaved: every round runs each crowd once. Overhead is the part of the wall time, from the first
request to the last token, that was not spent inside OpenVINO's call.
"""

import asyncio
import time
from pathlib import Path
from statistics import median
from typing import Any

from bench.conversation import new_session, ready_engine, text_of, turn
from engine import Engine
from engine.text import Tokenizer

CROWDS = (1, 4, 16)
REPLY_TOKENS = 96
ROUNDS = 5


async def crowd(engine: Engine, tokenizer: Tokenizer, people: int) -> tuple[float, float]:
    """Tokens per second and overhead share of `people` who ask at once."""
    sessions = [new_session(engine) for _ in range(people)]
    messages = [text_of(tokenizer, 40) for _ in sessions]
    forward_before, began_at = engine.stats().forward_s, time.perf_counter()
    figures = await asyncio.gather(
        *(
            turn(engine, session_id, message, max_tokens=REPLY_TOKENS)
            for session_id, message in zip(sessions, messages, strict=True)
        )
    )
    wall_s = time.perf_counter() - began_at
    forward_s = engine.stats().forward_s - forward_before
    for session_id in sessions:
        engine.close_session(session_id)
    return sum(f.generated_tokens for f in figures) / wall_s, 1 - forward_s / wall_s


def run(model_dir: Path) -> dict[str, Any]:
    """Measure, print a table, return the figures."""
    tokenizer = Tokenizer(model_dir)
    speeds: dict[int, list[float]] = {people: [] for people in CROWDS}
    overheads: dict[int, list[float]] = {people: [] for people in CROWDS}

    async def rounds(engine: Engine) -> None:
        for _ in range(ROUNDS):
            for people in CROWDS:
                speed, overhead = await crowd(engine, tokenizer, people)
                speeds[people].append(speed)
                overheads[people].append(overhead)

    with ready_engine(model_dir) as engine:
        asyncio.run(rounds(engine))

    print(f"{'people':>7} {'tokens/s':>9} {'overhead':>9}")
    for people in CROWDS:
        speed, overhead = median(speeds[people]), median(overheads[people])
        print(f"{people:>7} {speed:>9.1f} {overhead:>8.1%}")
    return {
        "tokens_per_s": {str(p): round(median(speeds[p]), 1) for p in CROWDS},
        "scaling_16": round(median(speeds[16]) / median(speeds[1]), 2),
        "overhead_share": {str(p): round(median(overheads[p]), 3) for p in (1, 16)},
    }
