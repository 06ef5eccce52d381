"""From a list of messages to the conversation that said them, so that only what is new is prefilled.

Owns: which conversation a list goes on in. Programs send all that was said every time; it is found by a chain of
digests, one for each beginning of the list. A digest only finds: what was said is compared by the engine,
message by message and then by its ledger, before any KV is used. Does not know HTTP.
"""

import hashlib
import json
import secrets
from collections import OrderedDict
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from api.settings import Wish
from engine import Engine, Message, SessionId
from engine.errors import SessionBusy
from engine.events import Event, Finished
from engine.text import answer_of

_MOST_KNOWN = 100_000


@dataclass(frozen=True, slots=True)
class Talk:
    """What a client says: all messages before the newest one, and that."""

    owner: str
    behind: tuple[Message, ...]
    message: str

    @property
    def messages(self) -> tuple[Message, ...]:
        """All of them."""
        return (*self.behind, Message("user", self.message))


class Talks:
    """The conversations of all clients. For one event loop."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, SessionId] = OrderedDict()

    async def said(self, engine: Engine, talk: Talk, wish: Wish) -> AsyncGenerator[Event, None]:
        """Say it, where it was said before as far as it was; the events of the reply."""
        start = _start(talk.owner, wish)
        session_id = self._find(chain(start, talk.messages)) or _new(talk.owner)
        await engine.find_session(session_id)
        try:
            async with aclosing(self._turn(engine, session_id, talk, wish)) as events:
                async for event in events:
                    yield event
        except SessionBusy:  # several go on from the same beginning
            other = _new(talk.owner)
            await engine.branch_off(session_id, other, talk.messages)
            async with aclosing(self._turn(engine, other, talk, wish)) as events:
                async for event in events:
                    yield event

    async def _turn(
        self, engine: Engine, session_id: SessionId, talk: Talk, wish: Wish
    ) -> AsyncGenerator[Event, None]:
        stream = engine.chat(
            session_id,
            talk.message,
            behind=talk.behind,
            system=wish.system,
            params=wish.params,
            **wish.template_options,
        )
        start, has_begun = _start(talk.owner, wish), False
        async with aclosing(stream) as events:
            async for event in events:
                if not has_begun:
                    has_begun = True
                    self._keep(chain(start, talk.messages), session_id)
                if isinstance(event, Finished):
                    self._keep(chain(start, engine.messages(session_id))[-1:], session_id)
                yield event

    def _find(self, digests: Sequence[bytes]) -> SessionId | None:
        known = (self._known.get(digest) for digest in reversed(digests))
        return next(filter(None, known), None)

    def _keep(self, digests: Sequence[bytes], session_id: SessionId) -> None:
        for digest in digests:
            self._known[digest] = session_id
            self._known.move_to_end(digest)
        while len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)


def chain(start: bytes, messages: Sequence[Message]) -> list[bytes]:
    """The digest of each beginning of the messages: of one, of two, and so on.

    What a program may send back otherwise is left out: thoughts, and white space around.
    """
    digests, last = [], start
    for role, content in messages:
        said = answer_of(content) if role == "assistant" else content.strip()
        last = _digest(last, role, said)
        digests.append(last)
    return digests


def _start(owner: str, wish: Wish) -> bytes:
    options = json.dumps(wish.template_options, sort_keys=True, default=str)
    return _digest(b"", owner, wish.system or "", options)


def _digest(before: bytes, *texts: str) -> bytes:
    made = hashlib.sha256(before)
    for text in texts:
        raw = text.encode("utf-8", "surrogatepass")
        made.update(len(raw).to_bytes(8, "big") + raw)
    return made.digest()


def _new(owner: str) -> SessionId:
    return SessionId(owner, secrets.token_urlsafe(24))
