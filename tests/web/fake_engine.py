"""A double of the engine for the page's own logic: same face, replies that say what was asked.

It keeps the canonical messages and obeys keep, cancel and truncate as the engine does. How fast it
prefills and writes, and which events come, the test decides.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import count
from types import SimpleNamespace
from typing import Any, cast

from engine import Engine, Message, SamplingParams, SessionId, events
from engine.conversations.conversation import Conversation, Entry, Feedback, Node
from engine.errors import (
    EmptyMessage,
    EngineError,
    RequestError,
    SessionBusy,
    SessionNotFound,
)
from engine.metrics import KVSource, TurnFigures


def figures(
    reused: int = 1834,
    prefilled: int = 27,
    note: str | None = None,
    source: KVSource = KVSource.MEMORY,
    saved_s: float | None = 4.06,
    first_visible: int = 0,
) -> TurnFigures:
    return TurnFigures(
        reused_tokens=reused, prefilled_tokens=prefilled, generated_tokens=9, wait_s=0.0,
        ttft_s=0.09, itl_s=1 / 71, note=note,
        source=source, saved_s=saved_s, first_visible=first_visible,
    )  # fmt: skip


def _info() -> SimpleNamespace:
    return SimpleNamespace(name="fake-model", can_think=False, has_chat_template=True)


@dataclass
class FakeEngine:
    reply: str = "You said: {message}"
    seconds_per_word: float = 0.0
    prelude: tuple[events.Event, ...] = ()
    prefill_s: float = 0.0
    failure: Exception | None = None
    note: str | None = None
    reason: events.FinishReason = events.FinishReason.STOP
    status: str = "ready"
    error: EngineError | None = None
    info: Any = field(default_factory=_info)
    asked: list[tuple[str, int | None, str | None, SamplingParams]] = field(default_factory=list)
    refusal: EngineError | None = None
    template_options: list[dict[str, Any]] = field(default_factory=list)
    _sessions: dict[SessionId, Conversation] = field(default_factory=dict)
    _ids: Iterator[int] = field(default_factory=lambda: count(1))
    _running: dict[SessionId, asyncio.Event] = field(default_factory=dict)

    def as_engine(self) -> Engine:
        return cast(Engine, self)

    def wait_ready(self, timeout_s: float | None = None) -> None:
        if self.error is not None:
            raise self.error

    def open_session(self, session_id: SessionId) -> None:
        if self.refusal is not None:
            raise self.refusal
        self._sessions.setdefault(session_id, Conversation())

    def transcript(self, session_id: SessionId) -> tuple[Entry, ...]:
        if session_id not in self._sessions:
            raise SessionNotFound("This conversation is not open here.")
        return self._sessions[session_id].transcript()

    def messages(self, session_id: SessionId) -> tuple[Message, ...]:
        return tuple(Message(e.node.role, e.node.content) for e in self.transcript(session_id))

    async def truncate(self, session_id: SessionId, keep: int) -> None:
        if session_id in self._running:
            raise SessionBusy("A turn is under way.")
        self._keep(self._sessions[session_id], keep)

    async def switch(self, session_id: SessionId, node_id: int) -> None:
        conversation = self._sessions[session_id]
        conversation.head = conversation.newest_leaf(node_id)

    def cancel(self, session_id: SessionId) -> None:
        if session_id in self._running:
            self._running[session_id].set()

    def close(self, timeout_s: float = 5) -> None:
        self.status = "closed"

    def complete(
        self, text: str, params: SamplingParams, *, name: str | None = None
    ) -> AsyncGenerator[events.Event, None]:
        session_id = SessionId("", name or text)
        self.open_session(session_id)
        return self.chat(session_id, text, params=params)

    def cancel_completion(self, name: str) -> None:
        self.cancel(SessionId("", name))

    async def chat(
        self,
        session_id: SessionId,
        message: str,
        *,
        keep: int | None = None,
        system: str | None = None,
        params: SamplingParams | None = None,
        gather: Callable[[], float] | None = None,
        **template_options: Any,
    ) -> AsyncGenerator[events.Event, None]:
        self._check(session_id, message)
        self.template_options.append(template_options)
        self.asked.append((message, keep, system, params or SamplingParams()))
        self._ask(session_id, message, keep)
        reply = self._add(session_id, "assistant", "")
        async with aclosing(self._answer(session_id, reply, message)) as stream:
            async for event in stream:
                yield event

    async def continue_reply(
        self, session_id: SessionId, **_options: Any
    ) -> AsyncGenerator[events.Event, None]:
        path = [entry.node for entry in self.transcript(session_id)]
        if not path or not path[-1].is_unfinished:
            raise RequestError("There is nothing to continue.")
        reply = path[-1]
        async with aclosing(self._answer(session_id, reply.id, "more", reply.content)) as stream:
            async for event in stream:
                yield event

    async def rate(self, session_id: SessionId, node_id: int, feedback: Feedback | None) -> None:
        self._sessions[session_id].rate(node_id, feedback)

    async def _answer(
        self, session_id: SessionId, reply: int, message: str, before: str = ""
    ) -> AsyncGenerator[events.Event, None]:
        stop = self._running[session_id] = asyncio.Event()
        said = ""
        end = self._finished(events.FinishReason.CANCELLED)
        try:
            for event in self.prelude:
                yield event
            await self._pause(stop, self.prefill_s)
            for word in self.reply.format(message=message).split(" "):
                if stop.is_set():
                    break
                piece = word if not said else " " + word
                said += piece
                yield events.Text(piece)
                await self._pause(stop, self.seconds_per_word)
            end = self._finished(events.FinishReason.CANCELLED if stop.is_set() else self.reason)
            self._finish(session_id, reply, before + said, end)
            yield end
        finally:
            if session_id in self._running:
                self._finish(session_id, reply, before + said, end)

    def _check(self, session_id: SessionId, message: str) -> None:
        if self.failure is not None:
            raise self.failure
        if session_id not in self._sessions:
            raise SessionNotFound("This conversation is not open here.")
        if session_id in self._running:
            raise SessionBusy("An answer is being written in this conversation.")
        if not message.strip():
            raise EmptyMessage("The message is empty; write something.")

    def _finished(self, reason: events.FinishReason) -> events.Finished:
        return events.Finished(reason, figures(note=self.note))

    def _finish(self, session_id: SessionId, reply: int, said: str, end: events.Finished) -> None:
        del self._running[session_id]
        is_cut = end.reason is events.FinishReason.CANCELLED
        status = "interrupted" if is_cut else "complete"
        self._sessions[session_id].end(reply, said, status, end)

    def _ask(self, session_id: SessionId, message: str, keep: int | None) -> None:
        """The message behind what is kept; the one that is there already, if it is said again."""
        conversation = self._sessions[session_id]
        path = conversation.path(conversation.head)
        self._keep(conversation, keep)
        again = path[keep] if keep is not None and keep < len(path) else None
        if again is not None and again.content == message:
            conversation.head = again.id
        else:
            self._add(session_id, "user", message)

    def _add(self, session_id: SessionId, role: str, content: str) -> int:
        conversation, node_id = self._sessions[session_id], next(self._ids)
        conversation.add(Node(node_id, conversation.head, role, content))
        return node_id

    @staticmethod
    def _keep(conversation: Conversation, keep: int | None) -> None:
        path = conversation.path(conversation.head)[:keep]
        conversation.head = path[-1].id if path else None

    @staticmethod
    async def _pause(stop: asyncio.Event, seconds: float) -> None:
        try:
            await asyncio.wait_for(stop.wait(), seconds or 0.0001)
        except TimeoutError:
            return
