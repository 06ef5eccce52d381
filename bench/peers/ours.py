"""Drives our engine, in a process of its own like every peer, with its defaults but the threads.

Conversations are kept on disk as the page keeps them. As in every benchmark here, a turn is answered
when the engine's work ahead is done too: people read for longer than that. The ends of replies are
given no chance (their logits are lowered), as the peers' `min_new_tokens` and `ignore_eos` do, so that
every reply has the same length. Looks inside the engine for its loader.
"""

import asyncio
import time
from collections.abc import Awaitable
from itertools import chain, count
from pathlib import Path
from typing import Any

import openvino

from bench.conversation import rest, wait_warm
from bench.peers.line import Answer, Messages, TokenClock, crowd_answer, peak_bytes, serve
from engine import Engine, EngineConfig, SamplingParams, SessionId
from engine.conversations import Home
from engine.events import Finished, Text
from engine.loading import ModelInfo, load
from engine.model import ForwardModel, Inputs, Logits
from engine.turns import EngineCore

NEVER = -1e4  # finite, since restored KV is verified by a difference of logits


class _EndlessModel:
    """A model that never ends its reply."""

    def __init__(self, model: ForwardModel, ends: list[int]) -> None:
        self.vocab_size = model.vocab_size
        self.has_single_token_graph = model.has_single_token_graph
        self._model = model
        self._ends = ends

    def forward(self, inputs: Inputs) -> Logits:
        """The model's forward, without the ends."""
        logits = self._model.forward(inputs)
        logits[:, self._ends] = NEVER
        return logits


def endless(config: EngineConfig, home: Home) -> tuple[EngineCore, ModelInfo]:
    """A loader whose replies end by their length only."""
    core, info = load(config, home)
    runner = core.parts.runner
    runner.model = _EndlessModel(runner.model, sorted(core.parts.eos_token_ids))
    return core, info


class Ours:
    """Sessions of one engine."""

    def __init__(self) -> None:
        self._loop = asyncio.Runner()
        # Of people never seen before, whatever is on disk from before a restart.
        self._numbers = count(time.time_ns())

    def start(
        self,
        *,
        model: str,
        threads: int,
        folder: str,
        precision: str,
        system_prompt: str | None = None,
        is_endless: bool = True,
        **_given: Any,
    ) -> Answer:
        """Load, and warm up."""
        self._config = EngineConfig(
            model_dir=Path(model),
            data_dir=Path(folder),
            num_threads=threads,
            precision=precision,
            system_prompt=system_prompt,
        )
        self._engine = Engine(self._config, endless if is_endless else load).start()
        self._engine.wait_ready()
        wait_warm(self._engine)
        return {
            "version": f"openvino {openvino.__version__}",
            "pipeline": "Engine, conversations kept on disk",
            "threads": threads,
            "kv_precision": self._config.kv_precision,
            "precision": precision,
        }

    def turn(self, messages: Messages, max_tokens: int, *, conversation: str) -> Answer:
        """One reply."""
        return self._wait(self._turn(conversation, messages, max_tokens))

    def crowd(self, people: list[list[str]], max_tokens: int) -> Answer:
        """All at once."""
        return self._wait(self._crowd(people, max_tokens))

    def peak(self) -> Answer:
        """Of this process."""
        return {"bytes": peak_bytes()}

    def close(self) -> None:
        """Write what is resident to disk."""
        if hasattr(self, "_engine"):
            self._engine.close()

    def _wait(self, answer: Awaitable[Answer]) -> Answer:
        async def with_rest() -> Answer:
            said = await answer
            await rest(self._engine)
            return said

        return self._loop.run(with_rest())

    async def _turn(self, conversation: str, messages: Messages, max_tokens: int) -> Answer:
        session_id = SessionId("bench", conversation)
        self._engine.open_session(session_id)
        keep = len(messages) - 1
        return await self._reply(session_id, messages[-1]["content"], keep, max_tokens)

    async def _reply(
        self, session_id: SessionId, message: str, keep: int | None, max_tokens: int
    ) -> Answer:
        clock, text = TokenClock(), ""
        params = SamplingParams(temperature=0, max_tokens=max_tokens)
        async for event in self._engine.chat(session_id, message, keep=keep, params=params):
            if isinstance(event, Text):
                clock.piece()
                text += event.text
            elif isinstance(event, Finished):
                figures = event.figures
        given = figures.reused_tokens + figures.prefilled_tokens
        answer = clock.answer(text, figures.generated_tokens, given)
        return {**answer, "prefilled_tokens": figures.prefilled_tokens, "source": figures.source}

    async def _crowd(self, people: list[list[str]], max_tokens: int) -> Answer:
        async def person(said: list[str]) -> list[Answer]:
            session_id = SessionId("crowd", str(next(self._numbers)))
            self._engine.open_session(session_id)
            return [await self._reply(session_id, text, None, max_tokens) for text in said]

        began_at = time.perf_counter()
        turns = await asyncio.gather(*map(person, people))
        return crowd_answer(list(chain.from_iterable(turns)), time.perf_counter() - began_at)


if __name__ == "__main__":
    driver = Ours()
    try:
        serve(driver)
    finally:
        driver.close()
