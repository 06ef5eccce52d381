"""The public face: an engine that any thread or event loop may use.

Owns: which requests are under way, and what each of its methods becomes in the owner thread
(engine.owner). Does not know: how a step works, or what a page looks like. Requests made while the
model loads wait for it; after `close` each gets EngineClosed.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, Literal

from engine.config import EngineConfig
from engine.conversations import (
    Branch,
    Entry,
    Feedback,
    Home,
    Library,
    Node,
    Session,
    SessionId,
    SessionTable,
    Storage,
    Trails,
    open_journal,
)
from engine.errors import EngineClosed, EngineError, RequestError
from engine.events import Event, Finished
from engine.grammars import Grammar, GrammarConstraint
from engine.loading import ModelInfo, load
from engine.owner import Loader, Owner
from engine.scheduling import SamplingParams
from engine.stats import EngineStats, stats_of
from engine.text import Message, Setting
from engine.tiers import portable
from engine.turns import NO_SUCH_ANSWER, EngineCore, Gather, TurnRequest, at_once

EngineStatus = Literal["loading", "ready", "failed", "closed"]

NO_SUCH_MESSAGE = "There is no such message in this conversation."
NO_SUCH_TOKEN = "The model has no such token."  # noqa: S105

_DEFAULT_PARAMS = SamplingParams()


class Engine:
    """One model, many conversations whose KV cache stays."""

    def __init__(self, config: EngineConfig, loader: Loader = load) -> None:
        """Opens the conversations. Raises StoreError if they cannot be stored and `config` requires it."""
        self.config = config
        self._journal = open_journal(config)
        self._sessions = SessionTable(self._journal.load)
        self._owner = Owner(config, loader)
        self._requests: set[TurnRequest] = set()
        self.library = Library(self._journal, self._forget)
        self.trails = Trails(self._journal)
        self.observers: list[Callable[[Finished], object]] = []  # of turns that end, in their loops

    def start(self) -> "Engine":
        """Begin to load the model, in the background. When the program ends, it is closed."""
        self._owner.start(Home(self._sessions, self._journal, self._owner.wake))
        return self

    @property
    def error(self) -> EngineError | None:
        """What loading, or the owner thread, failed with."""
        return self._owner.error

    @property
    def status(self) -> EngineStatus:
        """loading, ready, failed (see `error`) or closed."""
        if self._owner.closing.is_set():
            return "closed"
        if not self._owner.settled.is_set():
            return "loading"
        return "failed" if self.error else "ready"

    @property
    def info(self) -> ModelInfo:
        """The loaded model. Raises EngineClosed before the engine is ready."""
        if self._owner.info is None:
            raise EngineClosed("The model is not loaded.")
        return self._owner.info

    @property
    def is_alive(self) -> bool:
        """Whether its thread runs: then Python, at its end, would tear the model's code apart."""
        return self._owner.thread.is_alive()

    @property
    def stands_still_s(self) -> float:
        """For how long its thread has been at one step or command; 0 while it waits or loads.

        A step takes seconds at most; one of minutes will not come back.
        """
        return self._owner.stands_still_s

    @property
    def restarts(self) -> int:
        """How often a fault has ended the engine, which was then loaded again."""
        return self._owner.restarts

    @property
    def storage(self) -> Storage:
        """How well conversations are kept; from any thread."""
        return self._journal.storage

    def wait_ready(self, timeout_s: float | None = None) -> None:
        """Wait until the model is loaded. Raises the EngineError that stopped it, or TimeoutError."""
        if not self._owner.settled.wait(timeout_s):
            raise TimeoutError("The model is still loading.")
        if self.error:
            raise self.error

    def open_session(self, session_id: SessionId) -> None:
        """Make the session if it is not there yet."""
        self._sessions.open(session_id)

    async def find_session(self, session_id: SessionId) -> None:
        """As `open_session`; the event loop goes on while the disk is read. Raises StoreError."""
        if session_id not in self._sessions:
            await asyncio.to_thread(self.open_session, session_id)

    def close_session(self, session_id: SessionId) -> None:
        """Forget the session and its KV; nothing happens if there is none."""
        if session := self._sessions.remove(session_id):
            self._owner.post(lambda core: core.release(session))

    def messages(self, session_id: SessionId) -> tuple[Message, ...]:
        """What the model saw and said in the session. Raises SessionNotFound."""
        return self._sessions.find(session_id).messages

    def head(self, session_id: SessionId) -> int:
        """The id of the last message, which is the reply's while a turn is under way. Raises SessionNotFound.

        There is one in every session that was talked to; raises RequestError in others.
        """
        head = self._sessions.find(session_id).conversation.head
        if head is None:
            raise RequestError(NO_SUCH_MESSAGE)
        return head

    def path(self, session_id: SessionId, node_id: int) -> tuple[Node, ...]:
        """The messages up to one of them, shown or not. Raises SessionNotFound, RequestError."""
        conversation = self._sessions.find(session_id).conversation
        if node_id not in conversation.nodes:
            raise RequestError(NO_SUCH_MESSAGE)
        return tuple(conversation.path(node_id))

    def num_said(self, session_id: SessionId, messages: Sequence[Message]) -> int:
        """How many of the messages, from the first on, were said in the session. Raises SessionNotFound."""
        return len(self._sessions.find(session_id).conversation.follow(messages))

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

        await self._owner.call(command)
        await self._stored(session)

    async def switch(self, session_id: SessionId, node_id: int) -> None:
        """Show the version `node_id` of a message, with what was last said behind it.

        Raises SessionNotFound, SessionBusy, or RequestError if there is no such message.
        """
        session = self._sessions.find(session_id)

        def command(core: EngineCore) -> None:
            if node_id not in session.conversation.nodes:
                raise RequestError(NO_SUCH_MESSAGE)
            core.show(session, session.conversation.newest_leaf(node_id))

        await self._owner.call(command)
        await self._stored(session)

    async def edit_reply(self, session_id: SessionId, node_id: int, text: str) -> None:
        """Show `text` as another version of a reply; nothing is generated, and the next turn goes on from it.

        What was said behind that reply stays with its old version; `continue_reply` lets the model go
        on with the new one. The KV of the tokens before the first change is kept. Raises
        SessionNotFound, SessionBusy, StoreError, or RequestError if there is no such reply or the
        text cannot be one.
        """
        session = self._sessions.find(session_id)
        await self._owner.call(lambda core: core.edit(session, node_id, text))
        await self._stored(session)

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

        def command(core: EngineCore) -> None:
            try:
                core.draft(session, session.unread_drafts[0], setting)
            finally:  # only now: until then it is not read, whoever looks
                session.unread_drafts.popleft()

        self._owner.post(command)

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
        await self._owner.call(lambda core: exported.append(core.export(session)))
        return exported[0]

    async def import_file(self, session_id: SessionId, raw: bytes) -> None:
        """Fill the new session `session_id` from an exported file of any of the three forms.

        Raises RequestError (ImportRefused) or SnapshotRefused, with nothing changed.
        """
        await self.find_session(session_id)
        session = self._sessions.find(session_id)
        await self._owner.call(lambda core: core.parts.sharing.read(session, raw))
        await self._stored(session)

    async def rate(self, session_id: SessionId, node_id: int, feedback: Feedback | None) -> None:
        """Keep that the person likes or dislikes a reply, or neither.

        Raises SessionNotFound, StoreError, or RequestError if there is no such reply.
        """
        session = self._sessions.find(session_id)

        def command(core: EngineCore) -> None:
            node = session.conversation.nodes.get(node_id)
            if node is None or node.role != "assistant":
                raise RequestError(NO_SUCH_ANSWER)
            core.parts.journal.rate(session, node_id, feedback)
            session.conversation.rate(node_id, feedback)
            session.refresh()

        await self._owner.call(command)
        await self._stored(session)

    def is_prefilled(self, session_id: SessionId) -> bool:
        """Whether all that is certain of the session's next prompt has its KV. Raises SessionNotFound."""
        is_read = not self._sessions.find(session_id).unread_drafts
        return is_read and not self.num_uncached_tokens(session_id)

    def num_uncached_tokens(self, session_id: SessionId) -> int:
        """Tokens of the session's next prompt, as far as it is certain, that have no KV yet.

        Raises SessionNotFound.
        """
        return self._sessions.find(session_id).active.sequence.num_uncached_tokens

    async def branch_off(
        self, source: SessionId, target: SessionId, messages: Sequence[Message]
    ) -> None:
        """Begin the new session `target` with what `source` has said of `messages`, and with its KV.

        `source` may be busy, and stays as it is. Raises SessionNotFound, StoreError, or RequestError if
        there is something in `target`.
        """
        await self.find_session(target)
        old, new = self._sessions.find(source), self._sessions.find(target)
        await self._owner.call(lambda core: core.parts.sharing.branch_off(old, new, messages))
        await self._stored(new)

    async def tokens(self, text: str) -> list[int]:
        """The token ids of `text` by itself. Raises EngineClosed."""
        found: list[int] = []

        def command(core: EngineCore) -> None:
            tokenizer = core.parts.tokenizer
            found.extend(tokenizer.encode(tokenizer.escape(text)))

        await self._owner.call(command)
        return found

    async def num_prompt_tokens(
        self, messages: Sequence[Message], *, system: str | None = None, **template_options: Any
    ) -> int:
        """How many tokens the prompt has that ends with these messages, the last of them the user's.

        Raises RequestError or EngineClosed.
        """
        setting, counts = Setting(system, dict(template_options)), list[int]()

        def command(core: EngineCore) -> None:
            *before, (_, message) = messages
            prompt = core.parts.opening.prompts.chat(Branch(), before, message, setting, 1)
            counts.append(prompt.num_tokens)

        await self._owner.call(command)
        return counts[0]

    async def text_of(self, tokens: Sequence[int]) -> str:
        """The text of token ids. Raises EngineClosed, or RequestError if the model has no such tokens."""
        texts: list[str] = []

        def command(core: EngineCore) -> None:
            if not all(0 <= token < core.parts.opening.vocab_size for token in tokens):
                raise RequestError(NO_SUCH_TOKEN)
            texts.append(core.parts.tokenizer.decode(tokens))

        await self._owner.call(command)
        return texts[0]

    async def count_tokens(self, text: str) -> int:
        """How many tokens `text` has by itself. Raises EngineClosed."""
        return len(await self.tokens(text))

    async def evict(self, session_id: SessionId) -> None:
        """Drop the KV of an idle session, which its next turn re-prefills. Raises SessionNotFound."""
        session = self._sessions.find(session_id)
        await self._owner.call(lambda core: core.evict(session))

    def chat(
        self,
        session_id: SessionId,
        message: str,
        *,
        keep: int | None = None,
        behind: Sequence[Message] | None = None,
        system: str | None = None,
        params: SamplingParams = _DEFAULT_PARAMS,
        grammar: Grammar | None = None,
        gather: Gather = at_once,
        **template_options: Any,
    ) -> AsyncGenerator[Event, None]:
        """Say `message` in the session and stream what comes of it; the last event is Finished.

        keep: how many of `messages()` stay in front of it (None: all), which is how a message is
        edited; one that says what the next of them says gets that one another reply. behind: what stands in
        front of it instead, whatever is shown: what of that was said in the session, thoughts aside, is gone
        on from in the session's own words, and the rest becomes a branch. grammar: what the
        answer keeps to; thoughts in front of it are free. gather: for how many seconds, asked anew each
        time, text may gather before it comes in one piece; the first text and the end do not wait. Closing the generator cancels the turn and keeps what was said.
        Raises a RequestError, with nothing changed, or EngineClosed.
        """
        setting = Setting(system, dict(template_options))
        request = TurnRequest(session_id, message, params, _ignore, keep, setting, gather=gather)
        request.behind = None if behind is None else tuple(behind)
        request.grammar = grammar
        return self._stream(request)

    def continue_reply(
        self,
        session_id: SessionId,
        *,
        system: str | None = None,
        params: SamplingParams = _DEFAULT_PARAMS,
        gather: Gather = at_once,
        **template_options: Any,
    ) -> AsyncGenerator[Event, None]:
        """Go on with the last reply, which was cut off, stopped or interrupted; as `chat`.

        The pieces of text are those that are new. Raises RequestError if that reply is whole.
        """
        setting = Setting(system, dict(template_options))
        request = TurnRequest(
            session_id, "", params, _ignore, None, setting, continues=True, gather=gather
        )
        return self._stream(request)

    def complete(
        self,
        text: str,
        params: SamplingParams = _DEFAULT_PARAMS,
        *,
        name: str | None = None,
        grammar: Grammar | None = None,
    ) -> AsyncGenerator[Event, None]:
        """Continue `text` as it is, without a chat template and without a session.

        name: what `cancel_completion` stops it by. grammar: what the rest of the text keeps to.
        """
        request = TurnRequest(None, text, params, _ignore, name=name, grammar=grammar)
        return self._stream(request)

    def cancel(self, session_id: SessionId) -> None:
        """Stop the turn of that session, if one is under way."""
        for request in list(self._requests):
            if request.session_id == session_id:
                request.cancelled = True
        self._owner.wake()

    def cancel_completion(self, name: str) -> None:
        """Stop the completion of that name, if one is under way; it ends with its figures."""
        for request in list(self._requests):
            if request.session_id is None and request.name == name:
                request.cancelled = True
        self._owner.wake()

    def stats(self) -> EngineStats:
        """The engine now; all zero before it is ready."""
        return stats_of(self._owner.core, self._owner.info, self._sessions)

    def flush(self, timeout_s: float) -> None:
        """Wait until what people were told is stored, as far as it can be; from any thread."""
        self._journal.flush(timeout_s)

    def close(self, timeout_s: float = 5.0) -> None:
        """Cancel all turns and end the owner thread; waits at most `timeout_s`."""
        self._owner.close(timeout_s)

    async def _stored(self, session: Session) -> None:
        """Wait until the session is committed; what cannot be yet is tried again, and not waited for."""
        await asyncio.shield(asyncio.wrap_future(self._journal.stored(session)))

    def _forget(self, session_id: SessionId) -> None:
        """The conversation is about to be deleted: its turn ends, its KV leaves memory and disk."""
        session = self._sessions.open(session_id)
        self._sessions.remove(session_id)
        self._owner.post(lambda core: core.forget(session))

    def _constraint(self, grammar: Grammar) -> GrammarConstraint:
        """What bounds one reply. Raises RequestError, or what keeps the model from loading."""
        self.wait_ready()
        core = self._owner.core
        if core is None:
            raise EngineClosed("The engine has stopped.")
        return core.parts.grammars.constraint(grammar)

    async def _stream(self, request: TurnRequest) -> AsyncGenerator[Event, None]:
        if request.grammar is not None:
            request.constraint = await asyncio.to_thread(self._constraint, request.grammar)
        self._requests.add(request)
        try:
            async with contextlib.aclosing(self._owner.stream(request)) as events:
                async for event in events:
                    if isinstance(event, Finished):
                        self._observe(event)
                    yield event
        finally:
            self._requests.discard(request)

    def _observe(self, finished: Finished) -> None:
        for observer in self.observers:
            observer(finished)


def _ignore(_event: Event | EngineError) -> None:
    """For a request that is not listened to yet."""
