"""The turns of all conversations, and what pages ask of them.

Owns: which conversation has which turn under way, and which page (a browser tab, by its session_hash)
follows which: one at a time. A turn belongs to its conversation: it goes on when its page opens another
one, and when the page is closed for as long as somebody may come back. Does not know Gradio, languages,
or how a turn runs (web.turns.live_turn).
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
from web.turns.following import Follower, RunningTurn
from web.turns.frames import Frame
from web.turns.history import PageMessage, kept_messages
from web.turns.live_turn import LiveTurn, Request, as_messages, transcript
from web.turns.pace import FASTEST_S, Pace
from web.turns.readers import Readers
from web.turns.unseen import Unseen

RESTORE_PATIENCE_S = 5.0


class Turns:
    """The turns of all pages. For one event loop, except `stop` and `expect`, which any thread may call."""

    def __init__(self, startup: Startup) -> None:
        self._startup = startup
        self._live: dict[SessionId, RunningTurn] = {}
        self._follows: dict[str, Follower] = {}  # of each page
        self._coming: dict[str, bool] = {}  # pages that have asked, and whether Stop came already
        self._pace = Pace()
        self._readers = Readers(startup.options.keep_answering_s, self._end_all_of)
        self._unseen = Unseen()

    async def restore(self, session_id: SessionId) -> tuple[Entry, ...]:
        """The conversation as it stands; an engine being built is waited for a moment. Raises StoreError."""
        deadline = time.monotonic() + RESTORE_PATIENCE_S
        while self._startup.engine is None and not self._startup.is_settled:
            if time.monotonic() > deadline:
                return ()
            await asyncio.sleep(FASTEST_S)
        if self._startup.engine is not None and self._startup.engine.status != "closed":
            await self._startup.engine.find_session(session_id)
        return transcript(self._startup, session_id)

    def figures(self, session_id: SessionId) -> list[TurnFigures]:
        """The figures of the turns that the conversation shows."""
        endings = [entry.node.ending for entry in transcript(self._startup, session_id)]
        return [ending.figures for ending in endings if ending is not None]

    def come(self, page: str, owner: str) -> None:
        """`page` is open, and the owner's."""
        self._readers.come(page, owner)

    def expect(self, page: str) -> None:
        """`page` has asked for a turn, which comes in a moment; from any thread."""
        self._coming[page] = False

    def arrives(self, page: str) -> bool:
        """What `page` has asked for is here; whether Stop came before it."""
        return self._coming.pop(page, False)

    async def run(
        self, page: str, request: Request, *, is_stopped: bool = False, goes_on: bool = True
    ) -> AsyncGenerator[Frame, None]:
        """Run a turn, and follow it for `page`, in the place of what that follows.

        is_stopped: Stop came before. goes_on: when nobody reads these frames any more.
        """
        if self._followed(page) == request.session_id:
            await self.end(page)
        await self._wait_for_stopped(request.session_id)
        if goes_on:
            self.come(page, request.session_id.owner)
        follower = self._begin(page, request, is_stopped=is_stopped)
        try:
            async with aclosing(follower.frames()) as frames:
                async for frame in frames:
                    yield frame
        finally:
            if not goes_on and follower.is_waiting:
                await follower.running.turn.leave()
            self._unfollow(page, follower)

    def attend(self, page: str, session_id: SessionId) -> Frame | None:
        """`page` shows this conversation from now on; the newest frame of its turn, if one is under way."""
        self.come(page, session_id.owner)
        self._unseen.see(session_id)
        self.leave(page)
        running = self._live.get(session_id)
        if running is None or not running.is_answering:
            return None
        self._follows[page] = Follower(running)
        return running.latest

    def has_come_upon(self, page: str) -> bool:
        """Whether there is a turn to `follow` for `page`: since `attend`, and it is not read there yet."""
        follower = self._follows.get(page)
        return follower is not None and not follower.is_read

    async def follow(self, page: str) -> AsyncGenerator[Frame, None]:
        """The frames of the turn that `page` has come upon; none if there is none."""
        follower = self._follows.get(page)
        if follower is None or follower.is_read:
            return
        try:
            async with aclosing(follower.frames()) as frames:
                async for frame in frames:
                    yield frame
        finally:
            self._unfollow(page, follower)

    def leave(self, page: str) -> None:
        """`page` shows something else; what it followed goes on."""
        if follower := self._follows.pop(page, None):
            follower.leave()

    def is_running(self, page: str) -> bool:
        """Whether `page` follows a turn under way, or one comes in a moment."""
        follower = self._follows.get(page)
        return (follower is not None and follower.is_waiting) or page in self._coming

    def answering(self, owner: str) -> frozenset[str]:
        """The conversations of an owner in which an answer is being written."""
        running = list(self._live.items())
        return frozenset(i.conversation for i, r in running if i.owner == owner and r.is_answering)

    def unseen(self, owner: str) -> frozenset[str]:
        """The conversations of an owner whose answer ended while nobody followed it."""
        return self._unseen.of(owner)

    def stop(self, page: str) -> None:
        """Let the turn that `page` follows, if any, end at the engine's next step."""
        if page in self._coming:
            self._coming[page] = True
        if follower := self._follows.get(page):
            follower.running.turn.stop()

    def forget(self, page: str) -> None:
        """The page is gone: it follows nothing, and asks for nothing any more."""
        self._coming.pop(page, None)
        self.leave(page)
        self._readers.go(page)

    async def end(self, page: str) -> None:
        """Stop the turn that `page` follows, which is shown no more, and wait until it is over."""
        if follower := self._follows.pop(page, None):
            await follower.running.turn.leave()

    async def end_of(self, session_id: SessionId) -> None:
        """As `end`, of the conversation's turn, whoever follows it."""
        if running := self._live.get(session_id):
            await running.turn.leave()

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

    def _begin(self, page: str, request: Request, *, is_stopped: bool) -> Follower:
        turn = LiveTurn(self._startup, self._pace, request)
        if is_stopped:
            turn.stop()
        running = RunningTurn(turn, self._over)
        # Beside one that is under way it will be refused, and is nobody's but its page's.
        self._live.setdefault(request.session_id, running)
        self.leave(page)
        follower = self._follows[page] = Follower(running)
        return follower

    def _over(self, running: RunningTurn) -> None:
        session_id = running.turn.session_id
        if self._live.get(session_id) is running:
            del self._live[session_id]
        if not running.was_seen:
            self._unseen.add(session_id)

    def _unfollow(self, page: str, follower: Follower) -> None:
        if self._follows.get(page) is follower:
            del self._follows[page]

    def _followed(self, page: str) -> SessionId | None:
        follower = self._follows.get(page)
        return None if follower is None else follower.running.turn.session_id

    async def _wait_for_stopped(self, session_id: SessionId) -> None:
        """Of a turn that was stopped, the engine's last step may still be under way."""
        running = self._live.get(session_id)
        if running is not None and not running.is_answering:
            await running.turn.wait()

    def _end_all_of(self, owner: str) -> None:
        """Nobody is there any more to read them."""
        for session_id, running in list(self._live.items()):
            if session_id.owner == owner:
                running.turn.stop()

    def _engine(self) -> Engine:
        engine = self._startup.engine
        assert engine is not None, "a page asked for a change before it showed anything"
        return engine
