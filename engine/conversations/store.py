"""Conversations that survive a restart: trees of messages, and the tokens their branches stand for.

Owns: what is kept of each conversation, and whose it is: every query names the owner, so nobody can
reach what another one said. Does not know: KV, the model. Editing and regenerating add messages
beside the old ones; `head` is the last message of the branch that is shown.
Every change is committed when its method returns. Any thread may call.
"""

import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from engine.conversations import store_queries as queries
from engine.conversations.conversation import Feedback, Node
from engine.conversations.store_database import (
    HALF_A_CHARACTER,
    ConversationNotFound,
    Database,
    StoreError,
    Trouble,
    Unstorable,
)
from engine.conversations.store_records import (
    STATUSES,
    ConversationRow,
    StoredBranch,
    StoredConversation,
    branch_values,
    ending_value,
    read_branches,
    read_nodes,
    read_rows,
)
from engine.events import Finished

__all__ = ["HALF_A_CHARACTER", "ConversationNotFound", "ConversationRow", "Node", "Store"]
__all__ += ["StoreError", "StoredBranch", "StoredConversation", "Trouble", "Unstorable"]

UNDO_S = 24 * 3600.0
_GONE = "This conversation is not stored here any more; start a new one."

# Within Store, `list` is the method.
Rows = list[ConversationRow]
Trails = list[tuple[str, str]]
Names = list[str]


class Store:
    """The conversations in one SQLite file. Every method raises StoreError if SQLite fails."""

    def __init__(self, path: Path, now: Callable[[], float] = time.time) -> None:
        """Open or make the file, and purge what was deleted long enough ago."""
        self._now = now
        self._database = Database(path)
        self._purge()

    def check_place(self) -> None:
        """Raise StoreError if the file was moved or deleted, so that nothing written to it lasts."""
        self._database.check_place()

    def close(self) -> None:
        """Let the file go."""
        self._database.close()

    def list(self, owner: str) -> Rows:
        """The owner's conversations, the last changed first."""
        return self.search(owner, "")

    def search(self, owner: str, text: str) -> Rows:
        """As `list`, those with `text` in their title or in any message, in either case."""
        with self._database.reading() as db:
            return read_rows(db.execute(queries.LIST, (owner, text.casefold())))

    def load(self, owner: str, conversation: str) -> StoredConversation | None:
        """The whole conversation; None if this owner has none of that name."""
        with self._database.reading() as db:
            row = db.execute(queries.LOAD, (owner, conversation)).fetchone()
            if row is None:
                return None
            key, title, pinned, created_at, updated_at, head = row
            nodes, branches = read_nodes(db, key), read_branches(db, key)
        branches = [branch for branch in branches if branch.leaf in nodes]
        if head is not None and head not in nodes:
            head = max(nodes, default=None)
        return StoredConversation(
            title, bool(pinned), created_at, updated_at, head, nodes, branches
        )

    def create(self, owner: str, conversation: str, created_at: float | None = None) -> None:
        """Make the conversation unless it is there. One that was deleted starts anew, empty.

        created_at: seconds since 1970; None: now.
        """
        with self._database.transaction() as db:
            self._create(db, owner, conversation, created_at)

    def reserve_ids(self, count: int) -> range:
        """So many ids that no message has or gets, in any program, but by `node_id`."""
        with self._database.transaction() as db:
            db.execute(queries.BEGIN_IDS)
            (last,) = db.execute(queries.RESERVE_IDS, (count,)).fetchone()
            return range(last - count + 1, last + 1)

    def add_message(
        self,
        owner: str,
        conversation: str,
        parent: int | None,
        role: str,
        content: str,
        *,
        status: str = "complete",
        node_id: int | None = None,
        is_edited: bool = False,
    ) -> int:
        """Add a message behind `parent` (None: as a first one) and make it the head; its id.

        node_id: a reserved one; None: the next. Added twice, a message is there once. is_edited: as a
        Node's. Raises ConversationNotFound.
        """
        assert status in STATUSES
        with self._database.transaction() as db:
            key = _key(db, owner, conversation)
            _check_message(db, key, parent)
            return self._add(db, key, (node_id, key, parent, role, content, status, is_edited))

    def add_turn(
        self,
        owner: str,
        conversation: str,
        parent: int | None,
        ids: tuple[int, int],
        message: str,
        *,
        created_at: float | None = None,
    ) -> None:
        """Add a user's message and the reply about to stream, both or none of them.

        ids: of the two, reserved. Makes the conversation if `parent` is None, as `create` does. Raises
        ConversationNotFound.
        """
        user, reply = ids
        with self._database.transaction() as db:
            if parent is None:
                self._create(db, owner, conversation, created_at)
            key = _key(db, owner, conversation)
            _check_message(db, key, parent)
            self._add(db, key, (user, key, parent, "user", message, "complete", False))
            self._add(db, key, (reply, key, user, "assistant", "", "streaming", False))

    def update_message(
        self,
        owner: str,
        node_id: int,
        content: str,
        status: str,
        ending: Finished | None = None,
    ) -> None:
        """Replace a message's text, status and ending, as while it streams and at its end.

        Raises ConversationNotFound.
        """
        assert status in STATUSES
        values = (content, status, ending_value(ending), node_id, owner)
        with self._database.transaction() as db:
            row = db.execute(queries.UPDATE_MESSAGE, values).fetchone()
            if row is None:
                raise ConversationNotFound(
                    "This message is not stored here any more; write it anew."
                )
            self._mark_changed(db, row[0])

    def rate(self, owner: str, conversation: str, node_id: int, feedback: Feedback | None) -> None:
        """Keep what the owner thinks of a message. Raises ConversationNotFound."""
        with self._database.transaction() as db:
            key = _key(db, owner, conversation)
            _check_message(db, key, node_id)
            db.execute("UPDATE message SET feedback = ? WHERE id = ?", (feedback, node_id))

    def set_head(self, owner: str, conversation: str, node_id: int | None) -> None:
        """Show the branch that ends with the message `node_id`. Raises ConversationNotFound."""
        with self._database.transaction() as db:
            key = _key(db, owner, conversation)
            _check_message(db, key, node_id)
            db.execute("UPDATE conversation SET head = ? WHERE id = ?", (node_id, key))

    def save_branch(self, owner: str, conversation: str, branch: StoredBranch) -> None:
        """Keep the branch's tokens, instead of those of the branches that it goes on from.

        Raises ConversationNotFound.
        """
        with self._database.transaction() as db:
            key = _key(db, owner, conversation)
            _check_message(db, key, branch.leaf)
            db.execute(queries.DROP_ANCESTORS, (key, branch.leaf))
            db.execute(queries.SAVE_BRANCH, (key, branch.leaf, *branch_values(branch)))

    def end_reply(
        self, owner: str, conversation: str, reply: Node, branch: StoredBranch | None
    ) -> None:
        """The reply is over: its text and ending, and the tokens of its branch, all or nothing.

        In a conversation that was deleted meanwhile no branch is kept. Raises ConversationNotFound.
        """
        with self._database.transaction():
            self.update_message(owner, reply.id, reply.content, reply.status, reply.ending)
            if branch is not None:
                with suppress(ConversationNotFound):
                    self.save_branch(owner, conversation, branch)

    def keep_trail(
        self, owner: str, conversation: str, digests: Sequence[bytes], hint: str | None
    ) -> None:
        """The conversation has said what these digests stand for. hint: what its program calls it.

        Raises ConversationNotFound.
        """
        with self._database.transaction() as db:
            key = _key(db, owner, conversation)
            db.executemany(queries.KEEP_TRAIL, ((digest, key) for digest in digests))
            if hint is not None:
                db.execute("UPDATE conversation SET hint = ? WHERE id = ?", (hint, key))

    def keep_preface(self, owner: str, conversation: str, preface: str) -> None:
        """A program has put this in front of the conversation for good. Raises ConversationNotFound."""
        with self._database.transaction() as db:
            key = _key(db, owner, conversation)
            db.execute("UPDATE conversation SET preface = ? WHERE id = ?", (preface, key))

    def preface(self, owner: str, conversation: str) -> str | None:
        """What stands in front of the conversation for good."""
        with self._database.reading() as db:
            row = db.execute(queries.PREFACE, (owner, conversation)).fetchone()
            return None if row is None else row[0]

    def trail(self, owner: str, digest: bytes, limit: int) -> Trails:
        """The owner's conversations that have said it, with their hints, the last changed first."""
        with self._database.reading() as db:
            return db.execute(queries.TRAIL, (digest, owner, limit)).fetchall()

    def of_hint(self, owner: str, hint: str, limit: int) -> Names:
        """The owner's conversations of that hint, the last changed first."""
        with self._database.reading() as db:
            return [name for (name,) in db.execute(queries.OF_HINT, (owner, hint, limit))]

    def outdated(self, owners: str, before: float) -> Trails:
        """Conversations, of owners whose names begin so, that were last changed before then."""
        with self._database.reading() as db:
            return db.execute(queries.OUTDATED, (owners, before)).fetchall()

    def rename(self, owner: str, conversation: str, title: str) -> None:
        """Set the title. Raises ConversationNotFound."""
        with self._database.transaction() as db:
            key = _key(db, owner, conversation)
            db.execute("UPDATE conversation SET title = ? WHERE id = ?", (title, key))

    def suggest_title(self, owner: str, conversation: str, title: str) -> None:
        """Set the title if there is none: whatever people chose stays."""
        with self._database.transaction() as db:
            db.execute(queries.SUGGEST_TITLE, (title, owner, conversation))

    def pin(self, owner: str, conversation: str, pinned: bool) -> None:
        """Pin or unpin. Raises ConversationNotFound."""
        with self._database.transaction() as db:
            key = _key(db, owner, conversation)
            db.execute("UPDATE conversation SET pinned = ? WHERE id = ?", (pinned, key))

    def delete(self, owner: str, conversation: str) -> None:
        """Hide the conversation; it is purged a day or two later. Raises ConversationNotFound."""
        with self._database.transaction() as db:
            key = _key(db, owner, conversation)
            db.execute(queries.DELETE, (self._now(), key))
        self._purge()

    def restore_deleted(self, owner: str, conversation: str) -> None:
        """Undo `delete`. Raises ConversationNotFound if it was purged, or not deleted at all."""
        with self._database.transaction() as db:
            if db.execute(queries.UNDELETE, (owner, conversation)).rowcount == 0:
                raise ConversationNotFound(_GONE)

    def mark_interrupted(self) -> int:
        """To call at start: messages still streaming were cut off by the end; how many there were."""
        with self._database.transaction() as db:
            return db.execute(
                "UPDATE message SET status = 'interrupted' WHERE status = 'streaming'"
            ).rowcount

    def _add(self, db: sqlite3.Connection, key: int, values: tuple[object, ...]) -> int:
        """Add a message, if it is not there, and make it the head."""
        added = db.execute(queries.ADD_MESSAGE, values)
        node_id = added.lastrowid if values[0] is None else values[0]
        assert isinstance(node_id, int)
        db.execute("UPDATE conversation SET head = ? WHERE id = ?", (node_id, key))
        self._mark_changed(db, key)
        return node_id

    def _create(
        self, db: sqlite3.Connection, owner: str, conversation: str, created_at: float | None
    ) -> None:
        now = self._now()
        db.execute(queries.DROP_DELETED, (owner, conversation))
        began_at = now if created_at is None else created_at
        db.execute(queries.CREATE, (owner, conversation, began_at, now))

    def _mark_changed(self, db: sqlite3.Connection, key: int) -> None:
        db.execute("UPDATE conversation SET updated_at = ? WHERE id = ?", (self._now(), key))

    def _purge(self) -> None:
        now = self._now()
        with self._database.transaction() as db:
            for query in queries.PURGE:
                db.execute(query, {"now": now, "undo_s": UNDO_S})


def _key(db: sqlite3.Connection, owner: str, conversation: str) -> int:
    """The row of the owner's conversation."""
    row = db.execute(queries.KEY, (owner, conversation)).fetchone()
    if row is None:
        raise ConversationNotFound(_GONE)
    return int(row[0])


def _check_message(db: sqlite3.Connection, key: int, node_id: int | None) -> None:
    query = "SELECT 1 FROM message WHERE conversation = ? AND id = ?"
    if node_id is not None and db.execute(query, (key, node_id)).fetchone() is None:
        raise ConversationNotFound("This message is not in the conversation; reload the page.")
