"""Models with a state beside the KV, as LFM2: what is said, and that only what is new is read for it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import openvino as ov
import pytest

from engine import Engine, EngineConfig, SessionId
from engine.errors import ModelUnsupported
from engine.metrics import KVSource
from engine.model.checking import compare
from engine.model.paging import STATE_TABLE, read_paged
from tests.export.test_families import write_ir
from tests.real.recurrent import KINDS, Model, check_said, make_model, say, start, talk, tokens

ONE = SessionId("owner", "one")
FIRST, SECOND, THIRD = "A first question", "And a second one?", "The third."


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return make_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def engine(model: Model) -> Iterator[Engine]:
    engine = start(model)
    engine.open_session(ONE)
    yield engine
    engine.close()


@pytest.mark.parametrize("single", [False, True])
def test_a_turn_reads_only_what_is_new(model: Model, *, single: bool) -> None:
    engine = start(model, single_token_graph=single)
    engine.open_session(ONE)
    before = 0
    for message in (FIRST, SECOND, THIRD):
        _, figures = say(engine, ONE, message)
        assert figures.reused_tokens >= before
        before = len(tokens(engine, ONE)) - 1  # the last one has only been sampled
        check_said(model, engine, ONE)
    engine.close()


def test_a_new_answer_costs_one_token_and_an_edit_its_message(model: Model, engine: Engine) -> None:
    first, _ = say(engine, ONE, FIRST)
    behind_first = len(tokens(engine, ONE)) - 1
    second, _ = say(engine, ONE, SECOND)
    again, figures = say(engine, ONE, SECOND, keep=2)
    assert (again, figures.prefilled_tokens) == (second, 1)
    _, figures = say(engine, ONE, "Another second one", keep=2)
    assert figures.reused_tokens >= behind_first
    check_said(model, engine, ONE)
    again, figures = say(engine, ONE, FIRST, keep=0)
    assert (again, figures.prefilled_tokens) == (first, 1)


def test_another_version_goes_on_where_it_was_and_an_undone_turn_is_forgotten(
    model: Model, engine: Engine
) -> None:
    say(engine, ONE, FIRST)
    behind_first = len(tokens(engine, ONE)) - 1
    say(engine, ONE, SECOND)
    behind_second = len(tokens(engine, ONE)) - 1
    say(engine, ONE, THIRD, keep=2)
    old = engine.transcript(ONE)[2].versions[0]
    asyncio.run(engine.switch(ONE, old))
    _, figures = say(engine, ONE, THIRD)
    assert figures.reused_tokens >= behind_second
    check_said(model, engine, ONE)
    asyncio.run(engine.truncate(ONE, 2))
    _, figures = say(engine, ONE, "Anew")
    assert figures.reused_tokens >= behind_first
    check_said(model, engine, ONE)


@pytest.fixture(scope="module", params=[kind for kind in KINDS if kind != "lfm2"])
def another(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    return make_model(tmp_path_factory.mktemp(request.param), request.param)


@pytest.mark.parametrize("single", [False, True])
def test_other_layers_go_on_go_back_and_come_from_disk_as_well(
    another: Model, tmp_path: Path, *, single: bool
) -> None:
    engine = start(another, data_dir=tmp_path, single_token_graph=single)
    sessions = [SessionId("owner", name) for name in ("one", "two", "three")]
    for session_id in sessions:
        engine.open_session(session_id)

    async def all_of_them(message: str) -> None:
        await asyncio.gather(*(talk(engine, session_id, message) for session_id in sessions))

    asyncio.run(all_of_them(FIRST * 3))
    behind_first = len(tokens(engine, ONE)) - 1
    asyncio.run(all_of_them(SECOND))
    _, figures = say(engine, ONE, SECOND, keep=2)
    assert figures.prefilled_tokens == 1
    _, figures = say(engine, ONE, THIRD, keep=2)
    assert figures.reused_tokens >= behind_first
    for session_id in sessions:
        check_said(another, engine, session_id)
    engine.close()
    engine = start(another, data_dir=tmp_path, single_token_graph=single)
    engine.open_session(ONE)
    _, figures = say(engine, ONE, THIRD, keep=2)
    assert (figures.prefilled_tokens, figures.source) == (1, KVSource.DISK)
    say(engine, ONE, FIRST)
    check_said(another, engine, ONE)
    engine.close()


def test_several_talk_at_once_as_if_they_were_alone(model: Model, engine: Engine) -> None:
    sessions = [SessionId(f"owner {i}", "talk") for i in range(5)]
    for session_id in sessions:
        engine.open_session(session_id)

    async def conversation(number: int) -> None:
        for message in (FIRST * (number + 1), SECOND, THIRD):
            await talk(engine, sessions[number], message)

    async def all_of_them() -> None:
        await asyncio.gather(*map(conversation, range(len(sessions))))

    asyncio.run(all_of_them())
    for session_id in sessions:
        check_said(model, engine, session_id)


async def prefilled(engine: Engine) -> None:
    """Wait until the draft that was told last is computed."""
    await engine.count_tokens("")  # behind the draft, in the engine's thread
    while not engine.is_prefilled(ONE):
        await asyncio.sleep(0.005)


def test_an_answer_is_the_same_when_the_message_is_typed_slowly(
    model: Model, engine: Engine
) -> None:
    say(engine, ONE, FIRST)
    behind_first = len(tokens(engine, ONE)) - 1
    for draft in ("The", "The third one", "Then the second question", "And a second", SECOND):
        engine.draft(ONE, draft)
        asyncio.run(prefilled(engine))
    _, figures = say(engine, ONE, SECOND)
    assert figures.reused_tokens > behind_first + len("And a second")
    check_said(model, engine, ONE)


def test_a_conversation_comes_back_from_disk_with_its_ways_back(
    model: Model, tmp_path: Path
) -> None:
    engine = start(model, data_dir=tmp_path)
    engine.open_session(ONE)
    say(engine, ONE, FIRST * 4)
    second, _ = say(engine, ONE, SECOND * 4)
    behind_second = len(tokens(engine, ONE)) - 1
    engine.close()
    engine = start(model, data_dir=tmp_path)
    engine.open_session(ONE)
    again, figures = say(engine, ONE, SECOND * 4, keep=2)
    assert (again, figures.prefilled_tokens, figures.source) == (second, 1, KVSource.DISK)
    asyncio.run(engine.evict(ONE))
    _, figures = say(engine, ONE, THIRD)
    assert figures.reused_tokens >= behind_second
    check_said(model, engine, ONE)
    engine.close()


def test_a_file_brings_its_states_along(model: Model, engine: Engine) -> None:
    say(engine, ONE, FIRST * 4)
    behind = len(tokens(engine, ONE)) - 1
    raw = asyncio.run(engine.export_portable(ONE))
    other, there = start(model), SessionId("somebody", "else")
    other.open_session(there)
    asyncio.run(other.import_file(there, raw))
    _, figures = say(other, there, SECOND)
    assert figures.reused_tokens >= behind
    check_said(model, other, there)
    other.close()


def test_the_operators_prompt_is_read_once(model: Model) -> None:
    engine = start(model, system_prompt="You answer in few words. " * 4)
    sessions = [SessionId(owner, "talk") for owner in ("one", "two")]
    reused = []
    for session_id in sessions:
        engine.open_session(session_id)
        reused.append(say(engine, session_id, FIRST)[1].reused_tokens)
        check_said(model, engine, session_id)
    assert reused[0] == reused[1] > 100
    engine.close()


def test_keys_beside_a_state_are_not_moved(model: Model) -> None:
    config = EngineConfig(model_dir=model.path, overflow="shift", kv_budget_bytes=16 << 20)
    engine = Engine(config).start()
    with pytest.raises(ModelUnsupported, match="recurrent state"):
        engine.wait_ready()
    engine.close()


def test_with_and_without_paging_it_computes_the_same(model: Model) -> None:
    compare(model.path, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_states_that_are_inputs_and_outputs_become_states_of_the_graph(
    kind: str, tmp_path: Path
) -> None:
    make_model(tmp_path, kind)
    explicit = write_ir(tmp_path / "source", tmp_path / "explicit", "explicit").parent
    tables = [
        port for port in read_paged(ov.Core(), explicit).inputs if STATE_TABLE in port.any_name
    ]
    assert tables
    compare(explicit, 2)
