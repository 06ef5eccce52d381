"""The list of an owner's conversations."""

from pathlib import Path

import pytest

from engine.conversations.journal import Journal
from engine.conversations.library import Library
from engine.conversations.session import Session, SessionId
from engine.conversations.store import ConversationNotFound, Store

FIRST, SECOND = SessionId("me", "first"), SessionId("me", "second")


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(Store(tmp_path / "warmchat.db"))


@pytest.fixture
def library(journal: Journal) -> Library:
    for session_id, text in ((FIRST, "  Hello \n there"), (SECOND, "word " * 40)):
        journal.add(Session(session_id), "user", text)
    journal.flush(10)
    return Library(journal, lambda _session_id: None)


def titles(library: Library, search: str = "") -> list[str]:
    return [row.title for row in library.conversations("me", search)]


def test_first_words_are_the_title_until_there_is_another(library: Library) -> None:
    assert titles(library) == ["word " * 11 + "word…", "Hello there"]
    library.rename(FIRST, "  Greetings\n")
    assert titles(library)[1] == "Greetings"


def test_search_finds_titles_and_words(library: Library) -> None:
    assert titles(library, "HELLO") == ["Hello there"]
    assert titles(library, "nothing") == []


def test_pinned_conversations_come_first(library: Library) -> None:
    library.pin(FIRST, True)
    assert titles(library)[0] == "Hello there"


def test_a_deleted_conversation_comes_back(journal: Journal, library: Library) -> None:
    closed: list[SessionId] = []
    library = Library(journal, closed.append)
    library.delete(FIRST)
    assert (len(titles(library)), closed) == (1, [FIRST])
    library.restore_deleted(FIRST)
    assert len(titles(library)) == 2


def test_nobody_reaches_what_another_said(library: Library) -> None:
    assert library.conversations("you") == []
    with pytest.raises(ConversationNotFound):
        library.rename(SessionId("you", "first"), "mine")


def test_nothing_is_listed_where_nothing_is_stored() -> None:
    library = Library(Journal(), lambda _session_id: None)
    library.delete(FIRST)
    assert library.conversations("me") == []
