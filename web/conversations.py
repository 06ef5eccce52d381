"""Which conversation a page shows, and the list of them beside it.

Owns: what the page's events about whole conversations do: opening the page, its list, New chat,
versions and likes. Does not know the layout (web.ui), how the list looks (web.shelf), or how a turn runs.
"""

from typing import Any, cast

import gradio as gr

from engine import SessionId
from engine.conversation import Feedback
from engine.errors import EngineError
from web import identity, shelf, view
from web.history import PageMessage, user_texts
from web.languages import spoken
from web.startup import Startup
from web.texts import EXAMPLES, say
from web.turns import Turns

# Ids, the chat and the list come together: the list gives the page its address (sidebars.js).
Shown = tuple[Any, ...]

_UNCHANGED: Shown = (gr.skip(),) * 3


class Conversations:
    """The conversations of all pages. `ids` is what the browser stores."""

    def __init__(self, startup: Startup, turns: Turns) -> None:
        self._startup = startup
        self._turns = turns
        self._shelves = shelf.Shelves()

    async def load(self, ids: Any, search: str, request: gr.Request) -> Shown:
        """What a page shows when it opens: ids, the chat, the list."""
        language, session_id = spoken(request.headers), identity.session_id(ids, request.username)
        if session_id is None:
            ids, messages = identity.mint(identity.user_owner(request.username)), []
        else:
            messages = await self._restored(session_id, language)
        if (link := request.query_params.get("c")) not in (None, ids["conversation"]):
            ids, messages = await self._linked(ids["owner"], link, language)
        chatbot = gr.Chatbot(
            value=cast(Any, messages),
            placeholder=view.welcome(language),
            examples=[{"text": say(language, key)} for key in EXAMPLES],
        )
        return ids, chatbot, self.shelf(ids, search, request)

    async def start_anew(self, ids: Any, search: str, request: gr.Request) -> Shown:
        """Leave this conversation; returns its successor's ids, an empty chat, the list."""
        session_id = identity.session_id(ids, request.username)
        if session_id is None:
            ids = identity.mint(identity.user_owner(request.username))
        else:
            await self._turns.end(str(request.session_hash))
            ids = identity.mint(session_id.owner)
        return ids, [], self.shelf(ids, search, request)

    async def click(self, ids: Any, search: str, request: gr.Request, event: gr.EventData) -> Shown:
        """A button of the list, or of an answer; returns ids, the chat, the list."""
        session_id, engine = identity.session_id(ids, request.username), self._startup.engine
        data = event._data if isinstance(event._data, dict) else {}
        act, text = data.get("act"), data.get("text")
        if session_id is None or engine is None:
            return _UNCHANGED
        try:
            if act == "version":
                return await self._switched(session_id, str(text), request)
            if act in ("like", "dislike"):
                return await self._rated(session_id, act, str(text), request)
            click = shelf.read_click(session_id.owner, act, data.get("id"), text)
            return await self._listed(session_id, click, search, request) if click else _UNCHANGED
        except (EngineError, ValueError) as error:
            gr.Warning(str(error))
            return _UNCHANGED

    async def _switched(self, session_id: SessionId, node: str, request: gr.Request) -> Shown:
        """Another version of a message."""
        await self._turns.switch(str(request.session_hash), session_id, int(node))
        messages = await self._restored(session_id, spoken(request.headers))
        return gr.skip(), messages, gr.skip()

    async def _rated(
        self, session_id: SessionId, feedback: Feedback, node: str, request: gr.Request
    ) -> Shown:
        """An answer is liked or disliked; the end of one under way shows everything."""
        await self._turns.rate(session_id, int(node), feedback)
        if self._turns.is_running(str(request.session_hash)):
            return _UNCHANGED
        messages = await self._restored(session_id, spoken(request.headers))
        return gr.skip(), messages, gr.skip()

    async def _listed(
        self, open_now: SessionId, click: shelf.Click, search: str, request: gr.Request
    ) -> Shown:
        """A button of the list."""
        is_open, deletes = click.session_id == open_now, click.act == "delete"
        if is_open and deletes:
            await self._turns.end(str(request.session_hash))
        assert self._startup.engine is not None
        shelf.apply(self._startup.engine, click)
        # Undo may come before the browser knows that another conversation is open since the deletion.
        if click.act == "undelete" or (click.act == "open" and not is_open):
            return await self.show(click.session_id, search, request)
        deleted = click.session_id.conversation if deletes else None
        if is_open and deletes:
            ids = identity.mint(open_now.owner)
            return ids, [], self.shelf(ids, search, request, deleted)
        html = self.shelf(open_now._asdict(), search, request, deleted)
        return gr.skip(), gr.skip(), html

    async def _linked(
        self, owner: str, link: Any, language: str
    ) -> tuple[dict[str, str], list[PageMessage]]:
        """The owner's conversation that an address names, or a new one with a sentence."""
        session_id, engine = identity.conversation_of(owner, link), self._startup.engine
        if session_id is not None and engine is None:
            return session_id._asdict(), []
        if session_id is not None and (shown := await self._restored(session_id, language)):
            return session_id._asdict(), shown
        if session_id is not None and engine is not None:
            engine.close_session(session_id)
        return identity.mint(owner), [view.notice(say(language, "unknown_link"))]

    async def show(self, session_id: SessionId, search: str, request: gr.Request) -> Shown:
        """Open a conversation; returns ids, the chat, the list."""
        await self._turns.end(str(request.session_hash))
        messages = await self._restored(session_id, spoken(request.headers))
        ids = session_id._asdict()
        return ids, messages, self.shelf(ids, search, request)

    async def follow(
        self, ids: Any, search: str, history: list[PageMessage], request: gr.Request
    ) -> Shown:
        """The page is looked at again: what another tab said meanwhile, in the chat and the list."""
        session_id = identity.session_id(ids, request.username)
        if session_id is None or self._turns.is_running(str(request.session_hash)):
            return _UNCHANGED[1:]
        messages = await self._restored(session_id, spoken(request.headers))
        is_same = user_texts(messages) == user_texts(history) and len(messages) == len(history)
        chat = gr.skip() if is_same or not messages else messages
        return chat, self.fresh_shelf(ids, search, request)

    def fresh_shelf(self, ids: Any, search: str, request: gr.Request) -> Any:
        """The list of conversations, if another tab or the model has changed it."""
        page = str(request.session_hash)
        before = self._shelves.shown(page)
        html = self.shelf(ids, search, request, self._shelves.deleted(page))
        return html if self._shelves.shown(page) != before else gr.skip()

    def shelf(self, ids: Any, search: str, request: gr.Request, deleted: str | None = None) -> str:
        """The list of conversations, those that hold `search`."""
        session_id, engine = identity.session_id(ids, request.username), self._startup.engine
        if session_id is None or engine is None:
            return shelf.render([], "", spoken(request.headers))
        try:
            rows = engine.library.conversations(session_id.owner, search.strip())
        except EngineError as error:
            gr.Warning(str(error))
            rows = []
        page, current = str(request.session_hash), session_id.conversation
        self._shelves.remember(page, rows, current, deleted)
        return shelf.render(rows, session_id.conversation, spoken(request.headers), deleted)

    async def _restored(self, session_id: SessionId, language: str) -> list[PageMessage]:
        try:
            entries = await self._turns.restore(session_id)
        except EngineError as error:
            return [view.notice(str(error))]
        return view.conversation(entries, language)
