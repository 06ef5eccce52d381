"""What a person can do to a conversation, over a scripted engine."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from engine import Message, SessionId, events
from engine.errors import EngineClosed, ModelNotFound
from engine.turns.core import BUSY
from engine.turns.placing import NOTHING_TO_CONTINUE
from tests.scripted import HOLD, Cost, End, Engines, Say, ScriptedEngine, Tell
from tests.web.turns.test_history import page
from tests.web.turns.watched import Watched
from web.options import Options
from web.startup import Startup
from web.turns.frames import Frame, Preparing
from web.turns.live_turn import Request
from web.turns.pace import Pace
from web.turns.turns import Turns

ID = SessionId("owner", "conversation")
STORY = Say("Once upon"), HOLD


@pytest.fixture
def engine(engines: Engines) -> ScriptedEngine:
    return engines()


@pytest.fixture
def turns(engine: ScriptedEngine, started: Callable[[ScriptedEngine], Startup]) -> Turns:
    return Turns(started(engine))


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(coroutine, timeout=60))


def begun(turns: Turns, message: str, *before: str, tab: str = "tab") -> Watched[Frame]:
    """A turn under way, `before` being the questions that the page still shows."""
    return Watched(turns.run(tab, Request(ID, message, page(*before))))


async def said(turns: Turns, message: str, *before: str, tab: str = "tab") -> list[Frame]:
    """A turn's frames."""
    return await begun(turns, message, *before, tab=tab).end()


async def held(turns: Turns, engine: ScriptedEngine, message: str, *before: str) -> Watched[Frame]:
    """A turn that stands still behind its first words, which the page shows."""
    engine.script.write(*STORY)
    turn = begun(turns, message, *before)
    await turn.until(has_text)
    return turn


def has_text(frame: Frame) -> bool:
    return bool(frame.text)


def questions(engine: ScriptedEngine) -> list[str]:
    return [m.content for m in engine.messages(ID) if m.role == "user"]


def reason(frame: Frame) -> events.FinishReason | None:
    return None if frame.finished is None else frame.finished.reason


def test_a_turn_streams_and_ends_with_its_figures(engine: ScriptedEngine, turns: Turns) -> None:
    async def scenario() -> None:
        engine.script.write(Cost(reused=1834), Say("You"), HOLD)
        turn = begun(turns, "hello you")
        assert (await turn.until(has_text)).text == "You"
        engine.script.tell(Say(" said: hello you"), End())
        last = (await turn.end())[-1]
        assert last.text == "You said: hello you"
        assert reason(last) is events.FinishReason.STOP
        assert [e.node.content for e in last.kept] == ["hello you", "You said: hello you"]
        assert [figures.reused_tokens for figures in turns.figures(ID)] == [1834]

    run(scenario())


def test_what_comes_between_two_updates_comes_in_one(
    engine: ScriptedEngine, turns: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one would be due in a minute; only the first text and the end do not wait."""
    monkeypatch.setattr(Pace, "interval_s", lambda _self: 60.0)

    async def scenario() -> None:
        engine.script.write(Say("a"), HOLD)
        turn = begun(turns, "hello")
        await turn.until(has_text)
        engine.script.tell(*[Say(letter) for letter in "bcdefghij" * 10], End())
        texts = [frame.text for frame in await turn.end() if frame.text]
        assert texts == ["a", "a" + "bcdefghij" * 10]
        assert engine.script.requests[0].gather() == 30, (
            "the engine is told how long text may gather"
        )

    run(scenario())


def test_a_stop_that_comes_before_its_turn_stops_that_turn_and_no_later_one(
    engine: ScriptedEngine, turns: Turns
) -> None:
    async def scenario() -> None:
        turns.stop("tab")
        turns.expect("tab")
        assert turns.is_running("tab")
        turns.stop("tab")
        engine.script.write(*STORY)
        request = Request(ID, "a story", page())
        stopped = Watched(turns.run("tab", request, is_stopped=turns.arrives("tab")))
        assert reason((await stopped.end())[-1]) is events.FinishReason.CANCELLED
        turns.expect("tab")
        assert not turns.arrives("tab")
        assert not turns.is_running("tab")

    run(scenario())


def test_retry_edit_and_continue_keep_what_precedes_them(
    engine: ScriptedEngine, turns: Turns
) -> None:
    async def scenario() -> None:
        for n, text in enumerate(["one", "two", "three"]):
            await said(turns, text, *["one", "two", "three"][:n])
        await said(turns, "three", "one", "two")  # retry
        assert questions(engine) == ["one", "two", "three"]
        assert [len(entry.versions) for entry in engine.transcript(ID)] == [1, 1, 1, 1, 1, 2]
        await said(turns, "2", "one")  # edit of the second
        assert questions(engine) == ["one", "2"]
        await said(turns, "1")  # edit of the first
        assert questions(engine) == ["1"]
        assert [request.keep for request in engine.script.requests] == [0, 2, 4, 4, 2, 0]

    run(scenario())


@pytest.mark.parametrize("ending", ["\r\n", "\r"])
def test_a_retried_message_goes_out_as_it_was_first_written(
    engine: ScriptedEngine, turns: Turns, ending: str
) -> None:
    """A browser's text box knows one end of a line only."""
    written = f"  def f():{ending}      pass{ending}"

    async def scenario() -> None:
        await said(turns, written)
        await said(turns, "  def f():\n      pass\n")
        assert questions(engine) == [written]
        assert len(engine.transcript(ID)[1].versions) == 2

    run(scenario())


def test_an_edit_of_white_space_alone_is_an_edit(engine: ScriptedEngine, turns: Turns) -> None:
    async def scenario() -> None:
        await said(turns, "def f():\n  pass")
        await said(turns, "def f():\n    pass")
        assert questions(engine) == ["def f():\n    pass"]
        assert len(engine.transcript(ID)[0].versions) == 2

    run(scenario())


def test_a_page_whose_history_is_lost_destroys_nothing(
    engine: ScriptedEngine, turns: Turns
) -> None:
    async def scenario() -> None:
        await said(turns, "one")
        frames = [f async for f in turns.run("tab", Request(ID, "two", None))]
        assert questions(engine) == ["one", "two"]
        assert [e.node.content for e in frames[0].kept] == ["one", "You said: one"]
        assert len(frames[-1].kept) == 4

    run(scenario())


def continued(turns: Turns) -> Watched[Frame]:
    return Watched(turns.run("tab", Request(ID, "", page("one"), continues=True)))


def test_an_answer_that_goes_on_grows_from_what_was_there(
    engine: ScriptedEngine, turns: Turns
) -> None:
    async def scenario() -> None:
        engine.script.write(Say("You said: one"), End(events.FinishReason.LENGTH))
        await said(turns, "one")
        engine.script.write(Say(", and"), HOLD)
        turn = continued(turns)
        await turn.until(lambda frame: frame.text == "You said: one, and")
        engine.script.tell(Say(" two."), End())
        frames = await turn.end()
        assert [e.node.content for e in frames[0].kept] == ["one"]
        assert frames[0].text == "You said: one"
        assert all(frame.text.startswith("You said: one") for frame in frames)
        assert frames[-1].text == "You said: one, and two."
        assert frames[-1].is_whole
        assert [m.content for m in engine.messages(ID)] == ["one", frames[-1].text]

    run(scenario())


def test_a_stopped_answer_can_be_continued_and_stopped_again(
    engine: ScriptedEngine, turns: Turns
) -> None:
    async def stopped(turn: Watched[Frame], text: str) -> None:
        await turn.until(lambda frame: frame.text == text)
        turns.stop("tab")
        last = (await turn.end())[-1]
        assert reason(last) is events.FinishReason.CANCELLED
        assert last.is_whole
        assert engine.transcript(ID)[1].node.is_unfinished
        assert engine.messages(ID)[1].content == last.text == text

    async def scenario() -> None:
        engine.script.write(*STORY)
        await stopped(begun(turns, "one"), "Once upon")
        engine.script.write(Say(" a time"), HOLD)
        await stopped(continued(turns), "Once upon a time")

    run(scenario())


def test_a_whole_answer_is_not_continued(engine: ScriptedEngine, turns: Turns) -> None:
    async def scenario() -> None:
        assert (await continued(turns).end())[-1].refused == NOTHING_TO_CONTINUE
        await said(turns, "one")
        frame = (await continued(turns).end())[-1]
        assert frame.refused == NOTHING_TO_CONTINUE
        assert frame.kept == engine.transcript(ID)
        assert len(frame.kept) == 2

    run(scenario())


def test_undo_takes_the_last_turn_back(engine: ScriptedEngine, turns: Turns) -> None:
    async def scenario() -> None:
        await said(turns, "one")
        await said(turns, "two", "one")
        await turns.undo("tab", ID, page("one"))
        assert questions(engine) == ["one"]

    run(scenario())


def test_undo_of_a_running_turn_stops_it_first(engine: ScriptedEngine, turns: Turns) -> None:
    async def scenario() -> None:
        turn = await held(turns, engine, "one")
        await turns.undo("tab", ID, [])
        frames = await turn.end()
        assert engine.messages(ID) == ()
        assert not frames[-1].is_last  # nothing of it is shown once it is undone

    run(scenario())


@pytest.mark.parametrize("step", [Say("Once upon"), Tell(events.Prefilling(1, 100))])
def test_stop_ends_the_turn_at_once_and_keeps_what_was_said(
    engine: ScriptedEngine, turns: Turns, step: Say | Tell
) -> None:
    """Whether it writes or prefills; left to itself it would stand still for good."""

    async def scenario() -> None:
        engine.script.write(step, HOLD)
        turn = begun(turns, "one")
        await turn.until(lambda frame: bool(frame.text or frame.progress))
        turns.stop("tab")
        last = (await turn.end())[-1]
        assert reason(last) is events.FinishReason.CANCELLED
        assert last.text == (step.text if isinstance(step, Say) else "")
        assert engine.messages(ID) == (Message("user", "one"), Message("assistant", last.text))

    run(scenario())


def test_stop_reaches_only_the_page_that_asks(engine: ScriptedEngine, turns: Turns) -> None:
    async def scenario() -> None:
        turn = await held(turns, engine, "one")
        turns.stop("another")
        engine.script.tell(Say(" a time"), End())
        last = (await turn.end())[-1]
        assert (last.text, reason(last)) == ("Once upon a time", events.FinishReason.STOP)

    run(scenario())


def test_a_program_that_goes_away_takes_its_turn_along(
    engine: ScriptedEngine, turns: Turns
) -> None:
    async def scenario() -> None:
        engine.script.write(*STORY)
        stream = turns.run("tab", Request(ID, "one", []), goes_on=False)
        async for frame in stream:
            if frame.text:
                break
        await stream.aclose()
        reply = engine.transcript(ID)[1].node
        assert reply.content == "Once upon"
        assert reply.ending is not None
        assert reply.ending.reason is events.FinishReason.CANCELLED

    run(scenario())


def test_a_second_tab_on_the_same_conversation_gets_a_sentence(
    engine: ScriptedEngine, turns: Turns
) -> None:
    async def scenario() -> None:
        turn = await held(turns, engine, "one")
        refused = (await said(turns, "two", "one", tab="right"))[-1]
        assert refused.refused == BUSY
        engine.script.tell(End())
        assert reason((await turn.end())[-1]) is events.FinishReason.STOP
        assert questions(engine) == ["one"]

    run(scenario())


def test_a_refused_edit_loses_nothing(engine: ScriptedEngine, turns: Turns) -> None:
    async def scenario() -> None:
        await said(turns, "one")
        await said(turns, "two", "one")
        frame = (await said(turns, "long" * engine.info.context_length, "one"))[-1]
        assert "shorten it" in str(frame.refused)
        assert frame.kept == engine.transcript(ID)
        assert len(frame.kept) == 4

    run(scenario())


def test_what_the_engine_refuses_in_the_end_gets_its_sentence(
    engine: ScriptedEngine, turns: Turns
) -> None:
    async def scenario() -> None:
        engine.script.refusal = EngineClosed("The engine is stopping.")
        assert (await said(turns, "one"))[-1].refused == "The engine is stopping."

    run(scenario())


def test_a_bug_ends_in_a_sentence_of_the_page(
    engine: ScriptedEngine, turns: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **_options: object) -> AsyncGenerator[events.Event, None]:
        raise ValueError("bug")
        yield

    monkeypatch.setattr(engine, "chat", broken)

    async def scenario() -> None:
        assert (await said(turns, "one"))[-1].refused == ""

    run(scenario())


def test_a_message_sent_while_the_model_loads_is_answered_afterwards(
    engine: ScriptedEngine, options: Options
) -> None:
    async def scenario() -> None:
        startup = Startup(options, lambda _options, _progress: engine)
        turn = begun(Turns(startup), "one")
        await turn.until(lambda frame: isinstance(frame.progress, Preparing))
        startup.start()
        assert (await turn.end())[-1].text == "You said: one"

    run(scenario())


def test_a_failed_start_is_told_to_who_asks(
    engines: Engines, started: Callable[[ScriptedEngine], Startup]
) -> None:
    async def scenario() -> None:
        startup = started(engines(failure=ModelNotFound("The model is damaged.")))
        assert (await said(Turns(startup), "one"))[-1].refused == "The model is damaged."

    run(scenario())


def test_a_conversation_on_disk_that_cannot_be_read_gets_a_sentence(
    engines: Engines, started: Callable[[ScriptedEngine], Startup], tmp_path: Path
) -> None:
    async def scenario() -> None:
        turns = Turns(started(engines(tmp_path)))
        with closing(sqlite3.connect(tmp_path / "warmchat.db")) as database:
            database.execute("DROP TABLE conversation")
        assert "no such table" in str((await said(turns, "one"))[-1].refused)

    run(scenario())


def test_a_page_that_opens_while_the_engine_is_being_built_shows_its_conversation(
    engine: ScriptedEngine, turns: Turns, options: Options
) -> None:
    async def scenario() -> None:
        await said(turns, "one")
        startup = Startup(options, lambda _options, _progress: engine)
        opening = asyncio.create_task(Turns(startup).restore(ID))
        await asyncio.sleep(0)
        assert not opening.done()
        startup.start()
        assert [e.node.content for e in await opening] == ["one", "You said: one"]

    run(scenario())


def test_a_switch_to_another_version_ends_the_running_turn(
    engine: ScriptedEngine, turns: Turns
) -> None:
    async def scenario() -> None:
        await said(turns, "one")
        await said(turns, "1")  # edit
        first = engine.transcript(ID)[0].versions[0]
        turn = await held(turns, engine, "two", "1")
        await turns.switch("tab", ID, first)
        await turn.end()
        assert questions(engine) == ["one"]

    run(scenario())
