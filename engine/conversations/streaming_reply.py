"""A reply on its way to the store while it streams.

Owns: that of what waits to be written only the newest is. Does not know: when it is to be written.
"""

from engine.conversations.conversation import Node
from engine.conversations.store import Store, StoreError


class StreamingReply:
    """A reply as far as it has come, on its way to the store; of what waits only the newest is written.

    written_at: when it was last to be, by time.monotonic().
    """

    def __init__(self, store: Store, owner: str, written_at: float) -> None:
        self._store = store
        self._owner = owner
        self._node: Node | None = None
        self._is_waiting = False
        self.written_at = written_at

    def is_to_be_written(self, node: Node) -> bool:
        """The reply is `node` now; whether `write` is not on its way with that anyhow."""
        self._node = node
        was_waiting, self._is_waiting = self._is_waiting, True
        return not was_waiting

    def write(self) -> None:
        """In the writer's thread."""
        self._is_waiting = False  # before the node is looked at: a newer one is written after it
        node = self._node
        assert node is not None
        try:
            self._store.update_message(self._owner, node.id, node.content, node.status, node.ending)
        except StoreError:
            self._is_waiting = True  # it is tried again, with what is the newest then
            raise
