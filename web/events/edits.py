"""What people write in answers: the text that they get to edit, and what becomes of it.

Edits come from editing.js as (act, id, text) and are checked here. Does not know the chat itself, nor
how the box looks (web.view.editor).
"""

import secrets
from dataclasses import dataclass
from typing import Any

import gradio as gr

from engine import Engine, SessionId
from engine.conversations import Node
from engine.errors import EngineError, RequestError
from engine.turns import NO_SUCH_ANSWER
from web import identity, view
from web.events.warning import warn
from web.languages import spoken
from web.startup import Startup

ACT = "edit"


@dataclass(frozen=True, slots=True)
class Edit:
    """An answer, and what it is to say instead."""

    node_id: int
    text: str


def read_edit(data: dict[str, Any]) -> Edit | None:
    """The edit that the browser says there was; None if it makes no sense."""
    node_id, text = _number(data.get("id")), data.get("text")
    if node_id is None or not isinstance(text, str):
        return None
    return Edit(node_id, text)


async def save(engine: Engine, session_id: SessionId, edit: Edit) -> None:
    """Make the edit a version of the answer, behind the thoughts of the one before. Raises EngineError."""
    reply = await _shown(engine, session_id, edit.node_id)
    content = view.with_answer(reply, edit.text) if edit.text.strip() else ""
    await engine.edit_reply(session_id, edit.node_id, content)


class Edits:
    """The boxes in which answers are edited. `ids` is what the browser stores."""

    def __init__(self, startup: Startup) -> None:
        self._startup = startup

    async def open(self, ids: Any, request: gr.Request, event: gr.EventData) -> Any:
        """HTML of the box with the text of one of the visitor's answers."""
        data = event._data if isinstance(event._data, dict) else {}
        session_id, node_id = (
            identity.session_id(ids, request.username),
            _number(data.get("id")),
        )
        engine = self._startup.engine
        if session_id is None or engine is None or node_id is None:
            return gr.skip()
        try:
            reply = await _shown(engine, session_id, node_id)
        except EngineError as error:
            warn(error, request)
            return gr.skip()
        text, asking = view.answer_in(reply), secrets.token_hex(8)
        return view.editor(node_id, text, asking, spoken(request.headers))


async def _shown(engine: Engine, session_id: SessionId, node_id: int) -> Node:
    """The answer of that id in the conversation as it is shown. Raises EngineError."""
    await engine.find_session(session_id)
    for entry in engine.transcript(session_id):
        if entry.node.id == node_id and entry.node.role == "assistant":
            return entry.node
    raise RequestError(NO_SUCH_ANSWER)


def _number(text: Any) -> int | None:
    """The number of a message as the browser names it; SQLite knows none of more digits."""
    is_one = isinstance(text, str) and text.isascii() and text.isdecimal() and len(text) < 19
    return int(text) if is_one else None
