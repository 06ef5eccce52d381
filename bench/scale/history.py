"""TTFT of a short turn, and memory, by the tokens that are there already.

One conversation grows to all of its histories, so that none is prefilled twice. Its turns at every
history are then measured in rounds: each goes back to that history and says something new, as who
edits a message does, and only what is new is prefilled.
"""

import asyncio
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

from bench.conversation import new_session, ready_engine, rest, text_of, turn
from bench.resident import resident_bytes
from bench.scale.report import report
from bench.scale.roomy import roomy
from engine import Engine, SessionId, TurnFigures
from engine.text import Tokenizer

HISTORIES = (0, 1024, 2048, 3072, 4096, 6144, 8000)
MESSAGE_TOKENS = 40
GROWING_REPLY_TOKENS = 8
ROUNDS = 7


def run(model_dir: Path) -> dict[str, Any]:
    """Measure, print tables, return the figures."""
    times: dict[int, list[float]] = defaultdict(list)
    with (
        roomy(model_dir) as directory,
        ready_engine(directory, titles=False, speculation=False) as engine,
    ):
        history = _History(engine, Tokenizer(directory))
        asyncio.run(_measure(history, times))
        info = engine.info
    kv_bytes = info.kv_block_bytes / info.block_size
    ttft_ms = {tokens: median(of_tokens) for tokens, of_tokens in times.items()}
    memory = report("resident memory, MB, by tokens with KV", history.memory_mb)
    print(f"  {1e3 * memory['b']:.1f} KB a token are resident; its KV has {kv_bytes / 1e3:.1f} KB")
    return {
        "ttft_ms": report(f"TTFT of a {MESSAGE_TOKENS}-token turn, ms, by history", ttft_ms),
        "memory_mb": memory,
        "kv_bytes_per_token": round(kv_bytes),
    }


async def _measure(history: "_History", times: dict[int, list[float]]) -> None:
    for tokens in HISTORIES:
        await history.grow(tokens)
    await history.turn(0)  # the first way back
    for _ in range(ROUNDS):
        for i in range(len(HISTORIES)):
            figures = await history.turn(i)
            assert figures.ttft_s is not None
            times[history.tokens[i]].append(1e3 * figures.ttft_s)


class _History:
    """A conversation that has grown in steps. tokens: of its histories; memory_mb: at each of them."""

    def __init__(self, engine: Engine, tokenizer: Tokenizer) -> None:
        self.tokens: list[int] = []
        self.memory_mb: dict[int, float] = {}
        self._engine = engine
        self._tokenizer = tokenizer
        self._session_id: SessionId = new_session(engine)
        self._last_replies: list[int] = []  # of each history but the empty one

    async def grow(self, tokens: int) -> None:
        """One more turn, after which there are about so many tokens; none for 0."""
        missing = tokens - (self.tokens[-1] if self.tokens else 0)
        if missing:
            text = text_of(self._tokenizer, missing - GROWING_REPLY_TOKENS - 8)
            figures = await self._say(text, keep=None, max_tokens=GROWING_REPLY_TOKENS)
            assert figures.first_visible == 0, "old turns were left out"
            tokens = figures.reused_tokens + figures.prefilled_tokens + figures.generated_tokens
            self._last_replies.append(self._engine.transcript(self._session_id)[-1].node.id)
        self.tokens.append(tokens)
        self.memory_mb[tokens] = resident_bytes() / 1e6

    async def turn(self, which: int) -> TurnFigures:
        """A short turn behind one of the histories, in place of what was said there before."""
        if which:
            await self._engine.switch(self._session_id, self._last_replies[which - 1])
            await rest(self._engine)
        text = text_of(self._tokenizer, MESSAGE_TOKENS)
        figures = await self._say(text, keep=2 * which, max_tokens=2)
        missing = self.tokens[which] - figures.reused_tokens
        assert missing <= MESSAGE_TOKENS, f"{missing} tokens of the history had no KV"
        assert figures.prefilled_tokens < 2 * MESSAGE_TOKENS, "more than the message was prefilled"
        return figures

    async def _say(self, text: str, *, keep: int | None, max_tokens: int) -> TurnFigures:
        figures = await turn(self._engine, self._session_id, text, max_tokens=max_tokens, keep=keep)
        await rest(self._engine)
        return figures
