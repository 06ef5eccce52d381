"""Titles that SmolLM2 makes, and what they cost its conversations: nothing."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import Engine, EngineConfig, SessionId
from tests.real.test_engine import new_tokens, say

TALKS = {
    "What is the capital of France?": "Paris",
    "How do I reverse a list in Python?": "Python",
    "Explain to a child why the sky is blue.": "Sky",
}


@pytest.fixture(scope="module")
def engine(smollm2_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    config = EngineConfig(
        model_dir=smollm2_dir,
        # Many of an answer's and a title's words are nearly ties, which rounding decides otherwise
        # on each kind of CPU.
        precision="f32",
        kv_precision="f32",
        kv_budget_bytes=64 << 20,
        warm_up=False,
        data_dir=tmp_path_factory.mktemp("titles"),
        debug=True,
    )
    engine = Engine(config).start()
    engine.wait_ready()
    yield engine
    engine.close()


def rested(engine: Engine) -> None:
    # The last event of a turn comes before what the same step then finds to do.
    asyncio.run(engine._owner.call(lambda _core: None))
    deadline = time.monotonic() + 60
    while not engine.stats().is_warm:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    engine._journal.flush(10)


def title(engine: Engine, session_id: SessionId) -> str:
    (row,) = engine.library.conversations(session_id.owner)
    return row.title


@pytest.mark.parametrize("question", TALKS)
def test_a_conversation_is_named_after_what_it_is_about(engine: Engine, question: str) -> None:
    session_id = SessionId(question, "talk")
    engine.open_session(session_id)
    say(engine, session_id, question)
    rested(engine)
    made = title(engine, session_id)
    assert made != question
    assert TALKS[question] in made
    assert len(made) <= 60


def test_the_next_turn_prefills_its_new_tokens_only(engine: Engine, smollm2_dir: Path) -> None:
    session_id = SessionId("cost", "talk")
    engine.open_session(session_id)
    say(engine, session_id, "What is the capital of France?")
    rested(engine)
    branch = engine._sessions.find(session_id).active
    assert branch.sequence.num_uncached_tokens == 0
    before = engine.messages(session_id)
    expected = new_tokens(smollm2_dir, before, "And of Germany?")
    ahead = len(branch.sequence.tokens) - branch.ledger.num_tokens
    figures = say(engine, session_id, "And of Germany?")[1].figures
    assert figures.prefilled_tokens == expected - ahead
    assert figures.reused_tokens > ahead > 0
    assert engine.stats().kv_blocks_used > 0
