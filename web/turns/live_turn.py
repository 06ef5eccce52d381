"""One turn of a conversation, from what is asked for to its last frame.

Owns: where in the conversation the message goes, the wait for the model before it, and what follows
from Stop. Everything a person can do to a conversation is reduced to "keep so many messages, then say
this"; the canonical text is the engine's. Does not know Gradio, languages, how a frame looks, or the
turns of other pages.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from engine import Engine, Message, SamplingParams, SessionId
from engine.conversations import Entry
from engine.errors import EngineError, QueueFull, RequestError, SessionNotFound
from engine.events import Event
from engine.text import THINKING
from web.startup import Startup
from web.turns.frames import Frame
from web.turns.history import PageMessage, kept_messages, same_text
from web.turns.news import Failure, News
from web.turns.pace import Pace
from web.turns.preparing import preparing

log = logging.getLogger(__name__)

STOP_PATIENCE_S = 3.0  # one step may take this long; after that the reader is told that it is over
STEP_PATIENCE_S = (
    60.0  # and this long for the engine, which can begin nothing else in the conversation
)


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


class LiveTurn:
    """A turn under way."""

    def __init__(self, startup: Startup, pace: Pace, request: Request) -> None:
        self._startup = startup
        self._pace = pace
        self._request = request
        self._previous: int | None = None  # the conversation's last message before this turn
        self._stopped = False
        self._silenced = False
        self._over = asyncio.Event()

    @property
    def session_id(self) -> SessionId:
        """The conversation's."""
        return self._request.session_id

    def stop(self) -> None:
        """Let the turn end at the engine's next step; from any thread."""
        self._stopped = True
        self._cancel()

    async def leave(self) -> None:
        """Its page moves on and shows nothing more of it: stop, and wait until it is over."""
        self._silenced = True
        self.stop()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.wait(), STOP_PATIENCE_S + 1)

    async def wait(self) -> None:
        """Wait until it is over."""
        await self._over.wait()

    async def frames(self) -> AsyncGenerator[Frame, None]:
        """Run it; ten frames a second at most, one a second at least."""
        try:
            async with aclosing(self._run()) as frames:
                async for frame in frames:
                    if self._silenced:
                        return
                    yield frame
        finally:
            self._over.set()

    async def _run(self) -> AsyncGenerator[Frame, None]:
        request = self._request
        async with aclosing(preparing(self._startup, request.message)) as frames:
            async for frame in frames:
                yield frame
                if self._stopped or frame.is_last:
                    return
        if self._startup.failure is not None:
            yield Frame((), request.message, refused=self._startup.failure)
            return
        try:
            await self._engine().find_session(request.session_id)
            keep, message = self._place()
        except EngineError as error:
            yield refused(Frame((), request.message), error)
            return
        first = self._first(keep, message)
        yield first
        with self._pace.shown():
            async with aclosing(self._watch(first, keep)) as frames:
                async for frame in frames:
                    yield frame
                    self._pace.updated()

    def _place(self) -> tuple[int, str]:
        """How many messages stay, and the message; a retried one in its canonical spelling.

        A page that shows nothing yet says nothing of the place: then everything stays and the message
        is added at the end.
        """
        request = self._request
        canonical = as_messages(self._transcript())
        if request.continues:
            return max(len(canonical) - 1, 0), ""
        if request.history is None:
            return len(canonical), request.message
        keep = kept_messages(request.history, canonical)
        retried = keep < len(canonical) and same_text(canonical[keep].content, request.message)
        return keep, canonical[keep].content if retried else request.message

    def _first(self, keep: int, message: str) -> Frame:
        kept = self._transcript()
        first = Frame(kept[:keep], message)
        if self._request.continues:
            return replace(first, text=kept[keep].node.content if kept else "")
        self._previous = _last_id(kept)
        return first

    async def _watch(self, frame: Frame, keep: int) -> AsyncGenerator[Frame, None]:
        news = News(self._stream(frame.message, keep), self._pace.interval_s)
        deadline = None
        try:
            while not frame.is_last:
                frame = self._told(frame, await news.recent())
                if self._stopped and not frame.is_last:
                    self._cancel()
                    deadline = deadline or time.monotonic() + STOP_PATIENCE_S
                    if time.monotonic() > deadline:
                        frame = replace(frame, progress=None, is_abandoned=True)
                yield frame
        finally:
            if frame.is_abandoned or not frame.is_last:
                self._cancel()
                patience_s = STEP_PATIENCE_S if frame.is_abandoned else STOP_PATIENCE_S
                self._told(frame, await news.close(patience_s))

    def _stream(self, message: str, keep: int) -> AsyncGenerator[Event, None]:
        engine, request = self._engine(), self._request
        options = template_options(engine, request.thinking)
        options |= {"system": request.system, "params": request.params}
        options["gather"] = self._pace.gather_s
        if request.continues:
            return engine.continue_reply(request.session_id, **options)
        return engine.chat(request.session_id, message, keep=keep, **options)

    def _told(self, frame: Frame, news: Sequence[Event | Failure]) -> Frame:
        """The frame after `news`; the end of a turn, and a refusal, show all that stays."""
        for item in news:
            if isinstance(item, Failure):
                return refused(Frame(self._transcript(), frame.message), item.error)
            frame = frame.after(item)
        return self._whole(frame) if frame.finished else frame

    def _whole(self, frame: Frame) -> Frame:
        """The last frame: all of the conversation, unless the turn ended before it was begun."""
        whole = self._transcript()
        if _last_id(whole) in (None, self._previous):
            return frame
        return replace(frame, kept=whole, is_whole=True)

    def _transcript(self) -> tuple[Entry, ...]:
        return transcript(self._startup, self.session_id)

    def _engine(self) -> Engine:
        engine = self._startup.engine
        assert engine is not None, "a turn began before the engine was there"
        return engine

    def _cancel(self) -> None:
        if self._startup.engine is not None:
            self._startup.engine.cancel(self.session_id)


def transcript(startup: Startup, session_id: SessionId) -> tuple[Entry, ...]:
    """The conversation as the engine has it; empty where it has none."""
    if startup.engine is None:
        return ()
    try:
        return startup.engine.transcript(session_id)
    except SessionNotFound:
        return ()


def as_messages(entries: Sequence[Entry]) -> list[Message]:
    """The roles and texts of a transcript."""
    return [Message(entry.node.role, entry.node.content) for entry in entries]


def template_options(engine: Engine, thinking: bool) -> dict[str, Any]:
    """Whether to think, said to a model that has the choice: most think unless told not to."""
    return {THINKING: thinking} if engine.info.can_think else {}


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


def _last_id(entries: Sequence[Entry]) -> int | None:
    return entries[-1].node.id if entries else None
