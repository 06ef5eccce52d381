"""What the benchmarks share: an engine that is ready and warm, texts of a wanted length, one turn.

Owns: no figures. A turn here is the same call that the page makes.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from engine import Engine, EngineConfig, SamplingParams, SessionId, TurnFigures
from engine.events import Finished
from engine.tokenizer import Tokenizer

_numbers = count()
_WORDS = (
    "The lake was calm in the morning and the boats went out early, while people on the shore "
    "talked about the weather, the price of fish and the road that was never repaired. "
)


@contextmanager
def ready_engine(model_dir: Path, **options: object) -> Iterator[Engine]:
    """An engine whose model is loaded and whose shapes are warm."""
    engine = Engine(EngineConfig(model_dir=model_dir, **options)).start()  # type: ignore[arg-type]
    try:
        engine.wait_ready()
        while not engine.stats().is_warm:
            time.sleep(0.05)
        yield engine
    finally:
        engine.close()


def new_session(engine: Engine) -> SessionId:
    """A session that nobody used before."""
    session_id = SessionId("bench", str(next(_numbers)))
    engine.open_session(session_id)
    return session_id


def text_of(tokenizer: Tokenizer, num_tokens: int) -> str:
    """A text of exactly or one less than `num_tokens` tokens, different at every call."""
    text = f"Note {next(_numbers)}. " + _WORDS * (num_tokens // 30 + 1)
    ids = tokenizer.encode(text)[:num_tokens]
    return tokenizer.decode(ids).strip()


async def turn(
    engine: Engine,
    session_id: SessionId,
    message: str,
    *,
    max_tokens: int,
    keep: int | None = None,
) -> TurnFigures:
    """One greedy turn's figures."""
    params = SamplingParams(temperature=0, max_tokens=max_tokens)
    async for event in engine.chat(session_id, message, keep=keep, params=params):
        if isinstance(event, Finished):
            return event.figures
    raise AssertionError("the turn ended without Finished")
