"""From a list of messages to the conversation that said them, so that only what is new is prefilled.

Owns: which conversation a list goes on in. Programs send all that was said every time; it is found by a chain of
digests, one for each beginning of the list. A digest only finds: what was said is compared by the engine,
message by message and then by its ledger, before any KV is used. Does not know HTTP.
"""

import asyncio
import logging
import secrets
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass

from api.chain import chain, start_of
from api.settings import Wish
from engine import Engine, Message, SessionId
from engine.errors import EngineError, SessionBusy
from engine.events import Event, Finished

log = logging.getLogger(__name__)

MOST_OPEN = 512  # conversations in memory; the others are read again from the store
KEPT_S = 7 * 24 * 3600.0
_LOOK_S = 3600.0  # how often it is looked for those that were kept long enough
_AN_EXCHANGE = 2


@dataclass(frozen=True, slots=True)
class Talk:
    """What a client says: all messages before the newest one, and that. hint: what it calls the conversation."""

    owner: str
    behind: tuple[Message, ...]
    message: str
    hint: str | None = None

    @property
    def messages(self) -> tuple[Message, ...]:
        """All of them."""
        return (*self.behind, Message("user", self.message))


@dataclass(frozen=True, slots=True)
class Where:
    """Where a reply stands: its conversation, and its message's id there."""

    session_id: SessionId
    node_id: int


class Talks:
    """The conversations of all clients. For one event loop. kept_s: for how long nobody need go on with one."""

    def __init__(self, kept_s: float = KEPT_S) -> None:
        self._kept_s = kept_s
        self._looked_at: float | None = None
        self._open: OrderedDict[SessionId, None] = OrderedDict()
        self._running: Counter[SessionId] = Counter()

    async def said(
        self, engine: Engine, talk: Talk, wish: Wish
    ) -> AsyncGenerator[Event | Where, None]:
        """Say it, where it was said before as far as it was; where the reply stands, and its events."""
        await self._forget_old(engine)
        session_id = await self._session(engine, talk, wish)
        try:
            async with aclosing(self._turn(engine, session_id, talk, wish)) as events:
                async for event in events:
                    yield event
        except SessionBusy:  # several go on from the same beginning
            other = await self._branched_off(engine, session_id, talk)
            async with aclosing(self._turn(engine, other, talk, wish)) as events:
                async for event in events:
                    yield event

    async def open(self, engine: Engine, session_id: SessionId) -> None:
        """Have the conversation in memory, as one of those that leave it in turn. Raises StoreError."""
        await engine.find_session(session_id)
        self._note(session_id)
        self._make_room(engine, session_id)

    async def _session(self, engine: Engine, talk: Talk, wish: Wish) -> SessionId:
        """The conversation to go on in. A hint chooses between those that have said the same."""
        digests = chain(start_of(talk.owner, wish), talk.messages)
        trail = await asyncio.to_thread(engine.trails.find, talk.owner, digests, talk.hint)
        if trail is None:
            return await self._of_hint(engine, talk) or await self._opened(engine, talk.owner)
        if talk.hint and trail.hint and trail.hint != talk.hint:  # another one, which begins alike
            return await self._branched_off(engine, trail.session_id, talk)
        await self.open(engine, trail.session_id)
        return trail.session_id

    async def _of_hint(self, engine: Engine, talk: Talk) -> SessionId | None:
        """The conversation that the client calls so, where what stands in front of it has changed alone."""
        if talk.hint is None or len(talk.behind) < _AN_EXCHANGE:
            return None
        for session_id in await asyncio.to_thread(engine.trails.of_hint, talk.owner, talk.hint):
            await self.open(engine, session_id)
            if engine.num_said(session_id, talk.messages) >= _AN_EXCHANGE:
                return session_id
        return None

    async def _opened(self, engine: Engine, owner: str) -> SessionId:
        session_id = SessionId(owner, secrets.token_urlsafe(24))
        await engine.find_session(session_id)
        return session_id

    async def _branched_off(self, engine: Engine, source: SessionId, talk: Talk) -> SessionId:
        target = SessionId(talk.owner, secrets.token_urlsafe(24))
        self._running[source] += 1  # it stays in memory meanwhile
        try:
            await self.open(engine, source)
            self._note(target)
            await engine.branch_off(source, target, talk.messages)
        finally:
            self._end(source)
        return target

    async def _turn(
        self, engine: Engine, session_id: SessionId, talk: Talk, wish: Wish
    ) -> AsyncGenerator[Event | Where, None]:
        stream = engine.chat(
            session_id,
            talk.message,
            behind=talk.behind,
            system=wish.system,
            params=wish.params,
            grammar=wish.grammar,
            **wish.template_options,
        )
        start, has_begun = start_of(talk.owner, wish), False
        self._running[session_id] += 1
        self._note(session_id)
        try:
            async with aclosing(stream) as events:
                async for event in events:
                    if not has_begun:
                        has_begun = True
                        self._make_room(engine, session_id)
                        engine.trails.keep(session_id, chain(start, talk.messages), talk.hint)
                        yield Where(session_id, engine.head(session_id))
                    if isinstance(event, Finished):
                        # As the client will send it back.
                        said = chain(start, engine.messages(session_id))
                        engine.trails.keep(session_id, said[-1:], talk.hint)
                    yield event
        finally:
            self._end(session_id)
            if not has_begun:
                self._leave_if_empty(engine, session_id)

    def _end(self, session_id: SessionId) -> None:
        self._running[session_id] -= 1
        self._running += Counter()  # without those at 0

    def _leave_if_empty(self, engine: Engine, session_id: SessionId) -> None:
        """A conversation that was made for a request that is refused takes no other one's place."""
        with suppress(EngineError):
            if not self._running[session_id] and not engine.messages(session_id):
                self._open.pop(session_id, None)
                engine.close_session(session_id)

    def _note(self, session_id: SessionId) -> None:
        """The conversation is in memory, and was used last."""
        self._open[session_id] = None
        self._open.move_to_end(session_id)

    def _make_room(self, engine: Engine, used: SessionId) -> None:
        """Those that have been silent the longest leave memory, where there are too many."""
        silent = [s for s in self._open if not self._running[s] and s != used]
        for each in silent[: max(len(self._open) - MOST_OPEN, 0)]:
            del self._open[each]
            engine.close_session(each)

    async def _forget_old(self, engine: Engine) -> None:
        """Delete what nobody has gone on with for long, once in a while."""
        now = time.monotonic()
        if self._looked_at is not None and now - self._looked_at < _LOOK_S:
            return
        self._looked_at = now
        try:
            await asyncio.to_thread(_delete_before, engine, time.time() - self._kept_s)
        except EngineError as error:
            log.warning("Old conversations of programs are not deleted now: %s", error)


def _delete_before(engine: Engine, moment: float) -> None:
    for session_id in engine.trails.outdated(moment):
        engine.library.delete(session_id)
