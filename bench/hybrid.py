"""What a model with recurrent layers gains from states that are kept: Qwen3.5-0.8B's shape, random weights.

TTFT of a short message after histories of several turns: with KV and states kept, with both dropped, of an
edited last and fifth-last message, and behind a restart. A token is a byte here, so texts are as long as
their tokens. Ratios are medians of those of a round. The model given is not used. Looks inside the engine
for the size of a state.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from bench.conversation import new_session, ready_engine, rest, text_of, turn
from bench.hybrid_shape import QWEN3_5_0_8B
from bench.sessions import CROWDS, crowd
from bench.synthetic import model_dir
from engine import Engine, SessionId, TurnFigures
from engine.text import Tokenizer

NAME = "qwen3.5-0.8b"
HISTORIES = (0, 1024, 4096, 8192)
EDITED = 4096
EXCHANGES = 8
MESSAGE_TOKENS = 40
ROUNDS = 3
BUDGET = 2 << 30

Measured = dict[str, list[float]]


def run(_model_dir: Path) -> dict[str, Any]:
    """Measure, print a table, return the figures."""
    model = model_dir(NAME, shape=QWEN3_5_0_8B)
    tokenizer = Tokenizer(model)
    seconds: Measured = defaultdict(list)
    speeds: Measured = defaultdict(list)

    async def rounds(engine: Engine) -> None:
        for _ in range(ROUNDS):
            for history in HISTORIES:
                await _kept_and_reread(engine, tokenizer, history, seconds)
            await _edited(engine, tokenizer, seconds)
            for people in CROWDS:
                speeds[str(people)].append((await crowd(engine, tokenizer, people))[0])

    with TemporaryDirectory() as data:

        def opened() -> AbstractContextManager[Engine]:
            return ready_engine(model, kv_budget_bytes=BUDGET, data_dir=Path(data), titles=False)

        with opened() as engine:
            state_bytes = _state_bytes(engine)
            asyncio.run(rounds(engine))
        for _ in range(ROUNDS):
            _restarted(opened, tokenizer, seconds)
    for name, measured in seconds.items():
        print(f"{name:>24} {1e3 * median(measured):>9.1f} ms")
    return {
        "kept_over_reread_4096": _ratio(seconds, "kept after 4096", "re-read after 4096"),
        "edit_last_over_turn": _ratio(seconds, "last message edited", f"kept after {EDITED}"),
        "edit_fifth_last_over_turn": _ratio(
            seconds, "fifth-last message edited", f"kept after {EDITED}"
        ),
        "restart_over_turn": _ratio(seconds, "behind a restart", f"kept after {EDITED}"),
        "checkpoint_bytes": state_bytes,
        "tokens_per_s": {people: round(median(found), 1) for people, found in speeds.items()},
    }


async def _talk(engine: Engine, tokenizer: Tokenizer, history: int) -> SessionId:
    """A conversation of so many tokens, in turns."""
    session_id = new_session(engine)
    for _ in range(EXCHANGES if history else 0):
        message = text_of(tokenizer, history // EXCHANGES - 60)
        await turn(engine, session_id, message, max_tokens=8)
    await rest(engine)
    return session_id


async def _kept_and_reread(
    engine: Engine, tokenizer: Tokenizer, history: int, seconds: Measured
) -> None:
    session_id = await _talk(engine, tokenizer, history)
    num_before, message = len(engine.messages(session_id)), text_of(tokenizer, MESSAGE_TOKENS)
    kept = await turn(engine, session_id, message, max_tokens=2)
    await rest(engine)
    await engine.evict(session_id)
    again = await turn(engine, session_id, message, max_tokens=2, keep=num_before)
    seconds[f"kept after {history}"].append(_ttft(kept))
    seconds[f"re-read after {history}"].append(_ttft(again))
    engine.close_session(session_id)


async def _edited(engine: Engine, tokenizer: Tokenizer, seconds: Measured) -> None:
    """The last message, then the fifth-last, said otherwise."""
    session_id = await _talk(engine, tokenizer, EDITED)
    for name, exchange in (("last", 1), ("fifth-last", 5)):
        keep = len(engine.messages(session_id)) - 2 * exchange
        message = text_of(tokenizer, MESSAGE_TOKENS)
        found = await turn(engine, session_id, message, max_tokens=2, keep=keep)
        seconds[f"{name} message edited"].append(_ttft(found))
        await rest(engine)
    engine.close_session(session_id)


def _restarted(
    opened: Callable[[], AbstractContextManager[Engine]], tokenizer: Tokenizer, seconds: Measured
) -> None:
    with opened() as engine:
        session_id = asyncio.run(_talk(engine, tokenizer, EDITED))
    with opened() as engine:
        engine.open_session(session_id)
        message = text_of(tokenizer, MESSAGE_TOKENS)
        found = asyncio.run(turn(engine, session_id, message, max_tokens=2))
        seconds["behind a restart"].append(_ttft(found))
        engine.close_session(session_id)


def _state_bytes(engine: Engine) -> int:
    core = engine._owner.core
    assert core is not None, "it is ready"
    return core.parts.sharing.tiers.state_bytes


def _ttft(figures: TurnFigures) -> float:
    assert figures.ttft_s is not None, "there was a first token"
    return figures.ttft_s


def _ratio(seconds: Measured, above: str, below: str) -> float:
    pairs = zip(seconds[above], seconds[below], strict=True)
    return round(median(a / b for a, b in pairs), 3)
