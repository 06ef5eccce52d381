"""What holds of every engine: the scripted one, which the page's tests talk to, and a real model's.

The scenarios are the same for both, so that the one cannot drift from the other. They differ in how
something long comes about: a turn that a script holds, or a story that is told for a while.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from engine import Engine, EngineConfig, Grammar, Message, SamplingParams, SessionId, TurnFigures
from engine.conversations import Node
from engine.errors import (
    EmptyMessage,
    EngineClosed,
    MessageTooLong,
    RequestError,
    SessionBusy,
    SessionNotFound,
)
from engine.events import Event, Finished, FinishReason, Prefilling, Queued, Text
from engine.metrics import KVSource
from tests.scripted import HOLD, Say, ScriptedEngine

FRANCE, ITALY = "What is the capital of France?", "And what is the capital of Italy?"
STORY = "Tell me a very long story about a lighthouse keeper."
READING = "The keeper climbed the stairs every evening, and lit the lamp. " * 10
FEW = SamplingParams(temperature=0, max_tokens=5)
WHOLE = SamplingParams(temperature=0, max_tokens=64)
LONG = SamplingParams(temperature=0, max_tokens=2000)
PATIENCE_S = 120.0


@dataclass
class Stage:
    """An engine over a folder, which can be ended and started again."""

    make: Callable[[], Engine]
    engine: Engine = field(init=False)

    def start(self) -> None:
        self.engine = self.make().start()
        self.engine.wait_ready(PATIENCE_S)

    def restart(self) -> Engine:
        """Start anew; returns the engine that was ended."""
        old = self.engine
        old.close(PATIENCE_S)
        self.start()
        return old

    def expect_something_long(self) -> None:
        """The next turn goes on until it is ended."""
        if isinstance(self.engine, ScriptedEngine):
            self.engine.script.write(Say("Once upon a time"), HOLD)


@pytest.fixture(scope="module", params=["scripted", pytest.param("real", marks=pytest.mark.model)])
def stage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("contract")
    made = Stage(partial(ScriptedEngine, folder))
    if request.param == "real":
        config = EngineConfig(
            model_dir=request.getfixturevalue("smollm2_dir"),
            data_dir=folder,
            kv_budget_bytes=256 << 20,
            max_num_batched_tokens=64,  # for short messages to take more than one step
            precision="f32",  # rounding would decide how an answer begins, and whether it ends
            kv_precision="f32",
            titles=False,
            warm_up=False,
        )
        made = Stage(partial(Engine, config))
    made.start()
    yield made
    run(made.engine._owner.call(lambda core: core.check_integrity()))
    made.engine.close(PATIENCE_S)


@pytest.fixture
def engine(stage: Stage) -> Engine:
    return stage.engine


@pytest.fixture
def talk(stage: Stage, request: pytest.FixtureRequest) -> Iterator[SessionId]:
    """An empty conversation, the only one of its owner."""
    session_id = SessionId(request.node.name, "conversation")
    stage.engine.open_session(session_id)
    yield session_id
    stage.engine.close_session(session_id)


class Turn:
    """A turn's events, as they come."""

    def __init__(self, stream: AsyncGenerator[Event, None]) -> None:
        self.stream = stream
        self.events: list[Event] = []

    async def begin(self) -> "Turn":
        """Up to its first text."""
        async for event in self.stream:
            self.events.append(event)
            if isinstance(event, Text):
                return self
        raise AssertionError(f"there was no text: {self.events}")

    async def end(self) -> "Turn":
        """Up to its end."""
        self.events += [event async for event in self.stream]
        kinds = [(Queued, Prefilling, Text, Finished).index(type(e)) for e in self.events]
        assert kinds == sorted(kinds)
        assert kinds.count(3) == 1
        return self

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Text))

    @property
    def finished(self) -> Finished:
        assert isinstance(self.events[-1], Finished)
        return self.events[-1]

    @property
    def reason(self) -> FinishReason:
        return self.finished.reason

    @property
    def figures(self) -> TurnFigures:
        return self.finished.figures


def run(scenario: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(scenario, PATIENCE_S))


def say(
    engine: Engine,
    talk: SessionId,
    message: str,
    *,
    keep: int | None = None,
    behind: list[Message] | None = None,
    params: SamplingParams = FEW,
) -> Turn:
    """A whole turn."""
    turn = Turn(engine.chat(talk, message, keep=keep, behind=behind, params=params))
    run(turn.end())
    return turn


def go_on(engine: Engine, talk: SessionId, params: SamplingParams = FEW) -> Turn:
    """More of the last reply."""
    turn = Turn(engine.continue_reply(talk, params=params))
    run(turn.end())
    return turn


async def begin_something_long(stage: Stage, talk: SessionId) -> Turn:
    """A turn under way, whose first text has come."""
    stage.expect_something_long()
    return await Turn(stage.engine.chat(talk, STORY, params=LONG)).begin()


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


def last(engine: Engine, talk: SessionId) -> Node:
    """The last message."""
    return engine.transcript(talk)[-1].node


def versions(engine: Engine, talk: SessionId) -> list[int]:
    """How many there are of each message."""
    return [len(entry.versions) for entry in engine.transcript(talk)]


def test_an_engine_that_is_ready_says_what_it_is(engine: Engine) -> None:
    assert engine.status == "ready"
    assert engine.error is None
    assert engine.info.name
    assert engine.info.has_chat_template
    assert 0 < engine.info.context_length <= engine.info.num_blocks * engine.info.block_size
    assert engine.stats().kv_blocks_total == engine.info.num_blocks


@pytest.mark.parametrize("message", [FRANCE, READING + FRANCE])
def test_the_pieces_of_a_turn_are_its_reply(engine: Engine, talk: SessionId, message: str) -> None:
    turn = say(engine, talk, message)
    assert engine.messages(talk) == (Message("user", message), Message("assistant", turn.text))
    assert last(engine, talk).ending == turn.finished
    assert last(engine, talk).status == "complete"
    assert turn.figures.generated_tokens > 0
    assert turn.figures.ttft_s is not None


def test_an_answer_ends_by_itself(engine: Engine, talk: SessionId) -> None:
    turn = say(engine, talk, FRANCE, params=WHOLE)
    assert "France" in turn.text
    assert turn.reason is FinishReason.STOP
    assert not last(engine, talk).is_unfinished


def test_an_answer_ends_before_a_stop_string(engine: Engine, talk: SessionId) -> None:
    params = SamplingParams(temperature=0, max_tokens=64, stop=(" ",))
    turn = say(engine, talk, FRANCE, params=params)
    assert turn.text == last(engine, talk).content
    assert turn.text
    assert " " not in turn.text
    assert turn.reason is FinishReason.STOP


def test_the_second_turn_reads_only_what_is_new(engine: Engine, talk: SessionId) -> None:
    say(engine, talk, FRANCE + " " + READING)
    figures = say(engine, talk, ITALY).figures
    said = "".join(message.content for message in engine.messages(talk))
    assert figures.reused_tokens > 0
    assert figures.source is KVSource.MEMORY
    assert figures.prefilled_tokens < run(engine.count_tokens(said)) / 2


def test_an_edit_is_a_branch(engine: Engine, talk: SessionId) -> None:
    say(engine, talk, FRANCE)
    before = engine.messages(talk)
    other = say(engine, talk, ITALY, keep=0)
    assert engine.messages(talk) == (Message("user", ITALY), Message("assistant", other.text))
    assert versions(engine, talk) == [2, 1]
    run(engine.switch(talk, engine.transcript(talk)[0].versions[0]))
    assert engine.messages(talk) == before
    assert versions(engine, talk) == [2, 1]


def test_the_same_message_again_gets_another_reply(engine: Engine, talk: SessionId) -> None:
    say(engine, talk, FRANCE)
    first = last(engine, talk).id
    turn = say(engine, talk, FRANCE, keep=0)
    assert turn.figures.prefilled_tokens == 1
    assert versions(engine, talk) == [1, 2]
    assert engine.transcript(talk)[1].versions == (first, last(engine, talk).id)
    run(engine.switch(talk, first))
    assert last(engine, talk).id == first


def test_what_is_cut_off_stays_as_a_branch(engine: Engine, talk: SessionId) -> None:
    say(engine, talk, FRANCE)
    say(engine, talk, ITALY)
    before = engine.transcript(talk)
    run(engine.truncate(talk, 2))
    assert engine.transcript(talk) == before[:2]
    run(engine.switch(talk, before[3].node.id))
    assert engine.transcript(talk) == before
    run(engine.truncate(talk, 0))
    assert engine.messages(talk) == ()


def test_a_place_that_is_not_there_is_refused(engine: Engine, talk: SessionId) -> None:
    say(engine, talk, FRANCE, params=WHOLE)
    before = engine.transcript(talk)
    for refused in (partial(say, engine, talk, ITALY, keep=3), partial(go_on, engine, talk)):
        with pytest.raises(RequestError):
            refused()
    for command in (engine.truncate(talk, 3), engine.switch(talk, before[-1].node.id + 1)):
        with pytest.raises(RequestError):
            run(command)
    assert engine.transcript(talk) == before


def test_a_cut_answer_goes_on(engine: Engine, talk: SessionId) -> None:
    cut = say(engine, talk, STORY)
    assert (cut.reason, cut.figures.generated_tokens) == (FinishReason.LENGTH, 5)
    assert last(engine, talk).is_unfinished
    node_id = last(engine, talk).id
    more = go_on(engine, talk)
    assert more.text
    assert more.figures.prefilled_tokens <= 1
    assert engine.messages(talk)[1:] == (Message("assistant", cut.text + more.text),)
    assert last(engine, talk).id == node_id


def test_cancel_keeps_what_was_said(stage: Stage, engine: Engine, talk: SessionId) -> None:
    async def scenario() -> Turn:
        turn = await begin_something_long(stage, talk)
        assert engine.messages(talk) == (Message("user", STORY),), "the reply comes with its end"
        engine.cancel(talk)
        return await turn.end()

    turn = run(scenario())
    assert turn.reason is FinishReason.CANCELLED
    assert engine.messages(talk) == (Message("user", STORY), Message("assistant", turn.text))
    assert last(engine, talk).is_unfinished
    assert go_on(engine, talk).text
    assert last(engine, talk).content.startswith(turn.text)


def test_closing_the_generator_does_so_too(stage: Stage, engine: Engine, talk: SessionId) -> None:
    async def scenario() -> Turn:
        turn = await begin_something_long(stage, talk)
        await turn.stream.aclose()
        await until(lambda: len(engine.messages(talk)) == 2)
        return turn

    turn = run(scenario())
    assert last(engine, talk).status == "interrupted"
    assert last(engine, talk).content.startswith(turn.text)


def test_a_conversation_says_one_thing_at_a_time(
    stage: Stage, engine: Engine, talk: SessionId
) -> None:
    async def scenario() -> None:
        turn = await begin_something_long(stage, talk)
        before = engine.transcript(talk)
        with pytest.raises(SessionBusy):
            await Turn(engine.chat(talk, FRANCE)).begin()
        with pytest.raises(SessionBusy):
            await engine.truncate(talk, 0)
        with pytest.raises(SessionBusy):
            await engine.switch(talk, before[0].node.id)
        with pytest.raises(SessionBusy):
            await engine.export_portable(talk)
        assert engine.transcript(talk) == before
        await turn.stream.aclose()

    run(scenario())


def test_several_conversations_talk_at_once(engine: Engine, talk: SessionId) -> None:
    async def scenario() -> list[Turn]:
        ids = [talk._replace(conversation=f"{i}") for i in range(3)]
        for session_id in ids:
            engine.open_session(session_id)
        turns = [Turn(engine.chat(session_id, FRANCE, params=WHOLE)) for session_id in ids]
        await asyncio.gather(*(turn.end() for turn in turns))
        for session_id, turn in zip(ids, turns, strict=True):
            assert engine.messages(session_id)[1:] == (Message("assistant", turn.text),)
            engine.close_session(session_id)
        return turns

    assert all("France" in turn.text for turn in run(scenario()))


def test_what_cannot_be_said_is_refused_and_changes_nothing(
    engine: Engine, talk: SessionId
) -> None:
    say(engine, talk, FRANCE)
    before = engine.transcript(talk)
    with pytest.raises(EmptyMessage):
        say(engine, talk, " \n")
    with pytest.raises(MessageTooLong):
        say(engine, talk, "word " * engine.info.context_length)
    assert engine.transcript(talk) == before


def test_a_grammar_that_cannot_be_used_is_refused_and_changes_nothing(
    engine: Engine, talk: SessionId
) -> None:
    say(engine, talk, FRANCE)
    before = engine.transcript(talk)
    with pytest.raises(RequestError, match="grammar"):
        run(Turn(engine.chat(talk, ITALY, grammar=Grammar("regex", "(a"))).end())
    assert engine.transcript(talk) == before


def test_a_conversation_that_is_not_open_is_not_found(engine: Engine) -> None:
    nobody = SessionId("nobody", "conversation")
    for ask in (engine.messages, engine.transcript, engine.export_json, engine.is_prefilled):
        with pytest.raises(SessionNotFound):
            ask(nobody)
    for command in (
        Turn(engine.chat(nobody, FRANCE)).end(),
        Turn(engine.continue_reply(nobody)).end(),
        engine.truncate(nobody, 0),
        engine.rate(nobody, 1, "like"),
    ):
        with pytest.raises(SessionNotFound):
            run(command)


def test_a_closed_conversation_comes_back_from_disk(engine: Engine, talk: SessionId) -> None:
    say(engine, talk, FRANCE)
    before = engine.transcript(talk)
    engine.close_session(talk)
    with pytest.raises(SessionNotFound):
        engine.messages(talk)
    engine.open_session(talk)
    assert engine.transcript(talk) == before


def test_an_answer_can_be_liked(engine: Engine, talk: SessionId) -> None:
    say(engine, talk, FRANCE)
    question, answer = (entry.node.id for entry in engine.transcript(talk))
    run(engine.rate(talk, answer, "like"))
    assert last(engine, talk).feedback == "like"
    run(engine.rate(talk, answer, None))
    assert last(engine, talk).feedback is None
    with pytest.raises(RequestError):
        run(engine.rate(talk, question, "like"))


def test_an_answer_can_be_edited_and_goes_on(engine: Engine, talk: SessionId) -> None:
    first = say(engine, talk, FRANCE)
    question, answer = (entry.node.id for entry in engine.transcript(talk))
    with pytest.raises(RequestError):
        run(engine.edit_reply(talk, question, "Else"))
    run(engine.edit_reply(talk, answer, "In short, it is"))
    edited = last(engine, talk)
    assert (edited.content, edited.is_edited, edited.ending) == (
        "In short, it is", True, None,
    )  # fmt: skip
    assert engine.transcript(talk)[1].versions == (answer, edited.id)
    more = go_on(engine, talk)
    assert last(engine, talk).content == f"In short, it is{more.text}"
    run(engine.switch(talk, answer))
    assert last(engine, talk).content == first.text


@pytest.mark.parametrize("form", ["markdown", "json", "portable"])
def test_what_was_exported_is_talked_on_with_elsewhere(
    engine: Engine, talk: SessionId, form: str
) -> None:
    say(engine, talk, FRANCE)
    files: dict[str, Callable[[], bytes]] = {
        "markdown": lambda: engine.export_markdown(talk).encode(),
        "json": lambda: engine.export_json(talk).encode(),
        "portable": lambda: bytes(run(engine.export_portable(talk))),
    }
    raw, new = files[form](), talk._replace(conversation="new")
    run(engine.import_file(new, raw))
    assert engine.messages(new) == engine.messages(talk)
    turn = say(engine, new, ITALY)
    assert len(engine.messages(new)) == 4
    if form == "portable":
        assert turn.figures.source is KVSource.MEMORY
        assert turn.figures.prefilled_tokens < run(engine.count_tokens(FRANCE + ITALY)) + 40
    with pytest.raises(RequestError):
        run(engine.import_file(new, raw))
    engine.close_session(new)


def test_a_turn_behind_given_messages_goes_on_where_they_were_said(
    engine: Engine, talk: SessionId
) -> None:
    first = say(engine, talk, FRANCE)
    said = [*engine.messages(talk)]
    turn = say(engine, talk, ITALY, behind=said)
    assert turn.figures.reused_tokens > run(engine.count_tokens(FRANCE))
    assert len(engine.messages(talk)) == 4
    elsewhere = Message("assistant", "It is Lyon.")
    say(engine, talk, ITALY, behind=[said[0], elsewhere])
    assert engine.messages(talk)[:3] == (said[0], elsewhere, Message("user", ITALY))
    say(engine, talk, FRANCE, behind=[])
    question, reply = engine.transcript(talk)
    assert (len(question.versions), len(reply.versions)) == (1, 3)
    assert first.text in {
        engine._sessions.find(talk).conversation.nodes[n].content for n in reply.versions
    }


def test_a_conversation_that_is_being_answered_is_branched_off_with_its_kv(
    stage: Stage, engine: Engine, talk: SessionId
) -> None:
    say(engine, talk, FRANCE)
    said, other = [*engine.messages(talk)], talk._replace(conversation="other")

    async def scenario() -> Turn:
        turn = await begin_something_long(stage, talk)
        with pytest.raises(SessionBusy):
            await Turn(engine.chat(talk, ITALY, behind=said, params=FEW)).end()
        await engine.branch_off(talk, other, [*said, Message("user", "Never said.")])
        beside = await Turn(engine.chat(other, ITALY, behind=said, params=FEW)).end()
        engine.cancel(talk)
        await turn.end()
        return beside

    beside = run(scenario())
    assert beside.figures.reused_tokens > run(engine.count_tokens(FRANCE))
    assert engine.messages(other)[:2] == tuple(said)
    assert len(engine.messages(other)) == 4
    with pytest.raises(RequestError):
        run(engine.branch_off(talk, other, said))
    engine.close_session(other)


def test_the_tokens_of_a_prompt_are_counted_as_the_turn_has_them(
    engine: Engine, talk: SessionId
) -> None:
    say(engine, talk, FRANCE)
    messages = [*engine.messages(talk), Message("user", ITALY)]
    count = run(engine.num_prompt_tokens(messages))
    turn = say(engine, talk, ITALY)
    assert turn.figures.reused_tokens + turn.figures.prefilled_tokens == count
    assert run(engine.num_prompt_tokens(messages, system="Be brief.")) != count
    with pytest.raises(EmptyMessage):
        run(engine.num_prompt_tokens([Message("user", " ")]))


def test_text_and_tokens_become_each_other(engine: Engine) -> None:
    tokens = run(engine.tokens(FRANCE))
    assert run(engine.text_of(tokens)) == FRANCE
    assert run(engine.count_tokens(FRANCE)) == len(tokens)
    for token in (-1, 10**9):
        with pytest.raises(RequestError):
            run(engine.text_of([token]))


def test_a_draft_is_read_before_it_is_sent(engine: Engine, talk: SessionId) -> None:
    say(engine, talk, FRANCE)
    draft = f"{ITALY} {READING}"

    async def scenario() -> None:
        engine.draft(talk, draft)
        await engine.count_tokens("")  # stands in the queue behind it
        await until(lambda: engine.is_prefilled(talk))

    run(scenario())
    assert engine.num_uncached_tokens(talk) == 0
    turn = say(engine, talk, draft)
    assert turn.figures.prefilled_tokens < run(engine.count_tokens(ITALY)) * 3
    assert turn.figures.reused_tokens > run(engine.count_tokens(READING)) / 2


def test_the_library_lists_names_pins_deletes_and_restores(engine: Engine, talk: SessionId) -> None:
    def titles(search: str = "") -> list[str]:
        return [row.title for row in engine.library.conversations(talk.owner, search)]

    other = talk._replace(conversation="other")
    engine.open_session(other)
    say(engine, talk, FRANCE)
    before = engine.transcript(talk)
    say(engine, other, ITALY)
    run(until(lambda: titles() == [ITALY, FRANCE]))  # the ends of answers are stored later
    assert titles("OF ITALY") == [ITALY]
    assert titles("Atlantis") == []
    engine.library.rename(talk, "  The  first ")
    engine.library.pin(talk, True)
    assert titles() == ["The first", ITALY]
    engine.library.delete(talk)
    assert titles() == [ITALY]
    with pytest.raises(SessionNotFound):
        engine.messages(talk)
    engine.library.restore_deleted(talk)
    assert titles() == ["The first", ITALY]
    engine.open_session(talk)
    assert engine.transcript(talk) == before
    engine.close_session(other)


def test_text_is_completed_without_a_conversation(engine: Engine) -> None:
    before = engine.stats().sessions
    turn = Turn(engine.complete("The capital of France is", FEW))
    run(turn.end())
    assert turn.text
    assert (turn.reason, turn.figures.generated_tokens) == (FinishReason.LENGTH, 5)
    assert engine.stats().sessions == before
    with pytest.raises(EmptyMessage):
        run(Turn(engine.complete(" ", FEW)).end())


def test_a_completion_is_cancelled_by_its_name(stage: Stage, engine: Engine) -> None:
    async def scenario() -> Turn:
        stage.expect_something_long()
        turn = await Turn(engine.complete("Once upon a time", LONG, name="mine")).begin()
        engine.cancel_completion("mine")
        return await turn.end()

    turn = run(scenario())
    assert turn.reason is FinishReason.CANCELLED
    assert turn.text
    assert engine.stats().running == 0


def test_the_figures_tell_what_runs_and_what_is_kept(
    stage: Stage, engine: Engine, talk: SessionId
) -> None:
    before = engine.stats()
    assert talk in before.blocks_by_session
    assert (before.running, before.waiting) == (0, 0)

    async def scenario() -> None:
        turn = await begin_something_long(stage, talk)
        during = engine.stats()
        assert (during.running, during.waiting) == (1, 0)
        assert during.tokens_generated > before.tokens_generated
        engine.cancel(talk)
        await turn.end()

    run(scenario())
    after = engine.stats()
    assert after.running == 0
    assert after.sessions == before.sessions
    assert 0 < after.blocks_by_session[talk] <= after.kv_blocks_used <= after.kv_blocks_total


def test_an_engine_that_ends_in_mid_answer_has_it_after_the_next_start(
    stage: Stage, engine: Engine, talk: SessionId
) -> None:
    say(engine, talk, FRANCE)
    run(engine.rate(talk, last(engine, talk).id, "like"))
    say(engine, talk, ITALY, keep=0)

    async def scenario() -> Turn:
        turn = await begin_something_long(stage, talk)
        await asyncio.to_thread(stage.restart)
        return await turn.end()

    turn = run(scenario())
    assert turn.reason is FinishReason.CANCELLED
    assert engine.status == "closed"
    for refused in (partial(say, engine, talk, FRANCE), partial(go_on, engine, talk)):
        with pytest.raises(EngineClosed):
            refused()
    with pytest.raises(EngineClosed):
        run(engine.truncate(talk, 0))
    stage.engine.open_session(talk)
    assert stage.engine.transcript(talk) == engine.transcript(talk)
    assert last(stage.engine, talk).content == turn.text
    assert go_on(stage.engine, talk).text
    run(stage.engine.switch(talk, engine.transcript(talk)[0].versions[0]))
    assert last(stage.engine, talk).feedback == "like"
