"""Answers that go on while their readers come and go, over a scripted engine."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from engine import SessionId
from engine.events import FinishReason, Prefilling
from tests.scripted import HOLD, End, Engines, Say, ScriptedEngine, Tell
from tests.web.turns.watched import Watched
from web.options import Options
from web.startup import Startup
from web.turns import live_turn
from web.turns.frames import Frame
from web.turns.live_turn import Request
from web.turns.turns import Turns

ID, OTHER = SessionId("owner", "conversation"), SessionId("owner", "another")
TAB, SECOND = "tab", "second tab"


@pytest.fixture
def engine(engines: Engines) -> ScriptedEngine:
    return engines()


@pytest.fixture
def turns(engine: ScriptedEngine, started: Callable[[ScriptedEngine], Startup]) -> Turns:
    return Turns(started(engine))


@pytest.fixture
def impatient(engine: ScriptedEngine, options: Options) -> Turns:
    """Of a server that ends answers as soon as nobody is there."""
    startup = Startup(
        replace(options, keep_answering_s=0), lambda _options, _progress: engine
    ).start()
    startup._thread.join()
    return Turns(startup)


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(coroutine, timeout=60))


def says(text: str) -> Callable[[Frame], bool]:
    return lambda frame: frame.text == text


async def held(turns: Turns, engine: ScriptedEngine, session_id: SessionId = ID) -> Watched[Frame]:
    """An answer that stands still behind its first words, which the page shows."""
    engine.script.write(Say("Once upon"), HOLD)
    turn = Watched(turns.run(TAB, Request(session_id, "A story.", [])))
    await turn.until(says("Once upon"))
    return turn


async def ended(turns: Turns) -> None:
    """Wait until no answer is under way any more."""
    await asyncio.gather(*(running._task for running in turns._live.values()))


def ending(engine: ScriptedEngine, session_id: SessionId = ID) -> tuple[str, FinishReason | None]:
    reply = engine.transcript(session_id)[1].node
    return reply.content, reply.ending.reason if reply.ending else None


def test_an_answer_goes_on_when_its_page_shows_another_conversation(
    engine: ScriptedEngine, turns: Turns
) -> None:
    async def scenario() -> None:
        left = await held(turns, engine)
        assert turns.attend(TAB, OTHER) is None
        assert not (await left.end())[-1].is_last, "nothing more of it is shown there"
        assert not turns.is_running(TAB)
        turns.stop(TAB)  # which is for what it shows now
        engine.script.tell(Say(" a time."), End())
        await ended(turns)
        assert ending(engine) == ("Once upon a time.", FinishReason.STOP)

    run(scenario())


def test_who_comes_back_sees_what_has_come_and_what_comes(
    engine: ScriptedEngine, turns: Turns
) -> None:
    async def scenario() -> None:
        await held(turns, engine)
        turns.leave(TAB)
        back = turns.attend(TAB, ID)
        assert back is not None
        assert (back.message, back.text) == ("A story.", "Once upon")
        assert turns.is_running(TAB)
        reading = Watched(turns.follow(TAB))
        await reading.until(says("Once upon"))
        engine.script.tell(Say(" a time"))
        await reading.until(says("Once upon a time"))
        turns.stop(TAB)
        last = (await reading.end())[-1]
        assert last.finished is not None
        assert last.finished.reason is FinishReason.CANCELLED
        assert not turns.is_running(TAB)

    run(scenario())


def test_what_a_page_reads_already_is_not_read_twice(engine: ScriptedEngine, turns: Turns) -> None:
    async def scenario() -> None:
        turn = await held(turns, engine)
        assert await Watched(turns.follow(TAB)).end() == []
        engine.script.tell(End())
        assert (await turn.end())[-1].is_whole
        assert await Watched(turns.follow(TAB)).end() == []

    run(scenario())


def test_several_pages_follow_one_answer(engine: ScriptedEngine, turns: Turns) -> None:
    async def scenario() -> None:
        first = await held(turns, engine)
        assert turns.attend(SECOND, ID) is not None
        second = Watched(turns.follow(SECOND))
        engine.script.tell(Say(" a time."), End())
        for reading in first, second:
            last = (await reading.end())[-1]
            assert last.is_whole
            assert last.text == "Once upon a time."

    run(scenario())


def test_a_closed_page_is_waited_for_and_then_its_answers_end(
    engine: ScriptedEngine, impatient: Turns
) -> None:
    async def scenario() -> None:
        await held(impatient, engine)
        impatient.attend(TAB, OTHER)
        impatient.forget(TAB)
        impatient.come(SECOND, ID.owner)  # in time
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        engine.script.tell(Say(" a time"))
        assert impatient.attend(SECOND, ID) is not None
        await Watched(impatient.follow(SECOND)).until(says("Once upon a time"))
        impatient.forget(SECOND)
        await ended(impatient)
        assert ending(engine) == ("Once upon a time", FinishReason.CANCELLED)

    run(scenario())


def test_a_page_of_somebody_else_keeps_no_answer_going(
    engine: ScriptedEngine, impatient: Turns
) -> None:
    async def scenario() -> None:
        impatient.come(SECOND, "a stranger")
        await held(impatient, engine)
        impatient.forget(TAB)
        await ended(impatient)
        assert ending(engine) == ("Once upon", FinishReason.CANCELLED)

    run(scenario())


def test_what_is_being_written_and_what_ended_unseen_is_known(
    engine: ScriptedEngine, turns: Turns
) -> None:
    async def scenario() -> None:
        await held(turns, engine)
        assert turns.answering(ID.owner) == {ID.conversation}
        assert turns.answering("a stranger") == set()
        turns.attend(TAB, OTHER)
        assert turns.unseen(ID.owner) == set()
        engine.script.tell(End())
        await ended(turns)
        assert turns.answering(ID.owner) == set()
        assert turns.unseen(ID.owner) == {ID.conversation}
        assert turns.unseen("a stranger") == set()
        assert turns.attend(TAB, ID) is None
        assert turns.unseen(ID.owner) == set()

    run(scenario())


def test_an_answer_that_was_seen_to_its_end_is_not_new(
    engine: ScriptedEngine, turns: Turns
) -> None:
    async def scenario() -> None:
        turn = await held(turns, engine)
        engine.script.tell(End())
        await turn.end()
        await ended(turns)
        assert turns.unseen(ID.owner) == set()

    run(scenario())


@pytest.fixture
def long_step(engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine is in a step that outlasts the reader's patience: it hears of Stop behind it."""
    monkeypatch.setattr(live_turn, "STOP_PATIENCE_S", 0.0)
    monkeypatch.setattr(engine, "cancel", lambda _session_id: None)


@pytest.mark.usefixtures("long_step")
@pytest.mark.parametrize("step", [Tell(Prefilling(1, 100)), Say("Once upon")])
def test_stop_in_a_long_step_ends_what_the_page_shows(
    engine: ScriptedEngine, turns: Turns, step: Tell | Say
) -> None:
    async def scenario() -> None:
        engine.script.write(step, HOLD)
        turn = Watched(turns.run(TAB, Request(ID, "A story.", [])))
        await turn.until(lambda frame: bool(frame.progress or frame.text))
        turns.stop(TAB)
        last = (await turn.end())[-1]
        assert last.is_last
        assert last.progress is None
        assert not turns.is_running(TAB)
        assert turns.answering(ID.owner) == set()
        assert turns.attend(SECOND, ID) is None
        # The next message waits for the step, in place of being refused.
        again = Watched(turns.run(TAB, Request(ID, "And now?", None)))
        await asyncio.sleep(0)
        engine.script.tell(End())
        assert (await again.end())[-1].text == "You said: And now?"

    run(scenario())
