"""What a person can do to a conversation, against the engine's double."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from engine import Message, SessionId, events
from engine.conversations.store import StoreError
from engine.errors import EngineClosed, MessageTooLong
from tests.web.fake_engine import FakeEngine
from tests.web.turns.test_history import page
from web.options import Options
from web.startup import Startup
from web.turns.frames import Frame, Preparing
from web.turns.live_turn import Request
from web.turns.turns import Turns

ID = SessionId("owner", "conversation")
Started = Callable[[FakeEngine], Startup]


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(coroutine, timeout=20))


async def said(turns: Turns, message: str, *before: str, tab: str = "tab") -> list[Frame]:
    """A turn's frames, `before` being the questions that the page still shows."""
    return [frame async for frame in turns.run(tab, Request(ID, message, page(*before)))]


def questions(engine: FakeEngine) -> list[str]:
    return [m.content for m in engine.messages(ID) if m.role == "user"]


def test_a_turn_streams_and_ends_with_its_figures(started: Started) -> None:
    async def scenario() -> None:
        turns = Turns(started(FakeEngine(seconds_per_word=0.15)))
        frames = await said(turns, "hello you")
        assert next(f.text for f in frames if f.text) == "You"
        assert frames[-1].text == "You said: hello you"
        assert frames[-1].finished is not None
        assert [e.node.content for e in frames[-1].kept] == ["hello you", "You said: hello you"]
        assert [figures.reused_tokens for figures in turns.figures(ID)] == [1834]

    run(scenario())


def test_updates_come_ten_times_a_second_at_most(started: Started) -> None:
    async def scenario() -> None:
        turns = Turns(
            started(FakeEngine(reply=" ".join("abcdefghij" * 10), seconds_per_word=0.005))
        )
        start = asyncio.get_running_loop().time()
        frames = await said(turns, "hello")
        lasted = asyncio.get_running_loop().time() - start
        assert 3 <= len(frames) <= lasted * 10 + 3

    run(scenario())


def test_retry_edit_and_continue_keep_what_precedes_them(started: Started) -> None:
    async def scenario() -> None:
        engine = FakeEngine()
        turns = Turns(started(engine))
        for n, text in enumerate(["one", "two", "three"]):
            await said(turns, text, *["one", "two", "three"][:n])
        await said(turns, "three", "one", "two")  # retry
        assert questions(engine) == ["one", "two", "three"]
        assert [len(entry.versions) for entry in engine.transcript(ID)] == [1, 1, 1, 1, 1, 2]
        await said(turns, "2", "one")  # edit of the second
        assert questions(engine) == ["one", "2"]
        await said(turns, "1")  # edit of the first
        assert questions(engine) == ["1"]
        assert [keep for _, keep, _, _ in engine.asked] == [0, 2, 4, 4, 2, 0]

    run(scenario())


def test_a_retried_message_goes_out_as_it_was_first_written(started: Started) -> None:
    async def scenario() -> None:
        engine = FakeEngine()
        turns = Turns(started(engine))
        await said(turns, "  def f():\n      pass\n")
        await said(turns, "def f():\n    pass")
        assert questions(engine) == ["  def f():\n      pass\n"]

    run(scenario())


def test_a_page_whose_history_is_lost_destroys_nothing(started: Started) -> None:
    async def scenario() -> None:
        engine = FakeEngine()
        turns = Turns(started(engine))
        await said(turns, "one")
        frames = [f async for f in turns.run("tab", Request(ID, "two", None))]
        assert questions(engine) == ["one", "two"]
        assert [e.node.content for e in frames[0].kept] == ["one", "You said: one"]
        assert len(frames[-1].kept) == 4

    run(scenario())


async def continued(turns: Turns) -> list[Frame]:
    asked = Request(ID, "", page("one"), continues=True)
    return [frame async for frame in turns.run("tab", asked)]


def test_an_answer_that_goes_on_grows_from_what_was_there(started: Started) -> None:
    async def scenario() -> None:
        engine = FakeEngine(reason=events.FinishReason.LENGTH, seconds_per_word=0.15)
        turns = Turns(started(engine))
        await said(turns, "one")
        frames = await continued(turns)
        assert [e.node.content for e in frames[0].kept] == ["one"]
        assert frames[0].text == "You said: one"
        assert all(frame.text.startswith("You said: one") for frame in frames)
        assert frames[-1].text == "You said: oneYou said: more"
        assert frames[-1].is_whole
        assert [m.content for m in engine.messages(ID)] == ["one", frames[-1].text]

    run(scenario())


def test_a_stopped_answer_can_be_continued_and_stopped_again(started: Started) -> None:
    async def scenario() -> None:
        engine = FakeEngine(reply="word " * 100, seconds_per_word=0.05)
        turns = Turns(started(engine))
        for ask in (said(turns, "one"), continued(turns)):
            running = asyncio.create_task(ask)
            await asyncio.sleep(0.3)
            turns.stop("tab")
            last = (await asyncio.wait_for(running, 10))[-1]
            assert last.finished is not None
            assert last.is_whole
            assert engine.transcript(ID)[1].node.is_unfinished
            assert engine.messages(ID)[1].content == last.text

    run(scenario())


def test_a_whole_answer_is_not_continued(started: Started) -> None:
    async def scenario() -> None:
        engine = FakeEngine()
        turns = Turns(started(engine))
        assert (await continued(turns))[-1].refused
        await said(turns, "one")
        frame = (await continued(turns))[-1]
        assert frame.refused == "There is nothing to continue."
        assert frame.kept == engine.transcript(ID)

    run(scenario())


def test_undo_takes_the_last_turn_back(started: Started) -> None:
    async def scenario() -> None:
        engine = FakeEngine()
        turns = Turns(started(engine))
        await said(turns, "one")
        await said(turns, "two", "one")
        await turns.undo("tab", ID, page("one"))
        assert questions(engine) == ["one"]

    run(scenario())


def test_undo_of_a_running_turn_stops_it_first(started: Started) -> None:
    async def scenario() -> None:
        engine = FakeEngine(reply="word " * 100, seconds_per_word=0.05)
        turns = Turns(started(engine))
        running = asyncio.create_task(said(turns, "one"))
        await asyncio.sleep(0.3)
        await turns.undo("tab", ID, [])
        frames = await running
        assert engine.messages(ID) == ()
        assert not frames[-1].is_last  # nothing of it is shown once it is undone

    run(scenario())


@pytest.mark.parametrize("prefill_s", [0.0, 30.0])
def test_stop_ends_the_turn_soon_and_keeps_what_was_said(
    started: Started, prefill_s: float
) -> None:
    async def scenario() -> None:
        engine = FakeEngine(reply="word " * 100, seconds_per_word=0.05, prefill_s=prefill_s)
        turns = Turns(started(engine))
        running = asyncio.create_task(said(turns, "one"))
        await asyncio.sleep(0.5)
        turns.stop("tab")
        frames = await asyncio.wait_for(running, 10)
        last = frames[-1]
        assert last.finished is not None
        assert last.finished.reason == events.FinishReason.CANCELLED
        assert engine.messages(ID) == (Message("user", "one"), Message("assistant", last.text))

    run(scenario())


def test_stop_reaches_only_the_page_that_asks(started: Started) -> None:
    async def scenario() -> None:
        turns = Turns(started(FakeEngine(seconds_per_word=0.1)))
        running = asyncio.create_task(said(turns, "one", tab="tab"))
        await asyncio.sleep(0.15)
        turns.stop("another")
        last = (await running)[-1]
        assert last.finished is not None
        assert last.finished.reason == events.FinishReason.STOP

    run(scenario())


def test_a_page_that_goes_away_takes_its_turn_along(started: Started) -> None:
    async def scenario() -> None:
        engine = FakeEngine(reply="word " * 100, seconds_per_word=0.05)
        turns = Turns(started(engine))
        stream = turns.run("tab", Request(ID, "one", []))
        async for frame in stream:
            if frame.text:
                break
        await asyncio.wait_for(stream.aclose(), 10)
        assert engine.messages(ID)[1].content.startswith("word")
        ending = engine.transcript(ID)[1].node.ending
        assert ending is not None
        assert ending.reason == events.FinishReason.CANCELLED

    run(scenario())


def test_a_second_tab_on_the_same_conversation_gets_a_sentence(started: Started) -> None:
    async def scenario() -> None:
        engine = FakeEngine(seconds_per_word=0.3)
        turns = Turns(started(engine))
        running = asyncio.create_task(said(turns, "one", tab="left"))
        await asyncio.sleep(0.15)
        refused = (await said(turns, "two", "one", tab="right"))[-1]
        assert refused.refused == "An answer is being written in this conversation."
        await running
        assert questions(engine) == ["one"]

    run(scenario())


def test_a_refused_edit_loses_nothing(started: Started) -> None:
    async def scenario() -> None:
        engine = FakeEngine()
        turns = Turns(started(engine))
        await said(turns, "one")
        await said(turns, "two", "one")
        engine.failure = MessageTooLong("This message is too long.")
        frame = (await said(turns, "long", "one"))[-1]
        assert frame.refused == "This message is too long."
        assert frame.kept == engine.transcript(ID)
        assert len(frame.kept) == 4

    run(scenario())


@pytest.mark.parametrize(
    ("failure", "sentence"),
    [(EngineClosed("The engine is stopping."), "The engine is stopping."), (ValueError("bug"), "")],
)
def test_every_failure_ends_in_a_sentence(
    started: Started, failure: Exception, sentence: str
) -> None:
    async def scenario() -> None:
        frame = (await said(Turns(started(FakeEngine(failure=failure))), "one"))[-1]
        assert frame.refused == sentence

    run(scenario())


def test_a_message_sent_while_the_model_loads_is_answered_afterwards(options: Options) -> None:
    async def scenario() -> None:
        startup = Startup(options, lambda _options, _progress: FakeEngine().as_engine())
        running = asyncio.create_task(said(Turns(startup), "one"))
        await asyncio.sleep(0.3)
        startup.start()
        frames = await running
        assert isinstance(frames[0].progress, Preparing)
        assert frames[-1].text == "You said: one"

    run(scenario())


def test_a_failed_start_is_told_to_who_asks(started: Started) -> None:
    async def scenario() -> None:
        startup = started(FakeEngine(error=EngineClosed("The model is damaged.")))
        assert (await said(Turns(startup), "one"))[-1].refused == "The model is damaged."

    run(scenario())


def test_a_conversation_on_disk_that_cannot_be_read_gets_a_sentence(started: Started) -> None:
    async def scenario() -> None:
        engine = FakeEngine(refusal=StoreError("The disk is full."))
        assert (await said(Turns(started(engine)), "one"))[-1].refused == "The disk is full."

    run(scenario())


def test_a_page_that_opens_while_the_engine_is_being_built_shows_its_conversation(
    options: Options,
) -> None:
    async def scenario() -> None:
        engine = FakeEngine()
        engine.open_session(ID)
        engine._add(ID, "user", "one")
        startup = Startup(options, lambda _options, _progress: engine.as_engine())
        opening = asyncio.create_task(Turns(startup).restore(ID))
        await asyncio.sleep(0.2)
        startup.start()
        assert [e.node.content for e in await opening] == ["one"]

    run(scenario())


def test_a_switch_to_another_version_ends_the_running_turn(started: Started) -> None:
    async def scenario() -> None:
        engine = FakeEngine(seconds_per_word=0.02)
        turns = Turns(started(engine))
        await said(turns, "one")
        await said(turns, "1")  # edit
        first = engine.transcript(ID)[0].versions[0]
        running = asyncio.create_task(said(turns, "long " * 200, "1"))
        await asyncio.sleep(0.2)
        await turns.switch("tab", ID, first)
        await running
        assert questions(engine) == ["one"]

    run(scenario())
