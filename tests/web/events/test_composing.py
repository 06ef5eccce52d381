"""What is being written: when it is read ahead, and when not."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import pytest

from engine import SessionId
from tests.web.fake_engine import FakeEngine
from web import identity
from web.events.chat import Chat
from web.events.composing import Composing
from web.startup import Startup
from web.turns.turns import Turns

IDS = identity.mint()
REQUEST = cast(gr.Request, SimpleNamespace(session_hash="tab", username=None, headers={}))


class Drafted(FakeEngine):
    """Notes its drafts, and has each of them read at once."""

    def __init__(self) -> None:
        super().__init__()
        self.drafts: list[str] = []

    def draft(self, session_id: SessionId, text: str, **_: Any) -> None:
        self.drafts.append(text)

    def is_prefilled(self, session_id: SessionId) -> bool:
        return True

    def num_uncached_tokens(self, session_id: SessionId) -> int:
        return 0


@pytest.fixture
def engine() -> Drafted:
    return Drafted()


@pytest.fixture
def startup(engine: Drafted, started: Callable[[FakeEngine], Startup]) -> Startup:
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


async def sent(composing: Composing, chat: Chat, text: str) -> None:
    said = composing.sent(text, REQUEST)
    settings = ("", 20, 0, 1, 0, None, 0, 1, 0, 0, "", True, False)
    answer: Any = chat.answer
    async for _ in answer(said, [], IDS, *settings, REQUEST):
        pass


def test_a_page_that_opens_drafts_before_its_box_has_a_text(composing: Composing) -> None:
    assert asyncio.run(written(composing, None)) == ""


def test_a_draft_that_comes_behind_its_message_is_not_read_and_the_next_one_is(
    engine: Drafted, startup: Startup, turns: Turns, composing: Composing
) -> None:
    """It would be read without the files that have gone along, in the place of those."""
    chat = Chat(startup, turns, composing)

    async def scenario() -> None:
        assert "ready" in await written(composing, "one")
        composing.sent("one", REQUEST)
        assert await written(composing, "one") == ""
        assert (await composing.drafted("one", IDS, True, "", False, REQUEST))[0] == ""
        assert engine.drafts == ["one"]
        await sent(composing, chat, "one")
        assert "ready" in await written(composing, "two")
        assert engine.drafts == ["one", "two"]

    asyncio.run(scenario())
