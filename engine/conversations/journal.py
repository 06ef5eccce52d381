"""What of the sessions is kept on disk, and when it is written.

Owns: the order of writes, all of them by another thread (engine.conversations.writer), so that no step
waits; and the ids of messages, which are given before they are stored. A message is committed before
its turn starts, or whoever waits for that is told that it is not yet; the reply follows as it streams,
and at its end with the token ids. Does not know: KV, turns. Without a store everything lives in memory.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import count

from engine.conversations.conversation import Feedback, Node
from engine.conversations.message_ids import MessageIds
from engine.conversations.recovery import Recovery
from engine.conversations.restoring import restored, still_unstored
from engine.conversations.session import Branch, Session, SessionId
from engine.conversations.storage import Storage
from engine.conversations.store import (
    HALF_A_CHARACTER,
    Store,
    StoredBranch,
    StoreError,
    Trouble,
    Unstorable,
)
from engine.conversations.streaming_reply import StreamingReply
from engine.conversations.writer import Stored, Writer, stored_already

log = logging.getLogger(__name__)

TOO_MUCH = "Too much of what was said here could not be stored yet: {reason}"
CLOSE_S = 0.5  # for what could not be written until then
_STREAM_PERIOD_S = 1.0
_BYTES_PER_TOKEN = 40  # of a list of numbers, at most
_BYTES_PER_CHANGE = 1024


class Journal:
    """Keeps sessions in a Store, if there is one."""

    def __init__(
        self,
        store: Store | None = None,
        *,
        recovery: Recovery | None = None,
        refusal: StoreError | None = None,
    ) -> None:
        """recovery: of `store`, if it was damaged. refusal: why there is none, if there should be."""
        self.store = store
        self._recovery = recovery
        self._refusal = refusal
        self._streaming: dict[int, StreamingReply] = {}
        self._titled: set[SessionId] = set()
        self._ids: Iterator[int] = count(1)
        self._writer: Writer | None = None
        if store is not None:
            if interrupted := store.mark_interrupted():
                log.info("%d answers were interrupted by the last end", interrupted)
            self._ids = MessageIds(store, self._put)
            self._writer = Writer(store.check_place)

    @property
    def error(self) -> StoreError | None:
        """Why what was said is not stored now, and tried again; None while it is."""
        return self._writer.error if self._writer is not None else None

    @property
    def storage(self) -> Storage:
        """How well what is said is kept; from any thread."""
        error = self._refusal or self.error
        trouble = None if error is None else error.trouble or Trouble.UNKNOWN
        return Storage(
            trouble, "" if error is None else str(error), self._refusal is not None, self._recovery
        )

    def stored(self, session: Session) -> Stored:
        """When all that was said in the session so far is committed: True; False: not yet."""
        is_kept = session.id is not None and not session.id.is_private
        if self._writer is None or session.id is None or not is_kept:
            return stored_already(self._refusal is None or not is_kept)
        newest = self._writer.newest_of(session.id)
        return stored_already() if newest is None else newest[1]

    def load(self, session_id: SessionId) -> Session:
        """The stored session of that id, or a new one. Raises StoreError."""
        if self.store is None or self._writer is None or session_id.is_private:
            return Session(session_id)
        if (newest := self._writer.newest_of(session_id)) is not None:
            return still_unstored(newest[0])
        if (stored := self.store.load(*session_id)) is None:
            return Session(session_id)
        self._mark_titled(session_id, stored.title)
        return restored(session_id, stored)

    def add_turn(self, session: Session, parent: int | None, message: str) -> tuple[Node, Node]:
        """A message behind `parent`, and the reply that will stream; not yet in the session.

        Raises StoreError, with nothing stored.
        """
        ids = user_id, reply_id = self._new_id(message), self._new_id()
        began_at = session.begin().timestamp()
        if (store := self._store_of(session)) is not None and session.id is not None:
            add = partial(store.add_turn, *session.id, parent, ids, message, created_at=began_at)
            self._put(add, session, message)
        user = Node(user_id, parent, "user", message)
        return user, Node(reply_id, user_id, "assistant", "", "streaming")

    def add_reply(self, session: Session, question: int | None) -> Node:
        """Another reply to a message; not yet in the session. Raises StoreError, with nothing stored."""
        node = Node(self._new_id(), question, "assistant", "", "streaming")
        self._add(session, node)
        return node

    def add_version(self, session: Session, reply: Node) -> Node:
        """Another version of a reply, which says and is what `reply` does; not yet in the session.

        Raises StoreError, with nothing stored.
        """
        node = replace(reply, id=self._new_id(reply.content), ending=None, feedback=None)
        self._add(session, node)
        return node

    def reopen(self, session: Session, reply: Node) -> Node:
        """The reply as it streams again; not yet in the session. Raises StoreError."""
        self._refuse_if_full()
        streaming = replace(reply, status="streaming", ending=None)
        self._write(session, streaming)
        return streaming

    def rate(self, session: Session, node_id: int, feedback: Feedback | None) -> None:
        """What the person thinks of a reply. Raises StoreError."""
        self._refuse_if_full()
        if (store := self._store_of(session)) is not None and session.id is not None:
            self._put(partial(store.rate, *session.id, node_id, feedback), session)

    def add(self, session: Session, role: str, content: str, status: str = "complete") -> Node:
        """A message behind the session's head. Raises StoreError."""
        node = Node(self._new_id(content), session.conversation.head, role, content, status)
        self._add(session, node)
        session.conversation.add(node)
        return node

    def move_head(self, session: Session, head: int | None) -> None:
        """Show another branch. Raises StoreError."""
        if session.conversation.head == head:
            return
        self._refuse_if_full()
        if (store := self._store_of(session)) and session.id and session.conversation.nodes:
            self._put(partial(store.set_head, *session.id, head), session)
        session.conversation.head = head

    def is_untitled(self, session: Session) -> bool:
        """Whether the session is stored, and nobody named it."""
        if self.store is None or session.id is None:
            return False
        return session.id not in self._titled

    def suggest_title(self, session: Session, title: str) -> None:
        """A title for the session, unless somebody names it first."""
        if (store := self._store_of(session)) is not None and session.id is not None:
            self._mark_titled(session.id, title)
            self._put(partial(store.suggest_title, *session.id, title), session)

    def rename(self, session_id: SessionId, title: str) -> None:
        """Somebody names the session; committed when this returns. Raises StoreError."""
        if (store := self.store) is not None:
            self.ask(partial(store.rename, *session_id, title))
            self._mark_titled(session_id, title)

    def put(self, change: Callable[[], object]) -> None:
        """Make a change of the store's, behind all others, soon."""
        self._put(change)

    def ask(self, change: Callable[[], object]) -> None:
        """Make a change of the store's, behind all others and only now. Raises StoreError."""
        assert self._writer is not None
        self._writer.ask(change)

    def stream(self, session: Session, node_id: int, text: str) -> None:
        """The reply has come so far; written about once a second."""
        if (store := self._store_of(session)) is None or session.id is None:
            return
        now = time.monotonic()
        streaming = self._streaming.get(node_id)
        if streaming is None:
            streaming = self._streaming[node_id] = StreamingReply(store, session.id.owner, now)
        if now - streaming.written_at >= _STREAM_PERIOD_S:
            streaming.written_at = now
            node = replace(session.conversation.nodes[node_id], content=text)
            if streaming.is_to_be_written(replace(node, status="streaming", ending=None)):
                self._put(streaming.write, session, text)

    def finish(self, session: Session, node_id: int, branch: Branch) -> None:
        """The reply is over: its text, and the tokens that the conversation is now."""
        self._streaming.pop(node_id, None)
        if (store := self._store_of(session)) is None or session.id is None:
            return
        num_tokens = branch.ledger.num_tokens
        tokens = branch.sequence.tokens[:num_tokens]
        stored = StoredBranch(node_id, tokens, branch.ledger.segments, branch.num_hidden)
        reply = session.conversation.nodes[node_id]
        size = num_tokens * _BYTES_PER_TOKEN
        self._put(
            partial(store.end_reply, *session.id, reply, stored), session, reply.content, size
        )

    def relieve_with(self, relieve: Callable[[], bool]) -> None:
        """What to do when the disk is full, in another thread; it says whether that has made room."""
        if self._writer is not None:
            self._writer.relieve = relieve

    def flush(self, timeout_s: float) -> None:
        """Wait until all of now is written. Raises TimeoutError."""
        if self._writer is not None:
            self._writer.flush(timeout_s)

    def close(self) -> None:
        """Write what is waiting, and let the file go."""
        if self.store is None or self._writer is None:
            return
        if lost := self._writer.close(CLOSE_S):
            log.error("%d changes of conversations are lost: %s", lost, self.error)
        self.store.close()

    def _store_of(self, session: Session) -> Store | None:
        """Where the session is kept; None where it is in memory only."""
        return None if session.id is None or session.id.is_private else self.store

    def _add(self, session: Session, node: Node) -> None:
        if (store := self._store_of(session)) is not None and session.id is not None:
            began_at = session.begin().timestamp()
            add = partial(_add_message, store, session.id, node, began_at)
            self._put(add, session, node.content)

    def _write(self, session: Session, node: Node) -> Stored:
        if (store := self._store_of(session)) is None or session.id is None:
            return stored_already()
        new = (node.id, node.content, node.status, node.ending)
        update = partial(store.update_message, session.id.owner, *new)
        return self._put(update, session, node.content)

    def _put(
        self,
        change: Callable[[], object],
        session: Session | None = None,
        text: str = "",
        num_bytes: int = 0,
    ) -> Stored:
        assert self._writer is not None
        return self._writer.put(change, _BYTES_PER_CHANGE + 4 * len(text) + num_bytes, session)

    def _new_id(self, text: str = "") -> int:
        """An id for a message that says `text`. Raises StoreError."""
        self._refuse_if_full()
        if self.store is not None:
            _check_storable(text)
        if (node_id := next(self._ids, None)) is None:
            raise self._too_much()
        return node_id

    def _refuse_if_full(self) -> None:
        if self._writer is not None and self._writer.is_full:
            raise self._too_much()

    def _too_much(self) -> StoreError:
        error = self.error
        reason = "The disk is slow; try again in a moment." if error is None else str(error)
        return StoreError(TOO_MUCH.format(reason=reason), error.trouble if error else None)

    def _mark_titled(self, session_id: SessionId, title: str) -> None:
        (self._titled.add if title else self._titled.discard)(session_id)


def _check_storable(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Unstorable(HALF_A_CHARACTER) from error


def _add_message(store: Store, session_id: SessionId, node: Node, began_at: float) -> None:
    """In the writer's thread."""
    if node.parent is None:
        store.create(*session_id, began_at)
    owner, name = session_id
    store.add_message(
        owner,
        name,
        node.parent,
        node.role,
        node.content,
        status=node.status,
        node_id=node.id,
        is_edited=node.is_edited,
    )
