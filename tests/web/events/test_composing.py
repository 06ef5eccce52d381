"""What is being written: when it is read ahead, and when not."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import pytest

from tests.scripted import Engines, ScriptedEngine
from web import identity
from web.events.chat import Chat
from web.events.composing import Composing
from web.startup import Startup
from web.turns import drafts
from web.turns.turns import Turns

IDS = identity.mint()
REQUEST = cast(gr.Request, SimpleNamespace(session_hash="tab", username=None, headers={}))


@pytest.fixture
def engine(engines: Engines, monkeypatch: pytest.MonkeyPatch) -> ScriptedEngine:
    """All drafts are taken, however soon one comes behind another."""
    monkeypatch.setattr(drafts, "INTERVAL_S", 0.0)
    return engines()


@pytest.fixture
def startup(engine: ScriptedEngine, started: Callable[[ScriptedEngine], Startup]) -> Startup:
    return started(engine)


@pytest.fixture
def turns(startup: Startup) -> Turns:
    return Turns(startup)


@pytest.fixture
def composing(startup: Startup, turns: Turns) -> Composing:
    return Composing(startup, turns)


async def written(composing: Composing, text: str | None) -> str:
    sign, _ = await composing.draft(text, IDS, True, "", False, REQUEST)
    return sign


async def read(composing: Composing, engine: ScriptedEngine, text: str) -> None:
    """Write it, and wait until it is read; the page's timer asks again and again."""
    while "ready" not in await written(composing, text):
        await engine.count_tokens("")


async def sent(composing: Composing, chat: Chat, text: str) -> None:
    chat.asked(REQUEST)
    said = composing.sent(text, REQUEST)
    settings = ("", 20, 0, 1, 0, None, 0, 1, 0, 0, "", True, False)
    answer: Any = chat.answer
    async for _ in answer(said, [], IDS, *settings, REQUEST):
        pass


def test_a_page_that_opens_drafts_before_its_box_has_a_text(composing: Composing) -> None:
    assert asyncio.run(written(composing, None)) == ""


def test_a_draft_that_comes_behind_its_message_is_not_read_and_the_next_one_is(
    engine: ScriptedEngine, startup: Startup, turns: Turns, composing: Composing
) -> None:
    """It would be read without the files that have gone along, in the place of those."""
    chat = Chat(startup, turns, composing)

    async def scenario() -> None:
        await read(composing, engine, "one")
        turns.expect("tab")
        composing.sent("one", REQUEST)
        assert await written(composing, "one") == ""
        await sent(composing, chat, "one")
        await read(composing, engine, "two")
        await engine.count_tokens("")
        assert [text for text, _ in engine.script.drafts] == ["one", "two"]

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_a_draft_that_has_not_changed_is_taken_once(
    engine: ScriptedEngine, composing: Composing
) -> None:
    async def scenario() -> None:
        for text in ("one", "one", "one two", "one two"):
            await read(composing, engine, text)
        assert await written(composing, "") == ""
        await read(composing, engine, "one two")
        assert [text for text, _ in engine.script.drafts] == ["one", "one two", "one two"]

    asyncio.run(asyncio.wait_for(scenario(), 60))
