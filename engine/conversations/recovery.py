"""A damaged database: kept as a copy, and what can be read of it in a new one.

Owns: which rows are taken over, and what becomes of links to rows that are lost. Does not know what the
rows mean beyond that. Invariant: the damaged file is moved only when its copy and the new database are whole.
"""

import logging
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from engine.conversations.store import Store, StoreError, Trouble
from engine.conversations.store_database import SENTENCES, Database

log = logging.getLogger(__name__)

_TABLES = ("conversation", "message", "branch", "trail")
_UNREADABLE = (sqlite3.Error, UnicodeError, MemoryError)
_PAGE_BYTES = 4096  # SQLite's own size, which is never changed here
_SMALLEST_BYTES = 512  # of a page; SQLite takes what is shorter for a new database
_LARGEST_GAP = 1 << 40  # rows that cannot be read in one go, before reading on is given up
# What hangs on lost rows goes with them, or moves to the beginning.
_MEND = (
    "DELETE FROM message WHERE conversation NOT IN (SELECT id FROM conversation)",
    """
    UPDATE message SET parent = NULL WHERE parent IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM message AS m WHERE m.id = message.parent AND m.conversation = message.conversation)
    """,
    """
    DELETE FROM branch WHERE NOT EXISTS (
        SELECT 1 FROM message AS m WHERE m.id = branch.leaf AND m.conversation = branch.conversation)
    """,
    "DELETE FROM trail WHERE conversation NOT IN (SELECT id FROM conversation)",
    """
    UPDATE conversation SET head = (SELECT max(id) FROM message WHERE conversation = conversation.id)
    WHERE head IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM message AS m WHERE m.id = conversation.head AND m.conversation = conversation.id)
    """,
)


@dataclass(frozen=True, slots=True)
class Recovery:
    """What was read of a damaged database. copy: the name of the damaged file's copy beside it."""

    conversations: int
    messages: int
    copy: str


def open_store(path: Path) -> tuple[Store, Recovery | None]:
    """The store at `path`; of a damaged one what can be read. Raises StoreError."""
    is_cut = path.is_file() and path.stat().st_size < _SMALLEST_BYTES
    if not is_cut:
        try:
            return Store(path), None
        except StoreError as error:
            if error.trouble not in (Trouble.DAMAGED, Trouble.FOREIGN):
                raise
    recovery = _recover(path)
    log.warning(
        "%s was damaged: %d conversations with %d messages could be read; the file is kept as %s",
        path,
        recovery.conversations,
        recovery.messages,
        recovery.copy,
    )
    return Store(path), recovery


def _recover(path: Path) -> Recovery:
    copy, fresh = _free_name(path), path.with_name(f"{path.name}.recovering")
    try:
        for suffix in ("", "-wal"):
            if (source := path.with_name(path.name + suffix)).exists():
                shutil.copy2(source, copy.with_name(copy.name + suffix))
        _remove(fresh)
        conversations, messages = _read_over(copy, fresh)
        _remove(path)
        fresh.replace(path)
    except OSError as error:
        log.warning("%s could not be recovered: %s", path, error)
        raise StoreError(SENTENCES[Trouble.DAMAGED], Trouble.DAMAGED) from error
    return Recovery(conversations, messages, copy.name)


def _free_name(path: Path) -> Path:
    names = (path.with_name(f"{path.stem}.damaged-{n}{path.suffix}") for n in count(1))
    return next(name for name in names if not name.exists())


def _remove(path: Path) -> None:
    """A database with what SQLite keeps beside it; what belongs to another one must not stay."""
    for suffix in ("-wal", "-shm", ""):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _read_over(damaged: Path, fresh: Path) -> tuple[int, int]:
    """Copy what can be read into a new database; how many conversations and messages it has."""
    readable = fresh.with_name(f"{fresh.name}-source")
    for suffix in ("", "-wal"):
        if (source := damaged.with_name(damaged.name + suffix)).exists():
            shutil.copy2(source, readable.with_name(readable.name + suffix))
    database = Database(fresh)
    try:
        if not _has_tables(readable):
            _restore_first_page(readable)
        with closing(sqlite3.connect(readable)) as old, database.transaction() as new:
            old.text_factory = lambda raw: raw.decode(errors="replace")
            new.execute("PRAGMA defer_foreign_keys = ON")
            for table in _TABLES:
                _copy_rows(old, new, table)
            for statement in _MEND:
                new.execute(statement)
            counts = [new.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in _TABLES]  # noqa: S608
    finally:
        database.close()
        _remove(readable)
    return counts[0], counts[1]


def _has_tables(path: Path) -> bool:
    try:
        with closing(sqlite3.connect(path)) as db:
            return {*_TABLES} <= {row[0] for row in db.execute("SELECT name FROM sqlite_schema")}
    except _UNREADABLE:
        return False


def _restore_first_page(path: Path) -> None:
    """Where the header or the schema is damaged: those of a new database, whose tables begin alike."""
    pattern = path.with_name(f"{path.name}-pattern")
    Database(pattern).close()
    first = bytearray(pattern.read_bytes()[:_PAGE_BYTES])
    _remove(pattern)
    num_pages = -(-path.stat().st_size // _PAGE_BYTES)
    first[28:32] = num_pages.to_bytes(4, "big")
    with path.open("r+b") as file:
        file.write(first)


def _copy_rows(old: sqlite3.Connection, new: sqlite3.Connection, table: str) -> None:
    columns = [row[1] for row in new.execute(f"PRAGMA table_info({table})")]
    try:
        known = {row[1] for row in old.execute(f"PRAGMA table_info({table})")}
    except _UNREADABLE:
        known = set(columns)
    names = ", ".join(column for column in columns if column in known)
    if not names:
        return
    for row in _readable_rows(old, table, names).values():
        places = ", ".join("?" * len(row))
        try:
            new.execute(f"INSERT INTO {table} ({names}) VALUES ({places})", row)  # noqa: S608
        except (sqlite3.IntegrityError, OverflowError):
            log.info("A damaged row is left out")


def _readable_rows(
    old: sqlite3.Connection, table: str, names: str
) -> dict[int, tuple[object, ...]]:
    """Rows by their number: read from the first on and from the last back, past what cannot be read."""
    rows: dict[int, tuple[object, ...]] = {}
    for sign, order, edge in ((">", "ASC", -1), ("<", "DESC", 1 << 62)):
        query = f"SELECT rowid, {names} FROM {table} WHERE rowid {sign} ? ORDER BY rowid {order}"  # noqa: S608
        gap, at = 1, edge
        while gap <= _LARGEST_GAP:
            try:
                for number, *values in old.execute(query, (at,)):
                    if number in rows and sign == "<":
                        return rows
                    rows[number], at, gap = tuple(values), number, 1
                break
            except _UNREADABLE:
                at += gap if sign == ">" else -gap
                gap *= 2
    return rows
