"""The SQLite file behind the store: its schema, its connection, its transactions, its errors.

Owns: the schema and its migrations, and the translation of SQLite's errors. Does not know: what a
conversation is for. Invariants: the database refuses links between different conversations; what a
transaction committed survives the end of the process, however it ends.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock

from engine.errors import EngineError

# Step n brings a database from version n to n + 1 (PRAGMA user_version). Published steps never
# change; a new one is appended.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE conversation (
            id INTEGER PRIMARY KEY,
            owner TEXT NOT NULL,
            name TEXT NOT NULL,
            title TEXT NOT NULL DEFAULT '',
            pinned INTEGER NOT NULL DEFAULT 0,
            created_at REAL NOT NULL,
            updated_at REAL NOT NULL,
            deleted_at REAL,
            head INTEGER,
            UNIQUE (owner, name),
            FOREIGN KEY (id, head) REFERENCES message (conversation, id)
        ) STRICT
        """,
        # AUTOINCREMENT: the id of a deleted message never names another one.
        """
        CREATE TABLE message (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            conversation INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
            parent INTEGER,
            role TEXT NOT NULL,
            content TEXT NOT NULL,
            status TEXT NOT NULL CHECK (status IN ('complete', 'interrupted', 'streaming')),
            UNIQUE (conversation, id),
            FOREIGN KEY (conversation, parent) REFERENCES message (conversation, id)
                ON DELETE CASCADE
        ) STRICT
        """,
        "CREATE INDEX message_parent ON message (conversation, parent)",
        "CREATE INDEX message_streaming ON message (status) WHERE status = 'streaming'",
        """
        CREATE TABLE branch (
            conversation INTEGER NOT NULL,
            leaf INTEGER NOT NULL,
            tokens BLOB NOT NULL,
            segments TEXT NOT NULL,
            num_hidden INTEGER NOT NULL,
            PRIMARY KEY (conversation, leaf),
            FOREIGN KEY (conversation, leaf) REFERENCES message (conversation, id)
                ON DELETE CASCADE
        ) STRICT
        """,
    ),
    (
        # ending: of a reply, how it ended and what it cost, as JSON.
        "ALTER TABLE message ADD COLUMN ending TEXT",
        "ALTER TABLE message ADD COLUMN feedback TEXT CHECK (feedback IN ('like', 'dislike'))",
    ),
)

_PRAGMAS = (
    "PRAGMA busy_timeout = 2000",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA foreign_keys = ON",
)

_ADVICE = {
    sqlite3.SQLITE_BUSY: "another program is using it; close that program and try again",
    sqlite3.SQLITE_LOCKED: "another program is using it; close that program and try again",
    sqlite3.SQLITE_FULL: "the disk is full; free some space and try again",
    sqlite3.SQLITE_READONLY: "it is read-only; allow writing to it and try again",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; check that its folder exists and is writable",
    sqlite3.SQLITE_PERM: "access is denied; allow reading and writing it and try again",
    sqlite3.SQLITE_CORRUPT: "it is damaged; move it away, and a new one is started",
    sqlite3.SQLITE_NOTADB: "it is no SQLite database; move it away, and a new one is started",
    sqlite3.SQLITE_IOERR: "the disk does not answer properly; check the disk and try again",
}


class StoreError(EngineError):
    """Conversations cannot be stored or read."""


class ConversationNotFound(StoreError):
    """This owner has no such conversation, or no such message in it."""


class Database:
    """One connection, for any thread; transactions take turns."""

    def __init__(self, path: Path) -> None:
        """Open or make the database at `path`. Raises StoreError."""
        self._path = path
        self._lock = RLock()
        try:
            path.touch(mode=0o600)
        except OSError as error:
            raise StoreError(
                f"{path}: {error.strerror}; check that its folder exists and is writable."
            ) from error
        with self._translated():
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            self._prepare()
        except StoreError:
            self._connection.close()
            raise

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing: committed at the end, rolled back on any exception. Raises StoreError."""
        with self._lock, self._translated():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One state of the database, whatever others write meanwhile. Raises StoreError."""
        with self._lock, self._translated():
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def close(self) -> None:
        """Fold the log into the database and let it go. Calls after it raise StoreError."""
        with self._lock, self._translated():
            self._connection.close()

    def _prepare(self) -> None:
        with self._translated():
            for pragma in _PRAGMAS:
                self._connection.execute(pragma)
        self._connection.create_function("casefold", 1, str.casefold, deterministic=True)
        self._connection.create_function("beginning", 2, _beginning, deterministic=True)
        with self.transaction() as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version > len(MIGRATIONS):
                raise StoreError(f"{self._path}: made by a newer version; update this program.")
            for step in MIGRATIONS[version:]:
                for statement in step:
                    db.execute(statement)
            db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn SQLite's errors, and values that it cannot hold, into StoreError."""
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
            advice = _ADVICE.get(code, f"{error}; start the program again")
            raise StoreError(f"{self._path}: {advice}.") from error
        except UnicodeEncodeError as error:
            raise StoreError(
                "The text holds half a character, which cannot be stored; remove it and try again."
            ) from error
        except OverflowError as error:
            raise ConversationNotFound("No message has such a number; reload the page.") from error


def _beginning(text: str, num_characters: int) -> str:
    """As SQLite's substr, which takes a null character for the end."""
    return text[:num_characters]
