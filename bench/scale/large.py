"""One large model in a process of its own: speed, memory, and a turn behind a long history.

Does not know which model. Without warm-up, since each forward takes long enough to hide it; a small
turn goes first. The history is prefilled twice: once to be kept, once as the usual way does it.
What is known is printed at once, since the whole takes minutes.
"""

import asyncio
import time
from pathlib import Path
from typing import Any

from bench.conversation import new_session, ready_engine, rest, text_of, turn
from bench.resident import resident_bytes
from engine import Engine
from engine.text import Tokenizer

HISTORY = 2048
MESSAGE_TOKENS = 40
REPLY_TOKENS = 24
KV_BUDGET = 2 << 30


class Figures(dict[str, Any]):
    """Printed as they are added."""

    def add(self, name: str, value: float | None) -> None:
        """One figure; None is a reply too short to measure."""
        assert value is not None, f"{name}: the reply was too short to measure"
        self[name] = round(value, 2)
        print(f"  {name}: {self[name]}", flush=True)

    def add_memory(self, when: str) -> None:
        """What is resident now, and how much of it is no file's."""
        self.add(f"resident_gb_{when}", resident_bytes() / 1e9)
        self.add(f"anonymous_gb_{when}", resident_bytes("RssAnon") / 1e9)


def run(model_dir: Path, history: int = HISTORY) -> dict[str, Any]:
    """Measure, printing each figure once it is known; return all."""
    figures = Figures()
    options: dict[str, Any] = {"warm_up": False, "titles": False, "speculation": False}
    began_at = time.perf_counter()
    with ready_engine(model_dir, kv_budget_bytes=KV_BUDGET, **options) as engine:
        figures.add("load_s", time.perf_counter() - began_at)
        figures.add_memory("loaded")
        asyncio.run(_turns(engine, Tokenizer(model_dir), history, figures))
        figures.add_memory("after_history")
    return dict(figures)


async def _turns(engine: Engine, tokenizer: Tokenizer, history: int, figures: Figures) -> None:
    first = await turn(engine, new_session(engine), text_of(tokenizer, 16), max_tokens=REPLY_TOKENS)
    figures.add("tokens_per_s", first.tokens_per_s)
    session_id = new_session(engine)
    await turn(engine, session_id, text_of(tokenizer, history - 48), max_tokens=8)
    await rest(engine)
    # Each says something new, or else its KV would be there from the one before.
    warm, message, again = (text_of(tokenizer, MESSAGE_TOKENS) for _ in range(3))
    await turn(engine, session_id, warm, max_tokens=2, keep=2)
    await rest(engine)
    kept = await turn(engine, session_id, message, max_tokens=REPLY_TOKENS, keep=2)
    assert kept.prefilled_tokens >= MESSAGE_TOKENS - 1, "some of the message was known"
    figures.add("tokens_per_s_2k", kept.tokens_per_s)
    figures.add("history_tokens", kept.reused_tokens)
    figures.add("new_tokens", kept.prefilled_tokens)
    figures.add("ttft_s_kept", kept.ttft_s)
    await engine.evict(session_id)
    encoded = await turn(engine, session_id, again, max_tokens=2, keep=2)
    figures.add("reencoded_tokens", encoded.prefilled_tokens)
    figures.add("ttft_s_reencoded", encoded.ttft_s)
