"""What of the sessions is kept on disk, and when it is written.

Owns: the order of writes. A message is committed before its turn starts; the reply follows as it
streams, and at its end with the token ids, written by another thread so that no step waits. Does
not know: KV, turns. Without a store everything lives in memory, with ids of its own.
"""

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from itertools import count

from engine.config import EngineConfig
from engine.conversations.conversation import Feedback, Node
from engine.conversations.session import Branch, Session, SessionId
from engine.conversations.store import Store, StoredBranch, StoredConversation, StoreError
from engine.errors import EngineError
from engine.scheduling import Sequence
from engine.text import Ledger

log = logging.getLogger(__name__)

_STREAM_PERIOD_S = 1.0


class Journal:
    """Keeps sessions in a Store, if there is one."""

    def __init__(self, store: Store | None = None) -> None:
        self.store = store
        self._local_ids = count(1)
        self._streamed_at: dict[int, float] = {}
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="journal")
        if store is not None and (interrupted := store.mark_interrupted()):
            log.info("%d answers were interrupted by the last end", interrupted)

    def load(self, session_id: SessionId) -> Session:
        """The stored session of that id, or a new one. Raises StoreError."""
        self._settle()
        stored = self.store.load(*session_id) if self.store else None
        session = Session(session_id)
        if stored is not None:
            _fill(session, stored)
        return session

    def add_turn(self, session: Session, parent: int | None, message: str) -> tuple[Node, Node]:
        """A message behind `parent`, and the reply that will stream; not yet in the session.

        Both are committed when this returns. Raises StoreError, with nothing stored.
        """
        if self.store is None or session.id is None:
            user_id, reply_id = next(self._local_ids), next(self._local_ids)
        else:
            user_id, reply_id = self.store.add_turn(*session.id, parent, message)
        user = Node(user_id, parent, "user", message)
        return user, Node(reply_id, user_id, "assistant", "", "streaming")

    def add_reply(self, session: Session, question: int | None, text: str = "") -> Node:
        """Another reply to a message, beginning with `text`; not yet in the session.

        Committed when this returns. Raises StoreError, with nothing stored.
        """
        if self.store is None or session.id is None:
            node_id = next(self._local_ids)
        else:
            node_id = self.store.add_message(
                *session.id, question, "assistant", text, status="streaming"
            )
        return Node(node_id, question, "assistant", text, "streaming")

    def reopen(self, session: Session, reply: Node) -> Node:
        """The reply as it streams again; not yet in the session."""
        streaming = replace(reply, status="streaming", ending=None)
        self._write(session, streaming)
        return streaming

    def rate(self, session: Session, node_id: int, feedback: Feedback | None) -> None:
        """What the person thinks of a reply; committed when this returns. Raises StoreError."""
        if self.store is not None and session.id is not None:
            self.store.rate(*session.id, node_id, feedback)

    def add(self, session: Session, role: str, content: str, status: str = "complete") -> Node:
        """A message behind the session's head; committed when this returns. Raises StoreError."""
        parent = session.conversation.head
        if self.store is None or session.id is None:
            node_id = next(self._local_ids)
        else:
            if parent is None:
                self.store.create(*session.id)
            node_id = self.store.add_message(*session.id, parent, role, content, status=status)
        node = Node(node_id, parent, role, content, status)
        session.conversation.add(node)
        return node

    def move_head(self, session: Session, head: int | None) -> None:
        """Show another branch. Raises StoreError."""
        if session.conversation.head == head:
            return
        if self.store is not None and session.id is not None and session.conversation.nodes:
            self.store.set_head(*session.id, head)
        session.conversation.head = head

    def is_untitled(self, session: Session) -> bool:
        """Whether the session is stored, and nobody named it. Raises StoreError."""
        if self.store is None or session.id is None:
            return False
        return self.store.is_untitled(*session.id)

    def suggest_title(self, session: Session, title: str) -> None:
        """A title for the session, unless somebody names it first."""
        if self.store is not None and session.id is not None:
            self._later(self.store.suggest_title, *session.id, title)

    def stream(self, session: Session, node_id: int, text: str) -> None:
        """The reply has come so far; written about once a second."""
        now = time.monotonic()
        if now - self._streamed_at.setdefault(node_id, now) >= _STREAM_PERIOD_S:
            self._streamed_at[node_id] = now
            reply = session.conversation.nodes[node_id]
            self._write(session, replace(reply, content=text, status="streaming", ending=None))

    def finish(self, session: Session, node_id: int, branch: Branch) -> None:
        """The reply is over: its text, and the tokens that the conversation is now."""
        self._streamed_at.pop(node_id, None)
        self._write(session, session.conversation.nodes[node_id])
        if self.store is not None and session.id is not None:
            num_tokens = branch.ledger.num_tokens
            stored = StoredBranch(
                node_id,
                branch.sequence.tokens[:num_tokens],
                branch.ledger.segments,
                branch.num_hidden,
            )
            self._later(self.store.save_branch, *session.id, stored)

    def close(self) -> None:
        """Write what is waiting, and let the file go."""
        self._writer.shutdown(wait=True)
        if self.store is not None:
            self.store.close()

    def _write(self, session: Session, node: Node) -> None:
        if (store := self.store) is not None and session.id is not None:
            new = (node.id, node.content, node.status, node.ending)
            self._later(store.update_message, session.id.owner, *new)

    def _settle(self) -> None:
        """Wait for what is on its way: the end of a session that was just closed, perhaps."""
        with suppress(RuntimeError):  # it is over: nothing is on its way
            self._writer.submit(int).result()

    def _later(self, write: Callable[..., object], *arguments: object) -> None:
        self._writer.submit(_logged, write, *arguments)


def _logged(write: Callable[..., object], *arguments: object) -> None:
    try:
        write(*arguments)
    except EngineError as error:
        log.warning("A change is not stored: %s", error)


def _fill(session: Session, stored: StoredConversation) -> None:
    for node in stored.nodes.values():
        # Nothing streams in a session that is only now opened: its turn was, or is being, ended.
        is_ended = node.status == "streaming"
        session.conversation.nodes[node.id] = (
            replace(node, status="interrupted") if is_ended else node
        )
    session.conversation.head = stored.head
    for branch in stored.branches:
        ledger = Ledger(branch.segments)
        if ledger.num_tokens == len(branch.tokens):
            sequence = Sequence(list(branch.tokens))
            session.branches[branch.leaf] = Branch(ledger, sequence, branch.num_hidden)
    session.publish()


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
