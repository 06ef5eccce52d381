"""Which conversations have an answer that ended while nobody followed it.

Owns: how many are remembered. Until the program ends, or somebody opens them.
"""

from collections import OrderedDict

from engine import SessionId

_MOST = 5000


class Unseen:
    """The unseen answers of everybody; of very many, the oldest are forgotten."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._ids: OrderedDict[SessionId, None] = OrderedDict()

    def add(self, session_id: SessionId) -> None:
        """Its answer has ended, and nobody saw it."""
        self._ids[session_id] = None
        self._ids.move_to_end(session_id)
        if len(self._ids) > self._most:
            self._ids.popitem(last=False)

    def see(self, session_id: SessionId) -> None:
        """It has been opened."""
        self._ids.pop(session_id, None)

    def of(self, owner: str) -> frozenset[str]:
        """The conversations of an owner."""
        return frozenset(i.conversation for i in list(self._ids) if i.owner == owner)
