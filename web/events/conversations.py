"""Which conversation a page shows, and the list of them beside it.

Owns: what the page's events about whole conversations do: opening the page, its list, New chat,
versions, edited answers and likes. Does not know the layout (web.page.ui), how the list looks (web.view.shelf), or how a turn runs.
"""

import asyncio
from typing import Any, cast

import gradio as gr

from engine import Engine, SessionId
from engine.conversations import Feedback
from engine.errors import EngineError
from web import identity, view
from web.events import edits, shelf
from web.events.warning import warn
from web.languages import EXAMPLES, say, spoken, translated
from web.startup import Startup
from web.turns import PageMessage, Turns, user_texts

# Ids, the chat and the list come together: the list gives the page its address (sidebars.js).
Shown = tuple[Any, Any, Any]

UNCHANGED: Shown = (gr.skip(), gr.skip(), gr.skip())
_RATINGS: dict[str, Feedback | None] = {
    "like": "like", "unlike": None, "dislike": "dislike", "undislike": None,
}  # fmt: skip


class Conversations:
    """The conversations of all pages. `ids` is what the browser stores."""

    def __init__(self, startup: Startup, turns: Turns) -> None:
        self._startup = startup
        self._turns = turns
        self._shelves = shelf.Shelves()

    async def load(self, ids: Any, search: str, request: gr.Request) -> Shown:
        """What a page shows when it opens: ids, the chat, the list."""
        language, session_id = spoken(request.headers), identity.session_id(ids, request.username)
        link = request.query_params.get("c")
        if session_id is None:
            ids, messages = identity.mint(identity.user_owner(request.username)), []
            self._turns.come(str(request.session_hash), ids["owner"])
        elif link in (None, session_id.conversation):
            messages = await self._opened(session_id, request)
        if link not in (None, ids["conversation"]):
            ids, messages = await self._linked(ids["owner"], link, request)
        chatbot = gr.Chatbot(
            value=cast(Any, messages),
            placeholder=view.welcome(language, view.reader_now(request.headers).hour),
            examples=[{"text": say(language, key)} for key in EXAMPLES],
        )
        return ids, chatbot, await self._listing(ids, search, request)

    async def start_anew(self, ids: Any, search: str, request: gr.Request) -> Shown:
        """Leave this conversation; returns its successor's ids, an empty chat, the list."""
        session_id = identity.session_id(ids, request.username)
        if session_id is None:
            ids = identity.mint(identity.user_owner(request.username))
        else:
            self._turns.leave(str(request.session_hash))
            ids = identity.mint(session_id.owner)
        return ids, [], await self._listing(ids, search, request)

    async def click(self, ids: Any, search: str, request: gr.Request, event: gr.EventData) -> Shown:
        """A button of the list or of an answer, or New chat; returns ids, the chat, the list."""
        data = event._data if isinstance(event._data, dict) else {}
        if data.get("act") == "anew":
            return await self.start_anew(ids, search, request)
        session_id, engine = identity.session_id(ids, request.username), self._startup.engine
        if session_id is None or engine is None:
            return UNCHANGED
        try:
            return await self._obeyed(engine, session_id, data, search, request)
        except EngineError as error:
            warn(error, request)
            return UNCHANGED

    async def _obeyed(
        self,
        engine: Engine,
        session_id: SessionId,
        data: dict[str, Any],
        search: str,
        request: gr.Request,
    ) -> Shown:
        """What the page shows after a click. Raises EngineError."""
        act, text = str(data.get("act")), str(data.get("text"))
        if act == "version" and text.isdecimal():
            return await self._switched(session_id, int(text), request)
        if act in _RATINGS and text.isdecimal():
            await engine.rate(session_id, int(text), _RATINGS[act])
            return await self._touched(session_id, request)
        if act == edits.ACT:
            return await self._edited(engine, session_id, edits.read_edit(data), request)
        click = shelf.read_click(session_id.owner, act, data.get("id"), data.get("text"))
        if click is None:
            return UNCHANGED
        if click.act == "delete":
            await self._turns.end_of(click.session_id)
        await asyncio.to_thread(shelf.apply, engine, click)
        return await self._listed(session_id, click, search, request)

    async def _switched(self, session_id: SessionId, node: int, request: gr.Request) -> Shown:
        """Another version of a message."""
        await self._turns.switch(str(request.session_hash), session_id, node)
        messages = await self._restored(session_id, spoken(request.headers))
        return gr.skip(), messages, gr.skip()

    async def _edited(
        self, engine: Engine, session_id: SessionId, edit: edits.Edit | None, request: gr.Request
    ) -> Shown:
        """Another text for an answer. Raises EngineError."""
        if edit is None:
            return UNCHANGED
        await edits.save(engine, session_id, edit)
        return await self._touched(session_id, request)

    async def _touched(self, session_id: SessionId, request: gr.Request) -> Shown:
        """An answer is liked, disliked or edited; the end of one under way shows everything."""
        if self._turns.is_running(str(request.session_hash)):
            return UNCHANGED
        messages = await self._restored(session_id, spoken(request.headers))
        return gr.skip(), messages, gr.skip()

    async def _listed(
        self, open_now: SessionId, click: shelf.Click, search: str, request: gr.Request
    ) -> Shown:
        """What the page shows after a button of the list."""
        is_open, page = click.session_id == open_now, str(request.session_hash)
        if click.act == "open" and not is_open:
            return await self.show(click.session_id, search, request)
        if click.act == "undelete" and self._is_missed(page, click.session_id, open_now):
            return await self.show(click.session_id, search, request)
        deleted = click.session_id.conversation if click.act == "delete" else None
        if is_open and deleted:
            ids = identity.mint(open_now.owner)
            successor = ids["conversation"]
            return ids, [], await self._listing(ids, search, request, deleted, successor)
        ids = open_now._asdict()
        return gr.skip(), gr.skip(), await self._listing(ids, search, request, deleted)

    def _is_missed(self, page: str, deleted: SessionId, open_now: SessionId) -> bool:
        """Whether the page reads nothing else since it deleted this conversation.

        Undo may come before the browser knows that another one is open since then.
        """
        if not self._shelves.is_missed(page, deleted, open_now):
            return False
        is_said = self._turns.is_running(page) or self._turns.figures(open_now)
        return open_now == deleted or not is_said

    async def _linked(
        self, owner: str, link: Any, request: gr.Request
    ) -> tuple[dict[str, str], list[PageMessage]]:
        """The owner's conversation that an address names, or a new one with a sentence."""
        language = spoken(request.headers)
        session_id, engine = identity.conversation_of(owner, link), self._startup.engine
        if session_id is not None and engine is None:
            return session_id._asdict(), []
        if session_id is not None and (shown := await self._opened(session_id, request)):
            return session_id._asdict(), shown
        if session_id is not None and engine is not None:
            engine.close_session(session_id)
        return identity.mint(owner), [view.notice(say(language, "unknown_link"))]

    async def show(self, session_id: SessionId, search: str, request: gr.Request) -> Shown:
        """Open a conversation; returns ids, the chat, the list."""
        messages = await self._opened(session_id, request)
        ids = session_id._asdict()
        return ids, messages, await self._listing(ids, search, request)

    async def follow(
        self, ids: Any, search: str, history: list[PageMessage], request: gr.Request
    ) -> tuple[Any, Any]:
        """The page is looked at again: what another tab said meanwhile, in the chat and the list."""
        session_id = identity.session_id(ids, request.username)
        if session_id is None or self._turns.is_running(str(request.session_hash)):
            return gr.skip(), gr.skip()
        messages = await self._opened(session_id, request)
        is_same = user_texts(messages) == user_texts(history) and len(messages) == len(history)
        chat = gr.skip() if is_same or not messages else messages
        return chat, await asyncio.to_thread(self.fresh_shelf, ids, search, request)

    async def tick(self, ids: Any, search: str, request: gr.Request) -> Any:
        """The page is open, and asks whether its list has changed."""
        if session_id := identity.session_id(ids, request.username):
            self._turns.come(str(request.session_hash), session_id.owner)
        return await asyncio.to_thread(self.fresh_shelf, ids, search, request)

    def fresh_shelf(self, ids: Any, search: str, request: gr.Request) -> Any:
        """The list of conversations, if another tab, the model or an answer has changed it.

        Nothing before the page shows any, whose conversation is still to be read from its address, nor
        with ids that it has left meanwhile: the address would become another one.
        """
        page, session_id = str(request.session_hash), identity.session_id(ids, request.username)
        before = self._shelves.shown(page)
        if before is None or (session_id and before.current != session_id.conversation):
            return gr.skip()
        html = self.shelf(ids, search, request, before.deleted, before.successor)
        return html if html != before.html else gr.skip()

    def shelf(
        self,
        ids: Any,
        search: str,
        request: gr.Request,
        deleted: str | None = None,
        successor: str | None = None,
    ) -> str:
        """The list of conversations, those that hold `search`."""
        session_id, engine = identity.session_id(ids, request.username), self._startup.engine
        language, now = spoken(request.headers), view.reader_now(request.headers)
        if session_id is None or engine is None:
            return view.conversation_list([], view.Marks(), now, language)
        owner, current = session_id
        try:
            rows = engine.library.conversations(owner, (search or "").strip())
        except EngineError as error:
            warn(error, request)
            rows = []
        answering, unseen = self._turns.answering(owner), self._turns.unseen(owner)
        marks = view.Marks(current, deleted, answering, unseen)
        html = view.conversation_list(rows, marks, now, language, key=view.control_key(owner))
        shown = shelf.Shelf(html, current, deleted, successor)
        self._shelves.remember(str(request.session_hash), shown)
        return html

    async def _listing(
        self, ids: Any, search: str, request: gr.Request, *deleted: str | None
    ) -> str:
        """As `shelf`; what waits for the disk holds up no other page."""
        return await asyncio.to_thread(self.shelf, ids, search, request, *deleted)

    async def _opened(self, session_id: SessionId, request: gr.Request) -> list[PageMessage]:
        """The messages of a conversation that the page shows from now on, as far as they have come."""
        language = spoken(request.headers)
        frame = self._turns.attend(str(request.session_hash), session_id)
        if frame is None:
            return await self._restored(session_id, language)
        key = view.control_key(session_id.owner)
        return view.moment(frame, self._startup, language, key=key)

    async def _restored(self, session_id: SessionId, language: str) -> list[PageMessage]:
        try:
            entries = await self._turns.restore(session_id)
        except EngineError as error:
            return [view.notice(translated(error, language))]
        return view.conversation(entries, language, key=view.control_key(session_id.owner))
