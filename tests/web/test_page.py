"""What the page's events do, called as Gradio calls them."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import pytest

from engine import SessionId
from engine.journal import Journal
from engine.library import Library
from engine.session import Session
from engine.store import Store
from tests.web.fake_engine import FakeEngine
from web import identity
from web.page import Page
from web.startup import Startup
from web.turns import Turns

IDS = identity.mint()
ME = SessionId(**IDS)
REQUEST = cast(
    gr.Request,
    SimpleNamespace(session_hash="tab", username=None, headers={}, query_params={}),
)


@pytest.fixture
def page(tmp_path: Path, started: Callable[[FakeEngine], Startup]) -> Page:
    """A page whose open conversation has a message, in the list and in the engine."""
    engine: Any = FakeEngine()
    journal = Journal(Store(tmp_path / "warmchat.db"))
    journal.add(Session(ME), "user", "Hello")
    engine.library = Library(journal, lambda _session_id: None)
    asyncio.run(said(engine))
    startup = started(engine)
    return Page(startup, Turns(startup))


async def said(engine: FakeEngine) -> None:
    engine.open_session(ME)
    async for _ in engine.chat(ME, "Hello"):
        pass


async def clicked(page: Page, act: str, ids: dict[str, str]) -> tuple[Any, ...]:
    event = SimpleNamespace(_data={"act": act, "id": IDS["conversation"], "text": ""})
    return await page.click(ids, "", REQUEST, cast(gr.EventData, event))


def shown(chat: Any) -> bool:
    return isinstance(chat, list) and "Hello" in str(chat)


@pytest.mark.parametrize("is_quick", [False, True])
def test_what_was_deleted_is_open_again_after_undo(page: Page, is_quick: bool) -> None:
    """A quick Undo comes with the ids from before the deletion."""
    ids, chat, *_ = asyncio.run(clicked(page, "delete", IDS))
    assert ids != IDS
    assert chat == []
    ids, chat, *_ = asyncio.run(clicked(page, "undelete", IDS if is_quick else ids))
    assert ids == IDS
    assert shown(chat)


def test_a_click_on_the_open_conversation_changes_nothing(page: Page) -> None:
    _, chat, *_ = asyncio.run(clicked(page, "open", IDS))
    assert not shown(chat)


@pytest.mark.parametrize("is_left", [False, True])
def test_an_answer_whose_page_shows_something_else_by_now_ends_without_showing_itself(
    started: Callable[[FakeEngine], Startup], *, is_left: bool
) -> None:
    """Gradio sends what was yielded last once more when an answer is over."""
    startup = started(FakeEngine(reply="word " * 30, seconds_per_word=0.01))
    page = Page(startup, Turns(startup))

    async def scenario() -> list[Any]:
        settings = ("", 99, 0.0, 1.0, 0, None, 0.0, 1.0, 0.0, 0.0, "", True, False)
        yielded: list[Any] = []
        async for shown in page.chat("Hello", None, IDS, *settings, REQUEST):
            yielded.append(shown)
            if is_left and "word" in str(shown):
                leaving = asyncio.create_task(page.start_anew(IDS, "", REQUEST))
        if is_left:
            await leaving
        return yielded

    yielded = asyncio.run(scenario())
    assert (yielded[-1] == gr.skip()) is is_left
    assert gr.skip() not in yielded[:-1]
    assert "word" in str(yielded)
