"""Guesses on the real model, whose single tokens have a graph of their own."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from engine import Engine, EngineConfig, SamplingParams, SessionId
from engine.events import Text
from engine.scheduling.sequence import Batch
from engine.scheduling.speculation import NUM_GUESSES, Guesses, StepCosts

MESSAGES = (
    "Write a Python function that reverses a list.",
    "Write it again, with a docstring.",
    "Say the first version once more.",
)


def replies(model_dir: Path, sizes: list[int]) -> list[str]:
    """What a greedy conversation says. sizes: gets the tokens of each step."""
    config = EngineConfig(
        model_dir=model_dir, precision="f32", kv_precision="f32", kv_budget_bytes=64 << 20,
        warm_up=False, titles=False, single_token_graph=True,
    )  # fmt: skip
    engine = Engine(config).start()
    engine.wait_ready()
    assert engine._owner.core is not None

    def observe(batch: Batch, _seconds: float) -> None:
        sizes.append(batch.num_tokens)

    engine._owner.core.parts.runner.observers.append(observe)
    session_id, params = SessionId("tests", "guesses"), SamplingParams(temperature=0, max_tokens=90)

    async def turn(message: str) -> str:
        events = engine.chat(session_id, message, params=params)
        return "".join([event.text async for event in events if isinstance(event, Text)])

    try:
        engine.open_session(session_id)
        return [asyncio.run(turn(message)) for message in MESSAGES]
    finally:
        engine.close()


def ruled(guesses: bool) -> Callable[[StepCosts, Sequence[Guesses]], bool]:
    """A rule: guess wherever there is something to look up, or never."""
    return lambda _costs, replies: guesses and replies[0].has_found


def test_greedy_replies_are_the_same_in_fewer_steps(
    smollm2_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[list[str]] = []
    sizes: list[list[int]] = []
    for guesses in (False, True):
        monkeypatch.setattr(StepCosts, "should_guess", ruled(guesses))
        sizes.append([])
        said.append(replies(smollm2_dir, sizes[-1]))
    assert said[0] == said[1]
    assert len(sizes[1]) < 0.9 * len(sizes[0])
    assert 1 + NUM_GUESSES in sizes[1]
    assert sizes[1].count(1) > 20, "where there is nothing to look up"
