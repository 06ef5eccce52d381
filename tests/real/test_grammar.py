"""SmolLM2 under grammars: JSON of a schema at any temperature, beside replies that are free."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import Engine, EngineConfig, Grammar, SamplingParams, SessionId
from engine.events import Finished, FinishReason, Text

SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 20},
        "kind": {"enum": ["capital", "village"]},
        "people": {"type": "integer", "minimum": 0, "maximum": 99999999},
    },
    "required": ["city", "kind", "people"],
    "additionalProperties": False,
}
QUESTION = "Tell me about Tokyo as JSON."


@pytest.fixture(scope="module")
def engine(smollm2_dir: Path) -> Iterator[Engine]:
    config = EngineConfig(
        model_dir=smollm2_dir, kv_budget_bytes=64 << 20, warm_up=False, titles=False
    )
    engine = Engine(config)
    engine.start().wait_ready()
    yield engine
    engine.close()


async def said(
    engine: Engine, name: str, params: SamplingParams, grammar: Grammar | None
) -> tuple[str, Finished]:
    session_id = SessionId("grammar", name)
    engine.open_session(session_id)
    text = ""
    async for event in engine.chat(session_id, QUESTION, params=params, grammar=grammar):
        if isinstance(event, Text):
            text += event.text
        elif isinstance(event, Finished):
            engine.close_session(session_id)
            return text, event
    raise AssertionError("no Finished event")


def test_json_of_a_schema_beside_free_replies(engine: Engine) -> None:
    grammar = Grammar.of_schema(SCHEMA)

    async def all_of_them() -> list[tuple[str, Finished]]:
        params = [
            SamplingParams(temperature=t, max_tokens=200, seed=7, repetition_penalty=r)
            for t, r in ((0, 1), (0.8, 1.1), (1.5, 1))
        ]
        bound = [said(engine, f"bound {i}", p, grammar) for i, p in enumerate(params)]
        greedy = SamplingParams(temperature=0, max_tokens=20)
        return await asyncio.gather(*bound, said(engine, "free", greedy, None))

    *bound, (free, _) = asyncio.run(all_of_them())
    for text, finished in bound:
        told = json.loads(text)
        assert finished.reason is FinishReason.STOP
        assert set(told) == set(SCHEMA["properties"])  # type: ignore[call-overload]
        assert told["kind"] in ("capital", "village")
        assert 0 <= told["people"] <= 99999999
    assert not free.startswith("{")


def test_an_answer_out_of_a_list(engine: Engine) -> None:
    grammar = Grammar("regex", "(red|green|blue)")
    params = SamplingParams(temperature=1.0, max_tokens=20, seed=3)
    text, finished = asyncio.run(said(engine, "list", params, grammar))
    assert text in ("red", "green", "blue")
    assert finished.reason is FinishReason.STOP
