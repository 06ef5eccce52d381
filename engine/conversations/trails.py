"""Which conversation said a list of messages: found by digests of the list's beginnings.

Owns: what is known of each digest, newest first, on disk and of the last ones in memory. Does not know what a digest is
made of. A digest only finds: what was said is compared before anything is gone on with. Any thread may call.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from threading import Lock

from engine.conversations.journal import Journal
from engine.conversations.session import PROGRAMS, SessionId

_MOST_RECENT = 50_000  # digests in memory: those that may not be written yet among them
_MOST_FOUND = 4
_MOST_PREFACES = 1000


@dataclass(frozen=True, slots=True)
class Trail:
    """A conversation that has said the first `num_messages` messages. hint: what its client calls it."""

    session_id: SessionId
    num_messages: int
    hint: str | None = None


class Trails:
    """The digests of everybody's conversations. Every method raises StoreError."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._recent: OrderedDict[bytes, list[tuple[SessionId, str | None]]] = OrderedDict()
        self._prefaces: OrderedDict[SessionId, str] = OrderedDict()
        self._lock = Lock()

    def find(self, owner: str, digests: Sequence[bytes], hint: str | None = None) -> Trail | None:
        """The owner's conversation that has said the most of what the digests stand for.

        digests: of one message, of two, and so on. Of several conversations the one of that hint is
        found, or else the one that was talked to last.
        """
        for i in range(len(digests), 0, -1):
            found = self._saying(owner, digests[i - 1])
            if found:
                session_id, own = next((f for f in found if hint and f[1] == hint), found[0])
                return Trail(session_id, i, own)
        return None

    def of_hint(self, owner: str, hint: str) -> list[SessionId]:
        """The owner's conversations that a client calls so, the last changed first; a few at most."""
        if (store := self._journal.store) is None:
            with self._lock:
                every = [pair for pairs in self._recent.values() for pair in pairs]
            names = [s for s, own in reversed(every) if own == hint and s.owner == owner]
            return list(dict.fromkeys(names))[:_MOST_FOUND]
        return [SessionId(owner, name) for name in store.of_hint(owner, hint, _MOST_FOUND)]

    def keep(
        self, session_id: SessionId, digests: Sequence[bytes], hint: str | None = None
    ) -> None:
        """The conversation, which was begun, has said what the digests stand for."""
        with self._lock:
            for digest in digests:
                others = [f for f in self._recent.pop(digest, []) if f[0] != session_id]
                self._recent[digest] = [(session_id, hint), *others][:_MOST_FOUND]
            while len(self._recent) > _MOST_RECENT:
                self._recent.popitem(last=False)
        if (store := self._journal.store) is not None and not session_id.is_private:
            self._journal.put(partial(store.keep_trail, *session_id, list(digests), hint))

    def keep_preface(self, session_id: SessionId, preface: str) -> None:
        """A program has put this system prompt in front of the conversation for good."""
        with self._lock:
            self._prefaces[session_id] = preface
            while len(self._prefaces) > _MOST_PREFACES:
                self._prefaces.popitem(last=False)
        if (store := self._journal.store) is not None and not session_id.is_private:
            self._journal.put(partial(store.keep_preface, *session_id, preface))

    def preface(self, session_id: SessionId) -> str | None:
        """What stands in front of the conversation for good."""
        with self._lock:
            if (known := self._prefaces.get(session_id)) is not None:
                return known
        store = self._journal.store
        return None if store is None else store.preface(*session_id)

    def outdated(self, before: float) -> list[SessionId]:
        """Conversations of programs that nobody has gone on with since then (seconds since 1970)."""
        if (store := self._journal.store) is None:
            return []
        return [SessionId(*found) for found in store.outdated(PROGRAMS, before)]

    def _saying(self, owner: str, digest: bytes) -> list[tuple[SessionId, str | None]]:
        with self._lock:
            recent = [f for f in self._recent.get(digest, []) if f[0].owner == owner]
        if recent or (store := self._journal.store) is None:
            return recent
        found = store.trail(owner, digest, _MOST_FOUND)
        return [(SessionId(owner, name), hint) for name, hint in found]
