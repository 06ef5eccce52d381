"""Turns as the page runs them: begun, watched, stopped, undone.

Owns: which page (a browser tab, by its session_hash) runs which turn, and how often it is told.
Everything a person can do to a conversation is reduced to "keep so many messages, then say this";
the canonical text is the engine's. Does not know Gradio, languages or how a frame looks.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from engine import Engine, Message, SamplingParams, SessionId, TurnFigures
from engine.chat_template import THINKING
from engine.conversation import Entry, Feedback
from engine.errors import EngineError, QueueFull, RequestError, SessionBusy, SessionNotFound
from engine.events import Event
from web.frames import Frame, Preparing
from web.history import PageMessage, kept_messages, same_text
from web.news import Failure, News
from web.pace import FASTEST_S, Pace
from web.startup import Startup

log = logging.getLogger(__name__)

DRAFT_INTERVAL_S = 0.4  # the next draft of a page is not taken before
RESTORE_PATIENCE_S = 5.0
STOP_PATIENCE_S = 3.0  # one step may take this long; after that the turn is abandoned


@dataclass(frozen=True, slots=True)
class Continuation:
    """In the place of a message: nothing is said, the last reply goes on."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the person wants said. history: what the page shows before it, None if it shows nothing.

    continues: nothing is said; the last reply goes on.
    """

    session_id: SessionId
    message: str
    history: Sequence[PageMessage] | None
    system: str | None = None
    params: SamplingParams = field(default_factory=SamplingParams)
    thinking: bool = False
    continues: bool = False


@dataclass(slots=True, eq=False)
class Job:
    """A turn under way. silenced: its page has moved on and shows nothing more of it.

    previous: the conversation's last message before it.
    """

    session_id: SessionId
    previous: int | None = None
    stopped: bool = False
    silenced: bool = False
    done: asyncio.Event = field(default_factory=asyncio.Event)


class Turns:
    """The turns of all pages. For one event loop, except `stop`, which any thread may call."""

    def __init__(self, startup: Startup) -> None:
        self._startup = startup
        self._jobs: dict[str, Job] = {}
        self._unread: dict[SessionId, int] = {}  # tokens without KV when a draft began
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
        running = [job for job in self._jobs.values() if job.session_id == session_id]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(_all_done(running), STOP_PATIENCE_S)
        if self._startup.engine is not None and self._startup.engine.status != "closed":
            self._startup.engine.open_session(session_id)
        return self._transcript(session_id)

    def figures(self, session_id: SessionId) -> list[TurnFigures]:
        """The figures of the turns that the conversation shows."""
        endings = [entry.node.ending for entry in self._transcript(session_id)]
        return [ending.figures for ending in endings if ending is not None]

    async def run(self, page: str, request: Request) -> AsyncGenerator[Frame, None]:
        """Run a turn for `page`; ten frames a second at most, one a second at least."""
        await self.end(page, silently=True)
        job = self._jobs[page] = Job(request.session_id)
        try:
            async with aclosing(self._frames(job, request)) as frames:
                async for frame in frames:
                    if job.silenced:
                        return
                    yield frame
        finally:
            job.done.set()
            if self._jobs.get(page) is job:
                del self._jobs[page]

    def is_running(self, page: str) -> bool:
        """Whether a turn of `page` is under way."""
        return page in self._jobs

    def stop(self, page: str) -> None:
        """Let the turn of `page`, if any, end at the engine's next step."""
        if job := self._jobs.get(page):
            job.stopped = True
            self._cancel(job)

    async def end(self, page: str, *, silently: bool) -> None:
        """Stop the turn of `page` and wait until it is over."""
        if job := self._jobs.get(page):
            job.silenced = job.silenced or silently
            self.stop(page)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(job.done.wait(), STOP_PATIENCE_S + 1)

    async def undo(self, page: str, session_id: SessionId, before: Sequence[PageMessage]) -> None:
        """Take back everything after `before`, the page's history up to the message undone."""
        await self.end(page, silently=True)
        keep = kept_messages(before, _messages(self._transcript(session_id)))
        with contextlib.suppress(
            SessionNotFound, SessionBusy
        ):  # another tab is answering: keep all
            await self._engine().truncate(session_id, keep)

    async def switch(self, page: str, session_id: SessionId, node_id: int) -> None:
        """Show another version of a message. Raises RequestError or StoreError."""
        await self.end(page, silently=True)
        await self._engine().switch(session_id, node_id)

    async def rate(self, session_id: SessionId, node_id: int, feedback: Feedback) -> None:
        """Like or dislike a reply; the second time, take that back. RequestError or StoreError."""
        engine = self._engine()
        nodes = [entry.node for entry in engine.transcript(session_id)]
        is_chosen = any((n.id, n.feedback) == (node_id, feedback) for n in nodes)
        await engine.rate(session_id, node_id, None if is_chosen else feedback)

    async def draft(
        self, session_id: SessionId, text: str, system: str | None, thinking: bool
    ) -> bool:
        """Somebody is typing; whether what is certain of it is prefilled, a moment later."""
        engine = self._startup.engine
        if engine is None or self._startup.phase != "ready":
            return False
        try:
            engine.open_session(session_id)
            options = template_options(engine, thinking)
            engine.draft(session_id, text, system=system, **options)
            await asyncio.sleep(DRAFT_INTERVAL_S)
            return engine.is_prefilled(session_id)
        except EngineError as error:
            log.info("A draft is not prefilled: %s", error)
            return False

    def draft_percent(self, session_id: SessionId) -> int:
        """How much of what the last drafts brought has its KV."""
        engine = self._startup.engine
        if engine is None or self._startup.phase != "ready":
            return 0
        try:
            is_ready, left = engine.is_prefilled(session_id), engine.num_uncached_tokens(session_id)
        except SessionNotFound:
            return 0
        if is_ready:
            self._unread.pop(session_id, None)
            return 100
        most = self._unread[session_id] = max(left, self._unread.get(session_id, 0))
        return 100 * (most - left) // most if left else 0

    async def _frames(self, job: Job, request: Request) -> AsyncGenerator[Frame, None]:
        while not self._startup.is_settled:
            yield Frame((), request.message, progress=Preparing())
            if job.stopped:
                return
            await asyncio.sleep(FASTEST_S)
        if self._startup.failure is not None:
            yield Frame((), request.message, refused=self._startup.failure)
            return
        try:
            keep, message = self._place(request)
        except EngineError as error:
            yield Frame((), request.message, refused=str(error))
            return
        kept = self._transcript(request.session_id)
        first = Frame(kept[:keep], message)
        if request.continues:
            first = replace(first, text=kept[keep].node.content if kept else "")
        else:
            job.previous = _last_id(kept)
        yield first
        with self._pace.shown():
            async with aclosing(self._watch(job, request, first, keep)) as frames:
                async for frame in frames:
                    yield frame
                    self._pace.updated()

    def _place(self, request: Request) -> tuple[int, str]:
        """How many messages stay, and the message; a retried one in its canonical spelling.

        A page that shows nothing yet says nothing of the place: then everything stays and the message
        is added at the end.
        """
        self._engine().open_session(request.session_id)
        canonical = _messages(self._transcript(request.session_id))
        if request.continues:
            return max(len(canonical) - 1, 0), ""
        if request.history is None:
            return len(canonical), request.message
        keep = kept_messages(request.history, canonical)
        retried = keep < len(canonical) and same_text(canonical[keep].content, request.message)
        return keep, canonical[keep].content if retried else request.message

    async def _watch(
        self, job: Job, request: Request, frame: Frame, keep: int
    ) -> AsyncGenerator[Frame, None]:
        stream = self._stream(request, frame.message, keep)
        news, deadline = News(stream, self._pace.interval_s), None
        try:
            while not frame.is_last:
                frame = self._told(job, request, frame, await news.recent())
                if job.stopped and not frame.is_last:
                    self._cancel(job)
                    deadline = deadline or time.monotonic() + STOP_PATIENCE_S
                    if time.monotonic() > deadline:
                        return
                yield frame
        finally:
            if not frame.is_last:  # the page went away; when it is back it shows how this ended
                self._cancel(job)
                self._told(job, request, frame, await news.close(STOP_PATIENCE_S))

    def _stream(self, request: Request, message: str, keep: int) -> AsyncGenerator[Event, None]:
        engine = self._engine()
        options = template_options(engine, request.thinking)
        options |= {"system": request.system, "params": request.params}
        options["gather"] = self._pace.gather_s
        if request.continues:
            return engine.continue_reply(request.session_id, **options)
        return engine.chat(request.session_id, message, keep=keep, **options)

    def _told(
        self, job: Job, request: Request, frame: Frame, news: Sequence[Event | Failure]
    ) -> Frame:
        """The frame after `news`; the end of a turn, and a refusal, show all that stays."""
        for item in news:
            if isinstance(item, Failure):
                kept = self._transcript(request.session_id)
                return refused(Frame(kept, frame.message), item.error)
            frame = frame.after(item)
        return self._whole(job, frame) if frame.finished else frame

    def _whole(self, job: Job, frame: Frame) -> Frame:
        """The last frame: all of the conversation, unless the turn ended before it was begun."""
        whole = self._transcript(job.session_id)
        if _last_id(whole) in (None, job.previous):
            return frame
        return replace(frame, kept=whole, is_whole=True)

    def _transcript(self, session_id: SessionId) -> tuple[Entry, ...]:
        if self._startup.engine is None:
            return ()
        try:
            return self._startup.engine.transcript(session_id)
        except SessionNotFound:
            return ()

    def _engine(self) -> Engine:
        engine = self._startup.engine
        assert engine is not None, "a turn began before the engine was there"
        return engine

    def _cancel(self, job: Job) -> None:
        if self._startup.engine is not None:
            self._startup.engine.cancel(job.session_id)


def template_options(engine: Engine, thinking: bool) -> dict[str, Any]:
    """Whether to think, said to a model that has the choice: most think unless told not to."""
    return {THINKING: thinking} if engine.info.can_think else {}


def _messages(transcript: Sequence[Entry]) -> list[Message]:
    return [Message(entry.node.role, entry.node.content) for entry in transcript]


def _last_id(transcript: Sequence[Entry]) -> int | None:
    return transcript[-1].node.id if transcript else None


async def _all_done(jobs: Sequence[Job]) -> None:
    for job in jobs:
        await job.done.wait()


def refused(frame: Frame, error: Exception) -> Frame:
    """`frame` as the last one, with what to tell the person in place of a reply."""
    return replace(frame, refused=_sentence(error), is_busy=isinstance(error, QueueFull))


def _sentence(error: Exception) -> str | None:
    """What to tell the person; the engine's own errors are written for them."""
    if isinstance(error, EngineError):
        if not isinstance(error, RequestError):
            log.warning("A turn failed: %s", error)
        return str(error)
    log.error("A turn failed", exc_info=error)
    return ""
