"""Ids of messages, which are given before the messages are stored.

Owns: how many are reserved ahead. Does not know: what they are for.
"""

from collections import deque
from collections.abc import Callable

from engine.conversations.store import Store
from engine.conversations.writer import Stored, stored_already

_RESERVED = 4096


class MessageIds:
    """Ids for new messages: reserved long before they are wanted, so that nobody waits for one."""

    def __init__(self, store: Store, put: Callable[[Callable[[], object]], Stored]) -> None:
        self._store = store
        self._put = put
        self._reserved = deque(store.reserve_ids(_RESERVED))
        self._coming = stored_already()

    def __iter__(self) -> "MessageIds":
        return self

    def __next__(self) -> int:
        if len(self._reserved) < _RESERVED // 2 and self._coming.done():
            self._coming = self._put(self._reserve)
        if not self._reserved:
            raise StopIteration
        return self._reserved.popleft()

    def _reserve(self) -> None:
        self._reserved.extend(self._store.reserve_ids(_RESERVED))
