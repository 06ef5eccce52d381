"""Conversations into files and out of them, over a scripted engine."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import pytest

from engine import SessionId
from tests.scripted import Engines, ScriptedEngine
from web import identity
from web.events.conversations import Conversations
from web.events.exchange import Exchange, file_stem, imported_title
from web.files.downloads import Download, Downloads
from web.startup import Startup

IDS = identity.mint()
ME = SessionId(**IDS)
REQUEST = cast(gr.Request, SimpleNamespace(headers={}, username=None, session_hash="page"))


@pytest.fixture
def engine(engines: Engines, tmp_path: Path) -> ScriptedEngine:
    return engines(tmp_path / "data")


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(gr, "Warning", said.append)
    return said


class FakeConversations:
    """Remembers which conversation it was told to show."""

    def __init__(self) -> None:
        self.shown: list[SessionId] = []

    async def show(self, session_id: SessionId, _search: str, _request: Any) -> tuple[Any, ...]:
        self.shown.append(session_id)
        return (session_id._asdict(), [], [], [], "")


@pytest.fixture
def conversations() -> FakeConversations:
    return FakeConversations()


@pytest.fixture
def exchange(
    engine: ScriptedEngine,
    started: Callable[[ScriptedEngine], Startup],
    conversations: FakeConversations,
) -> Exchange:
    return Exchange(started(engine), cast(Conversations, conversations), Downloads())


def say(engine: ScriptedEngine, session_id: SessionId, message: str) -> None:
    async def turn() -> None:
        engine.open_session(session_id)
        async for _ in engine.chat(session_id, message):
            pass

    asyncio.run(turn())


def exported(exchange: Exchange, form: str, ids: Any = IDS) -> Download | None:
    event = cast(gr.EventData, SimpleNamespace(_data={"form": form, "id": IDS["conversation"]}))
    ticket = asyncio.run(exchange.export(ids, REQUEST, event))
    return exchange._downloads.take(ticket)


def imported(exchange: Exchange, path: Path) -> tuple[Any, ...]:
    return asyncio.run(exchange.imported(str(path), IDS, "", REQUEST))


@pytest.mark.parametrize("form", ["markdown", "json", "portable"])
def test_what_is_exported_comes_back_as_a_new_conversation(
    engine: ScriptedEngine,
    exchange: Exchange,
    conversations: FakeConversations,
    tmp_path: Path,
    form: str,
) -> None:
    say(engine, ME, "Hello you")
    engine.library.rename(ME, "法国: first/second?")
    file = exported(exchange, form)
    assert file is not None
    path = tmp_path / file.name
    path.write_bytes(file.content)
    imported(exchange, path)
    (new,) = conversations.shown
    assert new.owner == ME.owner
    assert new != ME
    assert engine.messages(new) == engine.messages(ME)
    titles = {row.id: row.title for row in engine.library.conversations(ME.owner)}
    assert titles[new.conversation] == "法国 first second"
    assert not path.exists(), "what was uploaded is not kept"


@pytest.mark.parametrize("form", ["markdown", "json", "portable"])
def test_an_empty_conversation_gets_a_sentence(
    exchange: Exchange, warnings: list[str], form: str
) -> None:
    assert exported(exchange, form) is None
    assert warnings == ["There is nothing in this conversation yet."]


def test_only_ones_own_conversation_is_exported(
    engine: ScriptedEngine, exchange: Exchange, warnings: list[str]
) -> None:
    say(engine, ME, "A secret")
    stranger = identity.mint() | {"conversation": ME.conversation}
    assert exported(exchange, "markdown", stranger) is None
    assert exported(exchange, "markdown", None) is None
    assert exported(exchange, "../etc/passwd") is None
    assert len(warnings) == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.md", b"No heading in here"),
        ("a.json", b"{}"),
        ("a.json", b'{"format": "warmchat-conversation", "version": 99}'),
        ("a.warmchat", b"PK\x03\x04 broken"),
        ("a.png", b"\x89PNG\r\n\x1a\n\x00\x00"),
        ("empty.md", b""),
    ],
)
def test_a_refused_file_gets_a_sentence_and_changes_nothing(
    engine: ScriptedEngine,
    exchange: Exchange,
    conversations: FakeConversations,
    warnings: list[str],
    tmp_path: Path,
    name: str,
    content: bytes,
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    imported(exchange, path)
    assert conversations.shown == []
    assert warnings[0].startswith("This file could not be opened. ")
    assert engine.library.conversations(ME.owner) == []
    assert engine.stats().sessions == 0
    assert not path.exists()


def test_a_file_that_is_too_large_is_not_even_read(
    exchange: Exchange, warnings: list[str], tmp_path: Path
) -> None:
    options = replace(exchange._startup.options, max_upload_bytes=1 << 20)
    exchange._startup.options = options
    path = tmp_path / "large.md"
    path.write_bytes(b"x" * ((1 << 20) + 1))
    imported(exchange, path)
    assert warnings == ["This file could not be opened. It is larger than 1.0 MB."]


@pytest.mark.parametrize(
    ("title", "stem"),
    [
        ("Capital of France", "Capital of France"),
        ('a/b\\c:d*e?f"g<h>i|j\nk', "a b c d e f g h i j k"),
        ("../../etc/passwd", "etc passwd"),
        ("Long…", "Long"),
        ("...", "conversation"),
        ("", "conversation"),
        ("法国的首都", "法国的首都"),
    ],
)
def test_file_names_are_safe_everywhere(title: str, stem: str) -> None:
    assert file_stem(title) == stem


def test_the_name_of_a_file_is_the_title_unless_it_says_nothing() -> None:
    assert imported_title("Capital of France (2)") == "Capital of France"
    assert imported_title("conversation (1)") == ""
