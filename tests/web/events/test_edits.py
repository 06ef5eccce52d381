"""What the browser says was edited: whose answer it must be, and what becomes of the text."""

import asyncio
import html
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import pytest

from engine import SessionId
from engine.errors import EngineError
from tests.scripted import Engines, Say, ScriptedEngine
from web import identity
from web.events import edits
from web.events.conversations import UNCHANGED, Conversations
from web.events.edits import Edits
from web.startup import Startup
from web.turns.turns import Turns

IDS, STRANGERS = identity.mint(), identity.mint()
ME = SessionId(**IDS)
THOUGHTS = "<think>\nhm\n</think>\n\n"
ANSWER = "\r\n  <b>1</b> & **2**\n"
REQUEST = cast(
    gr.Request, SimpleNamespace(session_hash="tab", username=None, headers={}, query_params={})
)


# What is refused is told by gr.Warning, which is a warning of Python's where there is no page.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture
def engine(engines: Engines, tmp_path: Path) -> ScriptedEngine:
    """An engine whose conversation has a message and its answer."""
    made = engines(tmp_path)
    for ids in (IDS, STRANGERS):
        made.open_session(SessionId(**ids))
    made.script.write(Say(THOUGHTS + ANSWER))
    asyncio.run(said(made, "Hello"))
    return made


@pytest.fixture
def startup(engine: ScriptedEngine, started: Callable[[ScriptedEngine], Startup]) -> Startup:
    return started(engine)


@pytest.fixture
def conversations(startup: Startup) -> Conversations:
    return Conversations(startup, Turns(startup))


async def said(engine: ScriptedEngine, message: str) -> None:
    async for _ in engine.chat(ME, message):
        pass


def told(**data: Any) -> gr.EventData:
    return cast(gr.EventData, SimpleNamespace(_data=data))


def reply_id(engine: ScriptedEngine) -> str:
    return str(engine.transcript(ME)[1].node.id)


def saved(conversations: Conversations, node_id: Any, text: Any, ids: Any = IDS) -> Any:
    event = told(act="edit", id=node_id, text=text)
    return asyncio.run(conversations.click(ids, "", REQUEST, event))


def contents(engine: ScriptedEngine) -> list[str]:
    return [entry.node.content for entry in engine.transcript(ME)]


def test_the_box_has_the_answer_as_the_model_wrote_it_without_thoughts(
    engine: ScriptedEngine, startup: Startup
) -> None:
    box = asyncio.run(Edits(startup).open(IDS, REQUEST, told(id=reply_id(engine))))
    inner = re.search(r"<textarea[^>]*>\n(.*)</textarea>", box, re.DOTALL)
    assert inner is not None
    assert html.unescape(inner[1]) == ANSWER
    assert "<b>" not in box


def test_the_box_asked_for_again_is_told_from_the_one_before(
    engine: ScriptedEngine, startup: Startup
) -> None:
    asked = told(id=reply_id(engine))
    boxes = [asyncio.run(Edits(startup).open(IDS, REQUEST, asked)) for _ in range(2)]
    assert boxes[0] != boxes[1]


@pytest.mark.parametrize("node_id", [None, 2, "", "-1", "two", "9" * 30, "²", ["2"]])
def test_what_is_no_answer_is_neither_opened_nor_saved(
    engine: ScriptedEngine, startup: Startup, conversations: Conversations, node_id: Any
) -> None:
    assert asyncio.run(Edits(startup).open(IDS, REQUEST, told(id=node_id))) == gr.skip()
    assert saved(conversations, node_id, "Else") == UNCHANGED
    assert contents(engine) == ["Hello", THOUGHTS + ANSWER]


@pytest.mark.parametrize("text", [None, 1, ["Else"], {}, "", " \n", "\ud83d"])
def test_what_is_no_text_for_an_answer_changes_nothing(
    engine: ScriptedEngine, conversations: Conversations, text: Any
) -> None:
    assert saved(conversations, reply_id(engine), text) == UNCHANGED
    assert contents(engine) == ["Hello", THOUGHTS + ANSWER]


def test_nobody_opens_or_edits_the_answers_of_others_nor_questions(
    engine: ScriptedEngine, startup: Startup, conversations: Conversations
) -> None:
    question = str(engine.transcript(ME)[0].node.id)
    for ids, node_id in (
        (STRANGERS, reply_id(engine)), (IDS, question), (IDS, "999"), ("x", reply_id(engine)),
    ):  # fmt: skip
        assert asyncio.run(Edits(startup).open(ids, REQUEST, told(id=node_id))) == gr.skip()
        assert saved(conversations, node_id, "Else", ids) == UNCHANGED
    assert contents(engine) == ["Hello", THOUGHTS + ANSWER]


def test_an_edit_keeps_the_thoughts_and_all_kv_up_to_the_change(
    engine: ScriptedEngine, conversations: Conversations
) -> None:
    _, chat, _ = saved(conversations, reply_id(engine), ANSWER.replace("2", "3"))
    edited = THOUGHTS + ANSWER.replace("2", "3")
    assert contents(engine) == ["Hello", edited]
    assert "edited" in str(chat)
    assert engine.transcript(ME)[1].node.is_edited
    asyncio.run(said(engine, "And?"))
    ending = engine.transcript(ME)[3].node.ending
    assert ending is not None
    before = "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
    same = before.encode() + edited.partition("3")[0].encode()
    special = len("<|im_start|><|im_end|><|im_start|>") - 3  # each is one token
    assert ending.figures.reused_tokens == len(same) - special


def test_an_answer_that_only_the_browsers_ends_of_lines_change_stays(
    engine: ScriptedEngine, conversations: Conversations
) -> None:
    saved(conversations, reply_id(engine), ANSWER.replace("\r\n", "\n"))
    assert len(engine.transcript(ME)[1].versions) == 1


def test_an_edit_brings_a_conversation_back_that_was_closed(engine: ScriptedEngine) -> None:
    """As behind a restart of the server, for a page that is still open."""
    edit = edits.Edit(int(reply_id(engine)), "Else")
    engine.close_session(ME)
    asyncio.run(edits.save(engine, ME, edit))
    assert contents(engine) == ["Hello", THOUGHTS + "Else"]


def test_a_version_that_is_not_shown_is_not_edited(engine: ScriptedEngine) -> None:
    """Another tab has gone to another version."""
    edit = edits.Edit(int(reply_id(engine)), "Else")
    asyncio.run(edits.save(engine, ME, edit))
    with pytest.raises(EngineError, match="no such answer"):
        asyncio.run(edits.save(engine, ME, edit))
