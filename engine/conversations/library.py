"""The conversations of an owner as a list: their titles, which are pinned, which are deleted.

Owns: how long a title may be; that of a conversation which nobody named is its first words. Does not know: sessions, KV;
`close` is called with the id of a conversation that is to be deleted. Where nothing is stored the list is
empty. Any thread may call; changes wait for the disk, a moment at most.
"""

from collections.abc import Callable
from functools import partial

from engine.conversations.journal import Journal
from engine.conversations.session import SessionId
from engine.conversations.store import ConversationRow

MAX_TITLE_LENGTH = 60


class Library:
    """What the store knows of an owner's conversations. Every method raises StoreError."""

    def __init__(self, journal: Journal, close: Callable[[SessionId], None]) -> None:
        self._journal = journal
        self._close = close

    def conversations(self, owner: str, search: str = "") -> list[ConversationRow]:
        """The owner's conversations, pinned ones first, then the last changed first.

        search: only those with this text in the title or in a message, in either case.
        """
        if (store := self._journal.store) is None:
            return []
        rows = [_titled(row) for row in store.search(owner, search)]
        return sorted(rows, key=lambda row: not row.pinned)

    def rename(self, session_id: SessionId, title: str) -> None:
        """Set the title; white space at its ends and beyond single spaces goes."""
        self._journal.rename(session_id, " ".join(title.split())[:MAX_TITLE_LENGTH])

    def pin(self, session_id: SessionId, pinned: bool) -> None:
        """Pin or unpin."""
        if store := self._journal.store:
            self._journal.ask(partial(store.pin, *session_id, pinned))

    def delete(self, session_id: SessionId) -> None:
        """Delete; for a day at least `restore_deleted` brings it back, without its KV."""
        self._close(session_id)
        if store := self._journal.store:
            self._journal.ask(partial(store.delete, *session_id))

    def restore_deleted(self, session_id: SessionId) -> None:
        """Undo `delete`."""
        if store := self._journal.store:
            self._journal.ask(partial(store.restore_deleted, *session_id))


def _titled(row: ConversationRow) -> ConversationRow:
    """The row with a title of one short line."""
    title = " ".join(row.title.split())
    is_short = len(title) <= MAX_TITLE_LENGTH
    return row._replace(title=title if is_short else title[: MAX_TITLE_LENGTH - 1].rstrip() + "…")
