"""Time to first token when the question was typed, against pasting all of it and sending at once.

A long text is pasted into the box and a question typed behind it, key by key. The engine is told of
each draft, as the page does it, and works ahead; the message is sent with the last key. Beside it,
in the same round, another person sends the same text without a draft. Both are first messages.
"""

import asyncio
import time
from pathlib import Path
from statistics import median
from typing import Any

from bench.conversation import new_session, ready_engine, text_of, turn
from engine import Engine, TurnFigures
from engine.text import Tokenizer

PASTE_TOKENS = 600
KEYS_PER_S = 5.0
QUESTION = "\n\nWhat is this note about?"
ROUNDS = 5
REPLY_TOKENS = 4


def drafts(paste: str, question: str) -> list[str]:
    """What the box holds after the paste and after each key."""
    return [paste + question[:count] for count in range(len(question) + 1)]


async def _typed(engine: Engine, paste: str) -> TurnFigures:
    session_id = new_session(engine, "typing")
    next_key_at = time.perf_counter()
    for draft in drafts(paste, QUESTION):
        engine.draft(session_id, draft)
        next_key_at += 1 / KEYS_PER_S
        await asyncio.sleep(next_key_at - time.perf_counter())
    figures = await turn(engine, session_id, paste + QUESTION, max_tokens=REPLY_TOKENS)
    engine.close_session(session_id)
    return figures


async def _pasted(engine: Engine, paste: str) -> TurnFigures:
    session_id = new_session(engine, "pasting")
    figures = await turn(engine, session_id, paste + QUESTION, max_tokens=REPLY_TOKENS)
    engine.close_session(session_id)
    return figures


def run(model_dir: Path) -> dict[str, Any]:
    """Measure, print a table, return the figures."""
    tokenizer = Tokenizer(model_dir)
    typed: list[TurnFigures] = []
    pasted: list[TurnFigures] = []

    async def rounds(engine: Engine) -> None:
        for _ in range(ROUNDS):
            paste = text_of(tokenizer, PASTE_TOKENS)
            typed.append(await _typed(engine, paste))
            pasted.append(await _pasted(engine, paste))

    with ready_engine(model_dir) as engine:
        asyncio.run(rounds(engine))

    print(f"{'':>8} {'reused':>7} {'prefilled':>10} {'TTFT':>9}   medians of {ROUNDS} rounds")
    for name, figures in (("typed", typed), ("pasted", pasted)):
        last = figures[-1]
        print(
            f"{name:>8} {last.reused_tokens:>7} {last.prefilled_tokens:>10}"
            f" {ttft_ms(figures):>6.1f} ms"
        )
    return {
        "ttft_ms_typed": round(ttft_ms(typed), 1),
        "ttft_ms_pasted": round(ttft_ms(pasted), 1),
        "ratio": round(ttft_ms(typed) / ttft_ms(pasted), 3),
    }


def ttft_ms(figures: list[TurnFigures]) -> float:
    """The median time to the first token."""
    return 1e3 * median(f.ttft_s for f in figures if f.ttft_s is not None)
