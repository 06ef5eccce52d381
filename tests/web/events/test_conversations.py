"""What the page's events do to conversations, called as Gradio calls them."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import pytest

from engine import SessionId
from engine.conversations import StoreError, Trouble
from tests.scripted import HOLD, End, Engines, Say, ScriptedEngine
from web import identity
from web.events import shelf
from web.events.chat import Chat
from web.events.composing import Composing
from web.events.conversations import Conversations
from web.events.overview import Overview
from web.languages import say
from web.startup import Startup
from web.turns.turns import Turns

IDS = identity.mint()
ME = SessionId(**IDS)
SETTINGS = ("", 99, 0.0, 1.0, 0, None, 0.0, 1.0, 0.0, 0.0, "", True, False)
REQUEST = cast(
    gr.Request,
    SimpleNamespace(session_hash="tab", username=None, headers={}, query_params={}),
)


@pytest.fixture
def engine(engines: Engines, tmp_path: Path) -> ScriptedEngine:
    """An engine whose conversation has a message and its answer, in the library too."""
    made = engines(tmp_path)
    made.open_session(ME)
    asyncio.run(said(made))
    return made


@pytest.fixture
def startup(engine: ScriptedEngine, started: Callable[[ScriptedEngine], Startup]) -> Startup:
    return started(engine)


@pytest.fixture
def turns(startup: Startup) -> Turns:
    return Turns(startup)


@pytest.fixture
def conversations(startup: Startup, turns: Turns) -> Conversations:
    return Conversations(startup, turns)


@pytest.fixture
def chat(startup: Startup, turns: Turns) -> Chat:
    return Chat(startup, turns, Composing(startup, turns))


def test_the_panel_is_there_while_the_list_cannot_be_read(
    engine: ScriptedEngine, startup: Startup, turns: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_arguments: object) -> None:
        raise StoreError("Another program is using it.", Trouble.BUSY)

    assert engine.stats().blocks_by_session
    monkeypatch.setattr(engine.library, "conversations", fails)
    assert say("en", "panel_memory") in Overview(startup, turns).panel(IDS, REQUEST)


@pytest.mark.parametrize("act", ["rename", "pin", "delete"])
def test_a_click_that_waits_for_the_disk_holds_up_no_other_page(
    conversations: Conversations,
    engine: ScriptedEngine,
    act: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    may_write = threading.Event()
    store = engine.library._journal.store
    assert store is not None
    write = getattr(store, act)
    monkeypatch.setattr(store, act, lambda *a: (may_write.wait(60), write(*a)))
    data = {"act": act, "id": ME.conversation, "text": "Mine"}
    event = cast(gr.EventData, SimpleNamespace(_data=data))

    async def scenario() -> None:
        click = asyncio.create_task(conversations.click(IDS, "", REQUEST, event))
        await asyncio.sleep(0)  # the click is under way, and another page may ask
        assert not click.done()
        may_write.set()
        await click

    asyncio.run(asyncio.wait_for(scenario(), 60))


async def said(engine: ScriptedEngine) -> None:
    async for _ in engine.chat(ME, "Hello"):
        pass


async def clicked(
    conversations: Conversations, act: Any, ids: dict[str, str], text: str = ""
) -> tuple[Any, ...]:
    event = SimpleNamespace(_data={"act": act, "id": IDS["conversation"], "text": text})
    return await conversations.click(ids, "", REQUEST, cast(gr.EventData, event))


def shown(chat: Any) -> bool:
    return isinstance(chat, list) and "Hello" in str(chat)


@pytest.mark.parametrize("is_quick", [False, True])
def test_what_was_deleted_is_open_again_after_undo(
    conversations: Conversations, is_quick: bool
) -> None:
    """A quick Undo comes with the ids from before the deletion."""
    ids, chat, *_ = asyncio.run(clicked(conversations, "delete", IDS))
    assert ids != IDS
    assert chat == []
    ids, chat, *_ = asyncio.run(clicked(conversations, "undelete", IDS if is_quick else ids))
    assert ids == IDS
    assert shown(chat)


@pytest.mark.parametrize("begins", ["before", "behind"])
def test_undo_of_a_deletion_leaves_open_what_is_being_read(
    engine: ScriptedEngine, conversations: Conversations, begins: str
) -> None:
    """Another conversation was open when it was deleted, or was begun or opened since then."""

    async def scenario() -> tuple[Any, ...]:
        ids = identity.mint(IDS["owner"])
        if begins == "behind":
            ids, *_ = await clicked(conversations, "delete", IDS)
        engine.open_session(SessionId(**ids))
        async for _ in engine.chat(SessionId(**ids), "Something else"):
            pass
        if begins == "before":
            await conversations.show(SessionId(**ids), "", REQUEST)
            await clicked(conversations, "delete", ids)
        return await clicked(conversations, "undelete", ids)

    ids, chat, listed = asyncio.run(scenario())
    assert (ids, chat) == (gr.skip(), gr.skip())
    assert IDS["conversation"] in listed
    assert "undelete" not in listed


def test_what_is_being_written_and_what_ended_unseen_has_a_dot(
    engine: ScriptedEngine, conversations: Conversations, chat: Chat
) -> None:
    async def scenario() -> None:
        engine.script.write(Say("word"), HOLD)
        async for shown in chat.answer("Hello", None, IDS, *SETTINGS, REQUEST):
            if "word" in str(shown):
                break
        ids, _, listed = await conversations.start_anew(IDS, "", REQUEST)
        assert 'class="dot answering"' in listed
        engine.script.tell(End())
        await asyncio.gather(*(running._task for running in conversations._turns._live.values()))
        listed = await conversations.tick(ids, "", REQUEST)
        assert 'class="dot answering"' not in listed
        assert 'class="dot unseen"' in listed
        *_, listed = await conversations.show(ME, "", REQUEST)
        assert "dot" not in listed

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_a_click_on_the_open_conversation_changes_nothing(conversations: Conversations) -> None:
    _, chat, *_ = asyncio.run(clicked(conversations, "open", IDS))
    assert not shown(chat)


def test_a_new_chat_comes_with_its_list_which_has_nothing_open(
    conversations: Conversations,
) -> None:
    """The list gives the page its address: later, a reload would open what was left."""
    ids, chat, listed = asyncio.run(conversations.start_anew(IDS, "", REQUEST))
    assert (ids["owner"], chat) == (IDS["owner"], [])
    assert ids["conversation"] != IDS["conversation"]
    assert IDS["conversation"] in listed
    assert "aria-current" not in listed


def test_a_page_opens_with_its_conversation_open_in_the_list(conversations: Conversations) -> None:
    ids, chat, listed = asyncio.run(conversations.load(IDS, "", REQUEST))
    assert ids == IDS
    assert "Hello" in str(chat.value)
    assert f'<li data-id="{IDS["conversation"]}" aria-current="true">' in listed


def test_what_is_asked_with_ids_that_were_left_brings_no_list(conversations: Conversations) -> None:
    ids, *_ = asyncio.run(conversations.start_anew(IDS, "", REQUEST))
    shown = shelf.Shelf("", ids["conversation"])  # so that it has changed
    conversations._shelves.remember("tab", shown)
    assert conversations.fresh_shelf(IDS, "", REQUEST) == gr.skip()
    assert IDS["conversation"] in conversations.fresh_shelf(ids, "", REQUEST)


@pytest.mark.parametrize("act", ["version", "like", ["like"]])
def test_what_no_button_says_changes_nothing(conversations: Conversations, act: Any) -> None:
    event = cast(gr.EventData, SimpleNamespace(_data={"act": act, "id": "", "text": "one"}))
    assert asyncio.run(conversations.click(IDS, "", REQUEST, event)) == (gr.skip(),) * 3


def test_likes_say_what_they_do_so_that_it_can_be_done_twice(
    conversations: Conversations, engine: ScriptedEngine
) -> None:
    reply, seen = engine.transcript(ME)[1].node.id, []
    for act in ("like", "like", "dislike", "unlike", "dislike", "undislike"):
        _, chat, _ = asyncio.run(clicked(conversations, act, IDS, str(reply)))
        assert shown(chat)
        seen.append(engine.transcript(ME)[1].node.feedback)
    assert seen == ["like", "like", "dislike", None, "dislike", None]


@pytest.mark.parametrize("is_left", [False, True])
def test_an_answer_whose_page_shows_something_else_by_now_ends_without_showing_itself(
    engine: ScriptedEngine, chat: Chat, conversations: Conversations, *, is_left: bool
) -> None:
    """Gradio sends what was yielded last once more when an answer is over."""

    async def scenario() -> list[Any]:
        yielded: list[Any] = []
        leaving: list[asyncio.Task[Any]] = []
        engine.script.write(Say("word"), HOLD)
        async for shown in chat.answer("Hello", None, IDS, *SETTINGS, REQUEST):
            yielded.append(shown)
            if "word" not in str(shown):
                continue
            if not is_left:
                engine.script.tell(End())
            elif not leaving:
                leaving.append(asyncio.create_task(conversations.start_anew(IDS, "", REQUEST)))
        await asyncio.gather(*leaving)
        return yielded

    yielded = asyncio.run(asyncio.wait_for(scenario(), 60))
    assert (yielded[-1] == gr.skip()) is is_left
    assert gr.skip() not in yielded[:-1]
    assert "word" in str(yielded)
