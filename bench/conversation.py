"""What the benchmarks share: an engine that is ready and warm, texts of a wanted length, one turn.

Owns: no figures. A turn here is the same call that the page makes. Looks inside the engine for its
loader, which benchmarks put something around.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from engine import Engine, EngineConfig, Message, SamplingParams, SessionId, TurnFigures
from engine.events import Finished
from engine.loading import load
from engine.owner import Loader
from engine.text import ChatTemplate, Tokenizer, read_chat_template

_numbers = count()
_WORDS = (
    "The lake was calm in the morning and the boats went out early, while people on the shore "
    "talked about the weather, the price of fish and the road that was never repaired. "
)


class ExpectedTokens:
    """How many tokens a turn adds, from the texts alone, apart from the engine's own ledger."""

    def __init__(self, model_dir: Path) -> None:
        self.tokenizer = Tokenizer(model_dir)
        template = read_chat_template(model_dir)
        assert template is not None, "this benchmark needs a chat model"
        self._template: ChatTemplate = template

    def new_tokens(self, before: tuple[Message, ...], message: str) -> int:
        """Tokens that the template puts behind `before`, whose last message is a reply."""
        now = self._template.render([*before, Message("user", message)])
        known = self._template.render(before[:-1]) + before[-1].content if before else ""
        assert now.startswith(known)
        return len(self.tokenizer.encode(now[len(known) :]))


@contextmanager
def ready_engine(model_dir: Path, *, loader: Loader = load, **options: object) -> Iterator[Engine]:
    """An engine whose model is loaded and whose shapes are warm."""
    config = EngineConfig(model_dir=model_dir, **options)  # type: ignore[arg-type]
    engine = Engine(config, loader).start()
    try:
        engine.wait_ready()
        wait_warm(engine)
        yield engine
    finally:
        engine.close()


def wait_warm(engine: Engine) -> None:
    """Wait until nothing is left to be done ahead."""
    while not engine.stats().is_warm:
        time.sleep(0.02)


def new_session(engine: Engine, owner: str = "bench") -> SessionId:
    """A session that nobody used before."""
    session_id = SessionId(owner, str(next(_numbers)))
    engine.open_session(session_id)
    return session_id


def text_of(tokenizer: Tokenizer, num_tokens: int) -> str:
    """A text of exactly or one less than `num_tokens` tokens, different at every call."""
    text = f"Note {next(_numbers)}. " + _WORDS * (num_tokens // 30 + 1)
    ids = tokenizer.encode(text)[:num_tokens]
    return tokenizer.decode(ids).strip()


async def rest(engine: Engine) -> None:
    """What happens while people read: the engine finishes its work ahead."""
    while not engine.stats().is_warm:
        await asyncio.sleep(0.01)


async def turn(
    engine: Engine,
    session_id: SessionId,
    message: str,
    *,
    max_tokens: int,
    keep: int | None = None,
    gather_s: float = 0.0,
) -> TurnFigures:
    """One greedy turn's figures. gather_s: how long its text may gather."""
    params = SamplingParams(temperature=0, max_tokens=max_tokens)
    events = engine.chat(session_id, message, keep=keep, params=params, gather=lambda: gather_s)
    async for event in events:
        if isinstance(event, Finished):
            return event.figures
    raise AssertionError("the turn ended without Finished")
