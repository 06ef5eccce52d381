"""A database that is damaged when the program starts."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from engine.config import EngineConfig
from engine.conversations import Journal, Trouble, open_journal, store_database
from engine.conversations.recovery import open_store
from engine.conversations.store import Store, StoreError

NAMES = [f"conversation {n}" for n in range(20)]
TEXTS = [f"message {n} " + "word " * 300 for n in range(8)]
PAGE = 4096


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database of many pages, closed."""
    path = tmp_path / "warmchat.db"
    store = Store(path)
    for name in NAMES:
        store.create("ann", name)
        parent = None
        for number, text in enumerate(TEXTS):
            role = "assistant" if number % 2 else "user"
            parent = store.add_message("ann", name, parent, role, text)
    store.close()
    return path


def said(store: Store, name: str) -> list[str]:
    stored = store.load("ann", name)
    return [] if stored is None else [node.content for node in stored.nodes.values()]


def overwrite(path: Path, begin: int, num_bytes: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[begin : begin + num_bytes] = b"\xa5" * num_bytes
    path.write_bytes(raw)


def test_of_a_damaged_database_everything_else_is_there_and_the_damaged_file_is_kept(
    path: Path,
) -> None:
    overwrite(path, 40 * PAGE, 3 * PAGE)
    damaged = path.read_bytes()
    with pytest.raises(StoreError, match="damaged"):
        Store(path)
    store, recovery = open_store(path)
    assert recovery is not None
    assert path.with_name(recovery.copy).read_bytes() == damaged
    texts = [text for name in NAMES for text in said(store, name)]
    assert set(texts) == set(TEXTS)
    assert len(NAMES) * len(TEXTS) > len(texts) == recovery.messages > 100
    assert recovery.conversations == len(NAMES)
    first = store.load("ann", NAMES[0])
    assert first is not None
    store.add_message("ann", NAMES[0], first.head, "user", "and on it goes")
    store.close()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    assert open_store(path)[1] is None


@pytest.mark.parametrize("num_bytes", [12, 100, PAGE])
def test_a_damaged_beginning_costs_nothing(path: Path, num_bytes: int) -> None:
    overwrite(path, 0, num_bytes)
    store, recovery = open_store(path)
    assert recovery is not None
    assert [said(store, name) for name in NAMES] == [TEXTS] * len(NAMES)
    assert recovery.copy == "warmchat.damaged-1.db"
    store.close()
    overwrite(path, 0, 12)
    store, recovery = open_store(path)
    assert recovery is not None
    assert recovery.copy == "warmchat.damaged-2.db"
    store.close()


@pytest.mark.parametrize("size", [0, 1, 100, PAGE, 10 * PAGE + 7])
def test_a_file_that_was_cut_is_kept_and_what_is_left_of_it_is_read(path: Path, size: int) -> None:
    cut = path.read_bytes()[:size]
    path.write_bytes(cut)
    store, recovery = open_store(path)
    assert recovery is not None
    assert path.with_name(recovery.copy).read_bytes() == cut
    assert {text for name in NAMES for text in said(store, name)} <= set(TEXTS)
    store.create("ann", "new")
    store.close()


def test_what_is_no_database_is_kept_beside_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "warmchat.db"
    path.write_text("a list of errands\n" * 1000)
    store, recovery = open_store(path)
    assert recovery is not None
    assert path.with_name(recovery.copy).read_text() == "a list of errands\n" * 1000
    assert store.list("ann") == []
    store.close()


def test_the_log_of_a_killed_program_is_read_and_kept_too(path: Path) -> None:
    store = Store(path)
    store.create("ann", "new")
    message = store.add_message("ann", "new", None, "user", "not in the database's file yet")
    folder = path.parent / "killed"
    folder.mkdir()
    for file in (path, path.with_name("warmchat.db-wal")):
        (folder / file.name).write_bytes(file.read_bytes())
    store.close()
    overwrite(folder / path.name, 40 * PAGE, 3 * PAGE)
    store, recovery = open_store(folder / path.name)
    assert recovery is not None
    stored = store.load("ann", "new")
    assert stored is not None
    assert stored.nodes[message].content == "not in the database's file yet"
    store.close()


def made(folder: Path, **options: str) -> Journal:
    return open_journal(EngineConfig(model_dir=folder, data_dir=folder, **options))  # type: ignore[arg-type]


def newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {len(store_database.MIGRATIONS) + 1}")


def unopenable(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "trouble"), [(newer, Trouble.NEWER), (unopenable, Trouble.UNOPENABLE)]
)
def test_what_cannot_be_opened_is_said_or_refused(
    path: Path, spoil: Callable[[Path], None], trouble: Trouble
) -> None:
    spoil(path)
    journal = made(path.parent)
    assert journal.store is None
    assert (journal.storage.trouble, journal.storage.is_lasting) == (trouble, True)
    assert str(path.parent) not in journal.storage.sentence
    with pytest.raises(StoreError, match=r"\.$"):
        made(path.parent, storage="required")


def test_a_damaged_schema_that_is_not_even_text_costs_nothing(path: Path) -> None:
    raw = path.read_bytes()
    overwrite(path, raw.index(b"tableconversation") + len("tableconv"), 1)  # what SQLite quotes
    overwrite(path, raw.index(b"CREATE TABLE conversation"), 3)
    store, recovery = open_store(path)
    assert recovery is not None
    assert [said(store, name) for name in NAMES] == [TEXTS] * len(NAMES)
    store.close()


def test_an_index_that_says_something_else_and_links_that_lead_nowhere_are_found(
    path: Path,
) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE message SET parent = 12345 WHERE id = 4")
    store, recovery = open_store(path)
    assert recovery is not None
    assert [said(store, name) for name in NAMES] == [TEXTS] * len(NAMES)
    store.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        query = "SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_conversation_1'"
        (page,) = db.execute(query).fetchone()
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    raw = path.read_bytes()
    begin = raw.rindex(b"annconversation 7", (page - 1) * PAGE, page * PAGE)
    path.write_bytes(raw[: begin + 16] + b"x" + raw[begin + 17 :])
    store, recovery = open_store(path)
    assert recovery is not None
    assert [said(store, name) for name in NAMES] == [TEXTS] * len(NAMES)
    store.close()


def test_links_that_damage_has_made_a_circle_of_end(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE message SET parent = 3 WHERE id = 2")
        db.execute("UPDATE branch SET tokens = x'010203'")
        db.execute("UPDATE message SET content = CAST(x'6162ff' AS TEXT) WHERE id = 1")
    store = Store(path)
    stored = store.load("ann", NAMES[0])
    assert stored is not None
    assert [node.content for node in stored.nodes.values()] == ["ab\ufffd"]
    assert stored.head == 1
    store.close()
