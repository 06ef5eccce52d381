"""The turns of all pages, and what else a page asks of its conversation.

Owns: which page (a browser tab, by its session_hash) runs which turn: one at a time, and whatever
changes what the page shows ends it first. Does not know Gradio, languages, or how a turn runs
(web.turns.live_turn).
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from engine import Engine, SessionId, TurnFigures
from engine.conversations import Entry
from engine.errors import SessionBusy, SessionNotFound
from web.startup import Startup
from web.turns.frames import Frame
from web.turns.history import PageMessage, kept_messages
from web.turns.live_turn import STOP_PATIENCE_S, LiveTurn, Request, as_messages, transcript
from web.turns.pace import FASTEST_S, Pace

RESTORE_PATIENCE_S = 5.0


class Turns:
    """The turns of all pages. For one event loop, except `stop`, which any thread may call."""

    def __init__(self, startup: Startup) -> None:
        self._startup = startup
        self._live: dict[str, LiveTurn] = {}
        self._coming: dict[str, bool] = {}  # pages that have asked, and whether Stop came already
        self._pace = Pace()

    async def restore(self, session_id: SessionId) -> tuple[Entry, ...]:
        """The conversation as it stands, once a turn that was left behind by a reload has ended.

        While the engine is being built, it is waited for a moment. Raises StoreError.
        """
        deadline = time.monotonic() + RESTORE_PATIENCE_S
        while self._startup.engine is None and not self._startup.is_settled:
            if time.monotonic() > deadline:
                return ()
            await asyncio.sleep(FASTEST_S)
        running = [turn for turn in self._live.values() if turn.session_id == session_id]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(_all_over(running), STOP_PATIENCE_S)
        if self._startup.engine is not None and self._startup.engine.status != "closed":
            await self._startup.engine.find_session(session_id)
        return transcript(self._startup, session_id)

    def figures(self, session_id: SessionId) -> list[TurnFigures]:
        """The figures of the turns that the conversation shows."""
        endings = [entry.node.ending for entry in transcript(self._startup, session_id)]
        return [ending.figures for ending in endings if ending is not None]

    def expect(self, page: str) -> None:
        """`page` has asked for a turn, which comes in a moment; from any thread."""
        self._coming[page] = False

    def arrives(self, page: str) -> bool:
        """What `page` has asked for is here; whether Stop came before it."""
        return self._coming.pop(page, False)

    async def run(
        self, page: str, request: Request, *, is_stopped: bool = False
    ) -> AsyncGenerator[Frame, None]:
        """Run a turn for `page`, in the place of the one that it runs. is_stopped: Stop came before."""
        await self.end(page)
        turn = self._live[page] = LiveTurn(self._startup, self._pace, request)
        if is_stopped:
            turn.stop()
        try:
            async with aclosing(turn.frames()) as frames:
                async for frame in frames:
                    yield frame
        finally:
            if self._live.get(page) is turn:
                del self._live[page]

    def is_running(self, page: str) -> bool:
        """Whether a turn of `page` is under way, or comes in a moment."""
        return page in self._live or page in self._coming

    def stop(self, page: str) -> None:
        """Let the turn of `page`, if any, end at the engine's next step."""
        if page in self._coming:
            self._coming[page] = True
        if turn := self._live.get(page):
            turn.stop()

    def forget(self, page: str) -> None:
        """The page is gone: its turn stops, and none comes any more."""
        self.stop(page)
        self._coming.pop(page, None)

    async def end(self, page: str) -> None:
        """Stop the turn of `page`, which shows nothing more, and wait until it is over."""
        if turn := self._live.get(page):
            await turn.leave()

    async def undo(self, page: str, session_id: SessionId, before: Sequence[PageMessage]) -> None:
        """Take back everything after `before`, the page's history up to the message undone."""
        await self.end(page)
        keep = kept_messages(before, as_messages(transcript(self._startup, session_id)))
        # Where another tab is answering, all is kept.
        with contextlib.suppress(SessionNotFound, SessionBusy):
            await self._engine().truncate(session_id, keep)

    async def switch(self, page: str, session_id: SessionId, node_id: int) -> None:
        """Show another version of a message. Raises RequestError or StoreError."""
        await self.end(page)
        await self._engine().switch(session_id, node_id)

    def _engine(self) -> Engine:
        engine = self._startup.engine
        assert engine is not None, "a page asked for a change before it showed anything"
        return engine


async def _all_over(turns: Sequence[LiveTurn]) -> None:
    for turn in turns:
        await turn.wait()
