"""The public face: an engine that any thread or event loop may use.

Owns: the owner thread, in which everything that changes lives, and the way into it (a queue of
commands). Does not know: how a step works, or what a page looks like. Requests made while the
model loads wait for it; after `close` each gets EngineClosed.
"""

import asyncio
import contextlib
import logging
import queue
import threading
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from engine import portable
from engine.chat_template import Message
from engine.config import EngineConfig
from engine.conversation import Entry, Feedback
from engine.core import EngineCore
from engine.errors import EngineClosed, EngineError, ModelUnsupported, RequestError
from engine.events import Event, Finished
from engine.journal import Journal
from engine.library import Library
from engine.loading import Home, ModelInfo, load
from engine.rendering import Setting
from engine.sampling import SamplingParams
from engine.session import SessionId, SessionTable
from engine.store import Store, StoreError
from engine.turn import TurnRequest

log = logging.getLogger(__name__)

EngineStatus = Literal["loading", "ready", "failed", "closed"]
Command = Callable[[EngineCore], object]
Answer = TypeVar("Answer")
Loader = Callable[[EngineConfig, Home], tuple[EngineCore, ModelInfo]]

_DEFAULT_PARAMS = SamplingParams()
SAVE_AT_END_S = 3.5


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineStats:
    """The engine at one moment. forward_s: seconds spent in OpenVINO's calls since the start.

    disk_bytes: of KV on disk. spilled, restored: snapshots since the start. blocks_by_session counts
    a shared block for each of its sessions.
    """

    sessions: int
    running: int
    waiting: int
    kv_blocks_used: int
    kv_blocks_total: int
    tokens_generated: int
    forward_s: float
    is_warm: bool
    kv_blocks_shared: int
    kv_block_bytes: int
    disk_bytes: int
    spilled: int
    restored: int
    blocks_by_session: dict[SessionId, int]


class Engine:
    """One model, many conversations whose KV cache stays."""

    def __init__(self, config: EngineConfig, loader: Loader = load) -> None:
        self.config = config
        self.error: EngineError | None = None
        self._loader = loader
        self._journal = open_journal(config)
        self._sessions = SessionTable(self._journal.load)
        self.library = Library(self._journal, self._forget)
        self._commands: queue.SimpleQueue[Command | None] = queue.SimpleQueue()
        self._requests: set[TurnRequest] = set()
        self._settled = threading.Event()
        self._closing = threading.Event()
        self._core: EngineCore | None = None
        self._info: ModelInfo | None = None
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> "Engine":
        """Begin to load the model, in the background."""
        self._thread.start()
        return self

    @property
    def status(self) -> EngineStatus:
        """loading, ready, failed (see `error`) or closed."""
        if self._closing.is_set():
            return "closed"
        if not self._settled.is_set():
            return "loading"
        return "failed" if self.error else "ready"

    @property
    def info(self) -> ModelInfo:
        """The loaded model. Raises EngineClosed before the engine is ready."""
        if self._info is None:
            raise EngineClosed("The model is not loaded.")
        return self._info

    def wait_ready(self, timeout_s: float | None = None) -> None:
        """Wait until the model is loaded. Raises the EngineError that stopped it, or TimeoutError."""
        if not self._settled.wait(timeout_s):
            raise TimeoutError("The model is still loading.")
        if self.error:
            raise self.error

    def open_session(self, session_id: SessionId) -> None:
        """Make the session if it is not there yet."""
        self._sessions.open(session_id)

    def close_session(self, session_id: SessionId) -> None:
        """Forget the session and its KV; nothing happens if there is none."""
        if session := self._sessions.remove(session_id):
            self._post(lambda core: core.release(session))

    def messages(self, session_id: SessionId) -> tuple[Message, ...]:
        """What the model saw and said in the session. Raises SessionNotFound."""
        return self._sessions.find(session_id).messages

    def transcript(self, session_id: SessionId) -> tuple[Entry, ...]:
        """As `messages`, with each message's id, status and versions. Raises SessionNotFound."""
        return self._sessions.find(session_id).transcript

    async def truncate(self, session_id: SessionId, keep: int) -> None:
        """Go back to the first `keep` messages; the others stay as a branch.

        Raises SessionNotFound, SessionBusy, or RequestError if there are not as many.
        """
        session = self._sessions.find(session_id)

        def command(core: EngineCore) -> None:
            kept = session.kept(keep)
            core.show(session, kept[-1].id if kept else None)

        await self._call(command)

    async def switch(self, session_id: SessionId, node_id: int) -> None:
        """Show the version `node_id` of a message, with what was last said behind it.

        Raises SessionNotFound, SessionBusy, or RequestError if there is no such message.
        """
        session = self._sessions.find(session_id)

        def command(core: EngineCore) -> None:
            if node_id not in session.conversation.nodes:
                raise RequestError("There is no such message in this conversation.")
            core.show(session, session.conversation.newest_leaf(node_id))

        await self._call(command)

    def draft(
        self,
        session_id: SessionId,
        text: str,
        *,
        system: str | None = None,
        **template_options: Any,
    ) -> None:
        """Somebody is typing `text`; it is prefilled while nobody waits. From any thread."""
        session = self._sessions.find(session_id)
        setting = Setting(system, dict(template_options))
        session.unread_drafts.append(text)
        self._post(lambda core: core.draft(session, session.unread_drafts.popleft(), setting))

    def export_markdown(self, session_id: SessionId) -> str:
        """The conversation as Markdown. Raises SessionNotFound."""
        return portable.to_markdown(self.messages(session_id))

    def export_json(self, session_id: SessionId) -> str:
        """The conversation as JSON. Raises SessionNotFound."""
        return portable.to_json(self.messages(session_id))

    async def export_portable(self, session_id: SessionId) -> bytes:
        """The conversation with its KV, to go on elsewhere. Raises RequestError."""
        session = self._sessions.find(session_id)
        exported: list[bytes] = []
        await self._call(lambda core: exported.append(core.export(session)))
        return exported[0]

    async def import_file(self, session_id: SessionId, raw: bytes) -> None:
        """Fill the new session `session_id` from an exported file of any of the three forms.

        Raises RequestError (ImportRefused) or SnapshotRefused, with nothing changed.
        """
        self.open_session(session_id)
        session = self._sessions.find(session_id)
        await self._call(lambda core: core.parts.sharing.read(session, raw))

    async def rate(self, session_id: SessionId, node_id: int, feedback: Feedback | None) -> None:
        """Keep that the person likes or dislikes a reply, or neither.

        Raises SessionNotFound, StoreError, or RequestError if there is no such reply.
        """
        session = self._sessions.find(session_id)

        def command(core: EngineCore) -> None:
            node = session.conversation.nodes.get(node_id)
            if node is None or node.role != "assistant":
                raise RequestError("There is no such answer in this conversation.")
            core.parts.journal.rate(session, node_id, feedback)
            session.conversation.rate(node_id, feedback)
            session.refresh()

        await self._call(command)

    def is_prefilled(self, session_id: SessionId) -> bool:
        """Whether all that is certain of the session's next prompt has its KV. Raises SessionNotFound."""
        is_read = not self._sessions.find(session_id).unread_drafts
        return is_read and not self.num_uncached_tokens(session_id)

    def num_uncached_tokens(self, session_id: SessionId) -> int:
        """Tokens of the session's next prompt, as far as it is certain, that have no KV yet.

        Raises SessionNotFound.
        """
        return self._sessions.find(session_id).active.sequence.num_uncached_tokens

    async def count_tokens(self, text: str) -> int:
        """How many tokens `text` has by itself. Raises EngineClosed."""
        counts: list[int] = []

        def command(core: EngineCore) -> None:
            tokenizer = core.parts.tokenizer
            counts.append(len(tokenizer.encode(tokenizer.escape(text))))

        await self._call(command)
        return counts[0]

    async def evict(self, session_id: SessionId) -> None:
        """Drop the KV of an idle session, which its next turn re-prefills. Raises SessionNotFound."""
        session = self._sessions.find(session_id)
        await self._call(lambda core: core.evict(session))

    async def chat(
        self,
        session_id: SessionId,
        message: str,
        *,
        keep: int | None = None,
        system: str | None = None,
        params: SamplingParams = _DEFAULT_PARAMS,
        **template_options: Any,
    ) -> AsyncGenerator[Event, None]:
        """Say `message` in the session and stream what comes of it; the last event is Finished.

        keep: how many of `messages()` stay in front of it (None: all), which is how a message is
        edited; one that says what the next of them says gets that one another reply. Closing the
        generator cancels the turn and keeps what was said.
        Raises a RequestError, with nothing changed, or EngineClosed.
        """
        setting = Setting(system, dict(template_options))
        request = TurnRequest(session_id, message, params, _ignore, keep, setting)
        async with contextlib.aclosing(self._stream(request)) as events:
            async for event in events:
                yield event

    async def continue_reply(
        self,
        session_id: SessionId,
        *,
        system: str | None = None,
        params: SamplingParams = _DEFAULT_PARAMS,
        **template_options: Any,
    ) -> AsyncGenerator[Event, None]:
        """Go on with the last reply, which was cut off, stopped or interrupted; as `chat`.

        The pieces of text are those that are new. Raises RequestError if that reply is whole.
        """
        setting = Setting(system, dict(template_options))
        request = TurnRequest(session_id, "", params, _ignore, None, setting, continues=True)
        async with contextlib.aclosing(self._stream(request)) as events:
            async for event in events:
                yield event

    async def complete(
        self, text: str, params: SamplingParams = _DEFAULT_PARAMS, *, name: str | None = None
    ) -> AsyncGenerator[Event, None]:
        """Continue `text` as it is, without a chat template and without a session.

        name: what `cancel_completion` stops it by.
        """
        request = TurnRequest(None, text, params, _ignore, name=name)
        async with contextlib.aclosing(self._stream(request)) as events:
            async for event in events:
                yield event

    def cancel(self, session_id: SessionId) -> None:
        """Stop the turn of that session, if one is under way."""
        for request in list(self._requests):
            if request.session_id == session_id:
                request.cancelled = True
        self._wake()

    def cancel_completion(self, name: str) -> None:
        """Stop the completion of that name, if one is under way; it ends with its figures."""
        for request in list(self._requests):
            if request.session_id is None and request.name == name:
                request.cancelled = True
        self._wake()

    def stats(self) -> EngineStats:
        """A snapshot; all zero before the engine is ready."""
        core = self._core
        disk = core.parts.tiers.disk if core else None
        return EngineStats(
            sessions=len(self._sessions),
            running=len(core.parts.scheduler.running) if core else 0,
            waiting=len(core.parts.scheduler.waiting) if core else 0,
            kv_blocks_used=core.parts.pool.num_used if core else 0,
            kv_blocks_total=self._info.num_blocks if self._info else 0,
            tokens_generated=core.tokens_generated if core else 0,
            forward_s=core.parts.runner.busy_s if core else 0.0,
            is_warm=core.parts.idle.is_warm if core else False,
            kv_blocks_shared=core.parts.pool.num_shared if core else 0,
            kv_block_bytes=self._info.kv_block_bytes if self._info else 0,
            disk_bytes=disk.folder.used_bytes if disk else 0,
            spilled=core.parts.tiers.counts.spilled if core else 0,
            restored=core.parts.tiers.counts.restored if core else 0,
            blocks_by_session={s.id: s.num_blocks for s in self._sessions if s.id is not None},
        )

    def close(self, timeout_s: float = 5.0) -> None:
        """Cancel all turns and end the owner thread; waits at most `timeout_s`."""
        self._closing.set()
        self._wake()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _forget(self, session_id: SessionId) -> None:
        """The conversation is about to be deleted: its turn ends, its KV leaves memory and disk."""
        session = self._sessions.open(session_id)
        self._sessions.remove(session_id)
        self._post(lambda core: core.forget(session))

    async def _stream(self, request: TurnRequest) -> AsyncGenerator[Event, None]:
        loop = asyncio.get_running_loop()
        events: asyncio.Queue[Event | EngineError] = asyncio.Queue()

        def emit(event: Event | EngineError) -> None:
            try:
                loop.call_soon_threadsafe(events.put_nowait, event)
            except RuntimeError:  # the loop is closed: nobody listens any more
                request.cancelled = True

        def begin(core: EngineCore) -> None:
            try:
                core.begin(request)
            except EngineError as error:
                emit(error)
            except Exception as error:  # a template or tokenizer that chokes on this text
                log.exception("A request could not be read")
                emit(RequestError(f"This message could not be read: {error}"))

        request.emit = emit
        self._requests.add(request)
        try:
            self._post(begin)
            while True:
                event = await self._next(events)
                if isinstance(event, EngineError):
                    raise event
                yield event
                if isinstance(event, Finished):
                    return
        finally:
            request.cancelled = True
            self._requests.discard(request)
            self._wake()

    async def _next(self, answers: "asyncio.Queue[Answer]") -> Answer | EngineError:
        """The owner thread's next answer; EngineClosed if it ended without one."""
        while True:
            # Not wait_for: in Python 3.11 it swallows a cancellation that comes with an answer.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    return await answers.get()
            if not self._thread.is_alive() and answers.empty():
                return self.error or EngineClosed("The engine has stopped.")

    async def _call(self, command: Command) -> None:
        """Run a command in the owner thread and wait for it; what it raises is raised here."""
        loop = asyncio.get_running_loop()
        answers: asyncio.Queue[bool | EngineError] = asyncio.Queue()

        def run(core: EngineCore) -> None:
            answer: bool | EngineError = True
            try:
                command(core)
            except EngineError as error:
                answer = error
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
                loop.call_soon_threadsafe(answers.put_nowait, answer)

        self._post(run)
        answer = await self._next(answers)
        if isinstance(answer, EngineError):
            raise answer

    def _post(self, command: Command) -> None:
        if self._closing.is_set() or self.error:
            raise self.error or EngineClosed("The engine is stopping.")
        self._commands.put(command)

    def _wake(self) -> None:
        self._commands.put(None)

    def _run(self) -> None:
        home = Home(self._sessions, self._journal, self._wake)
        try:
            self._core, self._info = self._loader(self.config, home)
        except EngineError as error:
            self.error = error
        except Exception as error:
            log.exception("The model could not be loaded")
            self.error = ModelUnsupported(f"The model could not be loaded: {error}")
        self._settled.set()
        if self._core is not None:
            self._serve_until_closed(self._core)

    def _serve_until_closed(self, core: EngineCore) -> None:
        try:
            self._serve(core)
        except Exception:
            log.exception("The engine stopped")
            self.error = EngineClosed("The engine stopped because of a bug in it; start it again.")

    def _serve(self, core: EngineCore) -> None:
        while not self._closing.is_set():
            self._obey(core)
            if core.has_work:
                core.step()
            elif core.parts.idle.wait_s() == 0.0:
                core.parts.idle.step()
        core.cancel_all()
        core.parts.tiers.save_all(time.monotonic() + SAVE_AT_END_S)
        self._journal.close()

    def _obey(self, core: EngineCore) -> None:
        """Run the commands that have come; wait for one if there is nothing else to do."""
        wait_s = 0.0 if core.has_work else core.parts.idle.wait_s()
        if self.config.debug and wait_s != 0.0:
            core.check_integrity()
        with contextlib.suppress(queue.Empty):
            command = self._commands.get(block=wait_s != 0.0, timeout=wait_s)
            while True:
                if command is not None:
                    command(core)
                command = self._commands.get_nowait()


def open_journal(config: EngineConfig) -> Journal:
    """The conversations on disk, or only in memory where there is no disk to use."""
    if config.data_dir is None:
        return Journal()
    try:
        config.data_dir.mkdir(parents=True, exist_ok=True)
        return Journal(Store(config.data_dir / "warmchat.db"))
    except (OSError, StoreError) as error:
        log.warning("Conversations are kept in memory only: %s", error)
        return Journal()


def _ignore(_event: Event | EngineError) -> None:
    """For a request that is not listened to yet."""
