"""Conversations: what was said, the tokens that stand for it, and which of them have KV.

Owns: the sessions, their use order, and the decision whose KV goes when blocks run out. Does not
know: scheduling, the model. A session without KV (evicted) is whole: its next turn re-prefills.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from engine.block_pool import BlockPool
from engine.chat_template import Message
from engine.errors import SessionNotFound
from engine.ledger import Ledger
from engine.sequence import Sequence, Status


class SessionId(NamedTuple):
    """Names a conversation; only who knows the owner's id can reach it."""

    owner: str
    conversation: str


@dataclass(slots=True, eq=False)
class Session:
    """One conversation. `messages` are what the model saw and said, without the system prompt."""

    messages: tuple[Message, ...] = ()
    ledger: Ledger = field(default_factory=Ledger)
    sequence: Sequence = field(default_factory=Sequence)
    last_used_at: float = field(default_factory=time.monotonic)


class SessionTable:
    """All sessions by id. Opening and looking up may be done from any thread."""

    def __init__(self) -> None:
        self._sessions: dict[SessionId, Session] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._sessions.values()))

    def open(self, session_id: SessionId) -> Session:
        """The session of that id, made if there is none."""
        return self._sessions.setdefault(session_id, Session())

    def find(self, session_id: SessionId) -> Session:
        """The session of that id. Raises SessionNotFound."""
        try:
            return self._sessions[session_id]
        except KeyError:
            raise SessionNotFound(
                "This conversation is not open here any more; start a new one."
            ) from None

    def remove(self, session_id: SessionId) -> Session | None:
        """Forget the session; None if there was none."""
        return self._sessions.pop(session_id, None)

    def reclaim(self, count: int, pool: BlockPool) -> None:
        """Evict the KV of idle sessions, the least recently used first, until `count` blocks came free."""
        target = pool.num_free + count
        idle = [s for s in self if s.sequence.status is Status.IDLE and s.sequence.block_table]
        for session in sorted(idle, key=lambda s: s.last_used_at):
            if pool.num_free >= target:
                return
            session.sequence.truncate_kv(0, pool)
