"""The SQLite file behind the store: its schema, its connection, its transactions, its errors.

Owns: the schema and its migrations, and the translation of SQLite's errors. Does not know: what a
conversation is for. Invariants: the database refuses links between different conversations; what a
transaction committed survives the end of the process, however it ends.
"""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from threading import RLock

from engine.errors import EngineError

log = logging.getLogger(__name__)

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
    # purge_at: of a deleted one, found to be old; then it is looked at once more.
    ("ALTER TABLE conversation ADD COLUMN purge_at REAL",),
    # edited: 1 of a reply in which a person has written.
    ("ALTER TABLE message ADD COLUMN edited INTEGER NOT NULL DEFAULT 0 CHECK (edited IN (0, 1))",),
    (
        # digest: of a beginning of what was said in the conversation. hint: what a program calls it.
        """
        CREATE TABLE trail (
            digest BLOB NOT NULL,
            conversation INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
            PRIMARY KEY (digest, conversation)
        ) STRICT
        """,
        "CREATE INDEX trail_conversation ON trail (conversation)",
        "ALTER TABLE conversation ADD COLUMN hint TEXT",
        "CREATE INDEX conversation_hint ON conversation (owner, hint) WHERE hint IS NOT NULL",
    ),
    # preface: the system prompt that a program has given the conversation for good.
    ("ALTER TABLE conversation ADD COLUMN preface TEXT",),
)

_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA foreign_keys = ON",
)
OPENING_MS = 10_000  # for somebody else's lock while the database is opened
WAITING_MS = 100  # afterwards: whoever writes tries again, whoever reads is told


class Trouble(StrEnum):
    """Why conversations cannot be stored or read."""

    BUSY = "busy"
    FULL = "full"
    READ_ONLY = "read-only"
    UNOPENABLE = "unopenable"
    DENIED = "denied"
    DAMAGED = "damaged"
    FOREIGN = "foreign"
    NEWER = "newer"
    BROKEN = "broken"
    GONE = "gone"
    UNKNOWN = "unknown"


_TROUBLES = {
    sqlite3.SQLITE_BUSY: Trouble.BUSY,
    sqlite3.SQLITE_LOCKED: Trouble.BUSY,
    sqlite3.SQLITE_PROTOCOL: Trouble.BUSY,
    sqlite3.SQLITE_FULL: Trouble.FULL,
    sqlite3.SQLITE_READONLY: Trouble.READ_ONLY,
    sqlite3.SQLITE_CANTOPEN: Trouble.UNOPENABLE,
    sqlite3.SQLITE_PERM: Trouble.DENIED,
    sqlite3.SQLITE_CORRUPT: Trouble.DAMAGED,
    sqlite3.SQLITE_NOTADB: Trouble.FOREIGN,
    sqlite3.SQLITE_IOERR: Trouble.BROKEN,
}

SENTENCES = {
    Trouble.BUSY: "Another program is using the conversations' database; close that program and try again.",
    Trouble.FULL: "The disk is full; free some space and try again.",
    Trouble.READ_ONLY: "The conversations' database is read-only; allow writing to it and try again.",
    Trouble.UNOPENABLE: "The conversations' database cannot be opened; check that its folder exists and is writable.",
    Trouble.DENIED: "Access to the conversations' database is denied; allow reading and writing it and try again.",
    Trouble.DAMAGED: "The conversations' database is damaged; start the program again.",
    Trouble.FOREIGN: "The conversations' file is no SQLite database; move it away, and a new one is started.",
    Trouble.NEWER: "The conversations' database was made by a newer version; update this program.",
    Trouble.BROKEN: "The disk does not answer properly; check the disk and try again.",
    Trouble.GONE: "The conversations' database was moved or deleted; bring it back, or start the program again.",
}  # fmt: skip


class StoreError(EngineError):
    """Conversations cannot be stored or read. trouble: why; None if it is this change's own fault."""

    def __init__(self, sentence: str, trouble: Trouble | None = None) -> None:
        super().__init__(sentence)
        self.trouble = trouble


HALF_A_CHARACTER = (
    "The text holds half a character, which cannot be stored; remove it and try again."
)


class ConversationNotFound(StoreError):
    """This owner has no such conversation, or no such message in it."""


class Unstorable(StoreError):
    """This very change can never be stored."""


class Database:
    """A connection that writes and one that reads, for any thread; transactions take turns.

    Neither waits longer than WAITING_MS for a lock of another program's.
    """

    def __init__(self, path: Path) -> None:
        """Open or make the database at `path`. Raises StoreError."""
        self._path = path
        self._logged: str | None = None
        self._writing, self._reading = RLock(), RLock()
        try:
            path.touch(mode=0o600)
        except OSError as error:
            log.warning("%s: %s", path, error.strerror)
            raise StoreError(SENTENCES[Trouble.UNOPENABLE], Trouble.UNOPENABLE) from error
        self._writer = self._connect()
        self._reader = self._writer
        try:
            self._prepare()
            self._reader = self._connect()
            self._settle()
        except StoreError:
            self.close()
            raise
        self._identity = self._found()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing: committed at the end, rolled back on any exception. Raises StoreError.

        Within another one it is a part of that.
        """
        with self._writing, self._translated():
            if self._writer.in_transaction:
                yield self._writer
                return
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One state of the database, whatever is written meanwhile. Raises StoreError."""
        with self._reading, self._translated():
            self._reader.execute("BEGIN")
            try:
                yield self._reader
            finally:
                if self._reader.in_transaction:
                    self._reader.execute("ROLLBACK")

    def check_place(self) -> None:
        """Raise StoreError if the file is not where it was: what is written to it would be lost."""
        if self._found() != self._identity:
            raise self._error(Trouble.GONE, "the file is not where it was")

    def close(self) -> None:
        """Fold the log into the database and let it go. Calls after it raise StoreError."""
        with self._reading, self._translated():
            self._reader.close()
        with self._writing, self._translated():
            self._writer.close()

    def _found(self) -> tuple[int, int] | None:
        """Which file stands at the path now."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _connect(self) -> sqlite3.Connection:
        with self._translated():
            connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            connection.execute(f"PRAGMA busy_timeout = {OPENING_MS}")
            return connection

    def _prepare(self) -> None:
        with self._translated():
            for pragma in _PRAGMAS:
                self._writer.execute(pragma)
            # Not quick_check: it believes every index, and links are looked at by neither.
            (found,) = self._writer.execute("PRAGMA integrity_check(1)").fetchone()
            stray = self._writer.execute("PRAGMA foreign_key_check").fetchone()
        if found != "ok" or stray is not None:
            raise self._error(Trouble.DAMAGED, found if stray is None else "a link leads nowhere")
        with self.transaction() as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version > len(MIGRATIONS):
                raise self._error(Trouble.NEWER, f"version {version}")
            for step in MIGRATIONS[version:]:
                for statement in step:
                    db.execute(statement)
            db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")

    def _settle(self) -> None:
        """What is left to do once the database is there."""
        # Damaged text is shown as far as it can be.
        self._reader.text_factory = lambda raw: raw.decode(errors="replace")
        self._reader.create_function("casefold", 1, str.casefold, deterministic=True)
        self._reader.create_function("beginning", 2, _beginning, deterministic=True)
        with self._translated():
            for connection in (self._writer, self._reader):
                connection.execute(f"PRAGMA busy_timeout = {WAITING_MS}")

    def _error(self, trouble: Trouble, reason: object) -> StoreError:
        """The error to raise; people need not know where the file is, the log does."""
        if trouble != self._logged:
            self._logged = trouble
            log.warning("%s: %s", self._path, reason)
        unknown = f"The conversations' database cannot be used ({reason}); start the program again."
        return StoreError(SENTENCES.get(trouble, unknown), trouble)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn SQLite's errors, and values that it cannot hold, into StoreError."""
        try:
            yield
        except (sqlite3.IntegrityError, sqlite3.DataError) as error:
            raise Unstorable(f"The database refused a change ({error}); it is left out.") from error
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
            raise self._error(_TROUBLES.get(code, Trouble.UNKNOWN), error) from error
        except UnicodeDecodeError as error:  # SQLite quotes what it cannot make sense of
            raise self._error(Trouble.DAMAGED, error) from error
        except UnicodeEncodeError as error:
            raise Unstorable(HALF_A_CHARACTER) from error
        except OverflowError as error:
            raise ConversationNotFound("No message has such a number; reload the page.") from error


def _beginning(text: str, num_characters: int) -> str:
    """As SQLite's substr, which takes a null character for the end."""
    return text[:num_characters]
