"""One large model in a process of its own: speed, memory, and a turn behind a long history.

Does not know which model. Without warm-up, since each forward takes long enough to hide it; a small
turn goes first. The history is prefilled twice: once to be kept, once as the usual way does it.
"""

import asyncio
import time
from pathlib import Path
from typing import Any

from bench.conversation import new_session, ready_engine, rest, text_of, turn
from bench.resident import resident_bytes
from engine import Engine
from engine.tokenizer import Tokenizer

HISTORY = 2048
MESSAGE_TOKENS = 40
REPLY_TOKENS = 24
KV_BUDGET = 2 << 30


def run(model_dir: Path) -> dict[str, Any]:
    """Measure, print a table, return the figures."""
    began_at = time.perf_counter()
    with ready_engine(model_dir, kv_budget_bytes=KV_BUDGET, warm_up=False) as engine:
        figures: dict[str, Any] = {"load_s": round(time.perf_counter() - began_at, 1)}
        figures |= _memory("loaded")
        figures |= asyncio.run(_turns(engine, Tokenizer(model_dir)))
        figures |= _memory("after_history")
    print(f"{model_dir.name}: " + ", ".join(f"{name} {value}" for name, value in figures.items()))
    return figures


def _memory(when: str) -> dict[str, float]:
    anonymous = resident_bytes("RssAnon") / 1e9
    return {
        f"resident_gb_{when}": round(resident_bytes() / 1e9, 2),
        f"anonymous_gb_{when}": round(anonymous, 2),
    }


async def _turns(engine: Engine, tokenizer: Tokenizer) -> dict[str, float]:
    first = await turn(engine, new_session(engine), text_of(tokenizer, 16), max_tokens=REPLY_TOKENS)
    session_id = new_session(engine)
    await turn(engine, session_id, text_of(tokenizer, HISTORY - 48), max_tokens=8)
    await rest(engine)
    message = text_of(tokenizer, MESSAGE_TOKENS)
    await turn(engine, session_id, message, max_tokens=2, keep=2)  # warms the shape up
    await rest(engine)
    kept = await turn(engine, session_id, message, max_tokens=REPLY_TOKENS, keep=2)
    await engine.evict(session_id)
    encoded = await turn(engine, session_id, message, max_tokens=2, keep=2)
    assert None not in (first.tokens_per_s, kept.tokens_per_s), "the reply was too short to measure"
    measured = (first.tokens_per_s, kept.tokens_per_s, kept.ttft_s, encoded.ttft_s)
    rate, rate_2k, kept_s, encoded_s = (round(value or 0.0, 2) for value in measured)
    return {
        "tokens_per_s": rate,
        "tokens_per_s_2k": rate_2k,
        "history_tokens": kept.reused_tokens,
        "new_tokens": kept.prefilled_tokens,
        "ttft_s_kept": kept_s,
        "ttft_s_reencoded": encoded_s,
    }
