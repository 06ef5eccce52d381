"""The list of conversations: what is shown, and which clicks are obeyed."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from engine import Engine, SessionId
from engine.conversations.journal import Journal
from engine.conversations.library import Library
from engine.conversations.session import Session
from engine.conversations.store import Store
from web import identity, view
from web.events import shelf

IDS = identity.mint()
ME = identity.session_id(IDS, None)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    journal = Journal(Store(tmp_path / "warmchat.db"))
    journal.add(Session(ME), "user", "<b>Hello</b>")
    library = Library(journal, lambda _session_id: None)
    return cast(Engine, SimpleNamespace(library=library))


def listed(engine: Engine, deleted: str | None = None) -> str:
    rows = engine.library.conversations(IDS["owner"])
    return view.conversation_list(rows, IDS["conversation"], "en", deleted)


def click(engine: Engine, act: str, text: Any = "") -> None:
    made = shelf.read_click(IDS["owner"], act, IDS["conversation"], text)
    assert made is not None
    shelf.apply(engine, made)


def test_titles_are_shown_as_text_and_the_open_one_is_marked(engine: Engine) -> None:
    assert "&lt;b&gt;Hello&lt;/b&gt;" in listed(engine)
    assert 'aria-current="true"' in listed(engine)


def test_pin_rename_delete_and_undo(engine: Engine) -> None:
    click(engine, "pin")
    assert 'data-act="unpin"' in listed(engine)
    click(engine, "rename", "Greetings")
    click(engine, "rename", "  ")
    assert "Greetings" in listed(engine)
    click(engine, "delete")
    assert "No conversations yet" in listed(engine)
    assert 'data-act="undelete"' in listed(engine, IDS["conversation"])
    click(engine, "undelete")
    assert "Greetings" in listed(engine)


def test_a_list_is_sent_again_when_it_changed_and_goes_on_offering_what_was_deleted(
    engine: Engine,
) -> None:
    shelves = shelf.Shelves()
    rows = engine.library.conversations(IDS["owner"])
    assert shelves.deleted("page") is None
    shelves.remember("page", rows, IDS["conversation"], None)
    first = shelves.shown("page")
    engine.library.pin(SessionId(**IDS), True)
    rows = engine.library.conversations(IDS["owner"])
    shelves.remember("page", rows, IDS["conversation"], "other")
    assert shelves.shown("page") != first
    assert shelves.deleted("page") == "other"
    for page in range(600):
        shelves.remember(str(page), [], "", None)
    assert shelves.shown("page") is None


@pytest.mark.parametrize(
    ("act", "name", "text"),
    [("open", "../x", ""), ("open", None, ""), (None, "a" * 32, ""), ("rename", "a" * 32, ["x"])],
)
def test_clicks_that_make_no_sense_are_ignored(act: Any, name: Any, text: Any) -> None:
    assert shelf.read_click(IDS["owner"], act, name, text) is None
