"""A decode step by the number of sequences: in the engine, its forward alone, and the bare forward.

A step is measured while all answers are being written: from the first piece of the last to begin to
the end of the first to end. Prefill is outside, and nothing is guessed ahead.
"""

import asyncio
import time
from collections import defaultdict
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

from bench.bare import BareModel
from bench.conversation import new_session, ready_engine, rest, text_of
from bench.scale.report import report
from engine import Engine, SamplingParams, SessionId
from engine.events import Finished, Text
from engine.text import Tokenizer

BATCHES = (1, 2, 4, 8, 16, 32)
CONTEXT = 100  # what a reply has behind it in the middle, the template's tokens included
MESSAGE_TOKENS = 40
REPLY_TOKENS = 64
BARE_STEPS = 40
ROUNDS = 4
MIN_STEPS = 8


def run(model_dir: Path) -> dict[str, Any]:
    """Measure, print tables, return the figures."""
    tokenizer, bare = Tokenizer(model_dir), BareModel(model_dir)
    steps: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))

    def texts(people: int) -> list[str]:
        return [text_of(tokenizer, MESSAGE_TOKENS) for _ in range(people)]

    async def rounds(engine: Engine) -> None:
        for _, batch in product(range(ROUNDS), BATCHES):
            step_s, forward_s = await Crowd(engine, batch).step_s(texts(batch))
            steps["engine"][batch].append(1e3 * step_s)
            steps["forward"][batch].append(1e3 * forward_s)
            bare.prepare([CONTEXT] * batch)
            steps["bare"][batch].append(1e3 * median(bare.step() for _ in range(BARE_STEPS)))

    with ready_engine(
        model_dir, max_num_sequences=max(BATCHES), titles=False, speculation=False
    ) as engine:
        asyncio.run(rounds(engine))
    ms = {name: {n: median(t) for n, t in times.items()} for name, times in steps.items()}
    return {
        "step_ms": report("engine's decode step, ms, by batch", ms["engine"]),
        "forward_ms": report("the forward in it, ms, by batch", ms["forward"]),
        "bare_step_ms": report("bare forward, ms, by batch", ms["bare"]),
    }


@dataclass(frozen=True, slots=True)
class _Moment:
    """The engine's counters at one time."""

    at: float
    tokens: int
    forward_s: float


class Crowd:
    """So many people who ask at once."""

    def __init__(self, engine: Engine, people: int) -> None:
        self._engine = engine
        self._people = people
        self._num_writing = 0
        self._begun: _Moment | None = None
        self._ended: _Moment | None = None

    async def step_s(self, messages: list[str]) -> tuple[float, float]:
        """Mean seconds of a step with all of them, and of the model's call in it."""
        sessions = [new_session(self._engine) for _ in range(self._people)]
        await asyncio.gather(*map(self._talk, sessions, messages))
        for session_id in sessions:
            self._engine.close_session(session_id)
        await rest(self._engine)
        assert self._begun is not None
        assert self._ended is not None
        num_steps = (self._ended.tokens - self._begun.tokens) / self._people
        assert num_steps >= MIN_STEPS, f"only {num_steps} steps of {self._people} answers at once"
        forward_s = self._ended.forward_s - self._begun.forward_s
        return (self._ended.at - self._begun.at) / num_steps, forward_s / num_steps

    async def _talk(self, session_id: SessionId, message: str) -> None:
        params = SamplingParams(temperature=0, max_tokens=REPLY_TOKENS)
        is_writing = False
        async for event in self._engine.chat(session_id, message, params=params):
            if isinstance(event, Text) and not is_writing:
                is_writing = True
                self._num_writing += 1
                if self._num_writing == self._people:
                    self._begun = self._now()
            elif isinstance(event, Finished) and self._ended is None:
                self._ended = self._now()

    def _now(self) -> _Moment:
        stats = self._engine.stats()
        return _Moment(time.perf_counter(), stats.tokens_generated, stats.forward_s)
