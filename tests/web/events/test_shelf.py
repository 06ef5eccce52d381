"""The list of conversations: what is shown, and which clicks are obeyed."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from engine import SessionId
from tests.scripted import Engines, ScriptedEngine
from web import identity, view
from web.events import shelf

IDS = identity.mint()


@pytest.fixture
def engine(engines: Engines, tmp_path: Path) -> ScriptedEngine:
    """In which a conversation was begun."""
    made, conversation = engines(tmp_path), SessionId(**IDS)
    made.open_session(conversation)

    async def say() -> None:
        async for _ in made.chat(conversation, "<b>Hello</b>"):
            pass

    asyncio.run(say())
    return made


def listed(engine: ScriptedEngine, deleted: str | None = None) -> str:
    rows = engine.library.conversations(IDS["owner"])
    marks = view.Marks(IDS["conversation"], deleted)
    return view.conversation_list(rows, marks, datetime.now(UTC), "en")


def click(engine: ScriptedEngine, act: str, text: Any = "") -> None:
    made = shelf.read_click(IDS["owner"], act, IDS["conversation"], text)
    assert made is not None
    shelf.apply(engine, made)


def test_titles_are_shown_as_text_and_the_open_one_is_marked(engine: ScriptedEngine) -> None:
    assert "&lt;b&gt;Hello&lt;/b&gt;" in listed(engine)
    assert 'aria-current="true"' in listed(engine)


def test_pin_rename_delete_and_undo(engine: ScriptedEngine) -> None:
    click(engine, "pin")
    assert '<h2 id="shelf-pinned">Pinned</h2>' in listed(engine)
    click(engine, "rename", "Greetings")
    click(engine, "rename", "  ")
    assert "Greetings" in listed(engine)
    click(engine, "delete")
    assert "No conversations yet" in listed(engine)
    assert 'data-act="undelete"' in listed(engine, IDS["conversation"])
    click(engine, "undelete")
    assert "Greetings" in listed(engine)


def test_the_lists_of_very_many_pages_are_not_remembered() -> None:
    shelves = shelf.Shelves()
    assert shelves.shown("page") is None
    shelves.remember("page", shelf.Shelf("", "one"))
    assert shelves.shown("page") == shelf.Shelf("", "one")
    for page in range(600):
        shelves.remember(str(page), shelf.Shelf("", ""))
    assert shelves.shown("page") is None


@pytest.mark.parametrize(
    ("act", "name", "text"),
    [("open", "../x", ""), ("open", None, ""), (None, "a" * 32, ""), ("rename", "a" * 32, ["x"])],
)
def test_clicks_that_make_no_sense_are_ignored(act: Any, name: Any, text: Any) -> None:
    assert shelf.read_click(IDS["owner"], act, name, text) is None
