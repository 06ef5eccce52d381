"""The store against plain dictionaries, against other owners, and against sudden death."""

import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from engine.conversations import store_database
from engine.conversations.conversation import Feedback
from engine.conversations.store import (
    UNDO_S,
    ConversationNotFound,
    Node,
    Store,
    StoredBranch,
    StoredConversation,
    StoreError,
)
from engine.events import Finished, FinishReason
from engine.metrics import KVSource, TurnClock, TurnFigures
from engine.text.ledger import Segment
from tests import ROOT

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
STATUS = st.sampled_from(["complete", "interrupted", "streaming"])
SEGMENTS = st.lists(
    st.builds(
        Segment,
        st.text(max_size=10),
        st.integers(0, 50),
        st.none() | st.lists(st.integers(0, 99), max_size=5).map(tuple),
    ),
    max_size=4,
).map(tuple)
SECONDS = st.floats(0, 1e6)
ENDINGS = st.none() | st.builds(
    Finished,
    st.sampled_from(FinishReason),
    st.builds(
        TurnFigures,
        wait_s=SECONDS,
        ttft_s=st.none() | SECONDS,
        itl_s=st.none() | SECONDS,
        saved_s=st.none() | SECONDS,
        source=st.sampled_from(KVSource),
        note=st.none() | TEXT,
    ),
    st.none() | TEXT,
)
TOKENS = st.lists(st.integers(0, 2**31 - 1), max_size=50)


class Clock:
    """Seconds that pass when told to, and a little with every look."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    store = Store(tmp_path / "chat.db", clock)
    yield store
    store.close()


@dataclass
class Oracle:
    """A conversation as the test remembers it."""

    title: str = ""
    pinned: bool = False
    head: int | None = None
    nodes: dict[int, Node] = field(default_factory=dict)
    branches: dict[int, StoredBranch] = field(default_factory=dict)

    @property
    def shown_title(self) -> str:
        """Its own, or else the first words."""
        return self.title or (self.nodes[min(self.nodes)].content if self.nodes else "")

    def ancestors(self, node_id: int) -> set[int]:
        found: set[int] = set()
        while (parent := self.nodes[node_id].parent) is not None:
            found.add(parent)
            node_id = parent
        return found


class StoreMachine(RuleBasedStateMachine):
    """Two owners with conversations of the same names; reopened now and then."""

    ids = st.tuples(st.sampled_from(["ann", "bob"]), st.sampled_from(["x", "y"]))
    randoms = st.randoms(use_true_random=False)

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.clock = Clock()
        self.store = Store(self.root / "chat.db", self.clock)
        self.live: dict[tuple[str, str], Oracle] = {}
        self.deleted: dict[tuple[str, str], Oracle] = {}
        self.order: list[tuple[str, str]] = []

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.root)

    def changed(self, key: tuple[str, str]) -> None:
        self.order = [key, *(k for k in self.order if k != key)]

    def choose(self, random: Random) -> tuple[tuple[str, str], Oracle]:
        return random.choice(sorted(self.live.items(), key=lambda item: item[0]))

    @rule(key=ids)
    def create(self, key: tuple[str, str]) -> None:
        self.store.create(*key)
        self.deleted.pop(key, None)
        if key not in self.live:
            self.live[key] = Oracle()
            self.changed(key)

    @precondition(lambda self: self.live)
    @rule(
        random=randoms,
        role=st.sampled_from(["user", "assistant"]),
        content=TEXT,
        status=STATUS,
        is_edited=st.booleans(),
    )
    def add(self, random: Random, role: str, content: str, status: str, is_edited: bool) -> None:
        key, oracle = self.choose(random)
        parent = random.choice([None, *oracle.nodes])
        node_id = self.store.add_message(
            *key, parent, role, content, status=status, is_edited=is_edited
        )
        known = [n for o in [*self.live.values(), *self.deleted.values()] for n in o.nodes]
        assert node_id not in known
        oracle.nodes[node_id] = Node(node_id, parent, role, content, status, is_edited=is_edited)
        oracle.head = node_id
        self.changed(key)

    @precondition(lambda self: any(o.nodes for o in self.live.values()))
    @rule(
        random=randoms,
        content=TEXT,
        status=STATUS,
        ending=ENDINGS,
        feedback=st.sampled_from(["like", "dislike", None]),
        tokens=TOKENS,
        segments=SEGMENTS,
    )
    def change_a_message(
        self,
        random: Random,
        content: str,
        status: str,
        ending: Finished | None,
        feedback: Feedback | None,
        tokens: list[int],
        segments: tuple[Segment, ...],
    ) -> None:
        key, oracle = random.choice([item for item in self.live.items() if item[1].nodes])
        node_id = random.choice(list(oracle.nodes))
        self.store.update_message(key[0], node_id, content, status, ending)
        self.store.rate(*key, node_id, feedback)
        oracle.nodes[node_id] = replace(
            oracle.nodes[node_id],
            content=content,
            status=status,
            ending=ending,
            feedback=feedback,
        )
        self.changed(key)
        leaf = random.choice(list(oracle.nodes))
        branch = StoredBranch(leaf, tokens, segments)
        self.store.save_branch(*key, branch)
        for ancestor in oracle.ancestors(leaf):
            oracle.branches.pop(ancestor, None)
        oracle.branches[leaf] = branch
        oracle.head = random.choice([None, *oracle.nodes])
        self.store.set_head(*key, oracle.head)

    @precondition(lambda self: self.live)
    @rule(random=randoms, title=TEXT, pinned=st.booleans())
    def name_and_pin(self, random: Random, title: str, pinned: bool) -> None:
        key, oracle = self.choose(random)
        self.store.rename(*key, title)
        self.store.pin(*key, pinned)
        oracle.title, oracle.pinned = title, pinned

    @precondition(lambda self: self.live)
    @rule(random=randoms)
    def delete(self, random: Random) -> None:
        key, oracle = self.choose(random)
        self.store.delete(*key)
        self.deleted[key] = oracle
        del self.live[key]

    @precondition(lambda self: self.deleted)
    @rule(random=randoms)
    def undo(self, random: Random) -> None:
        key = random.choice(sorted(self.deleted))
        self.store.restore_deleted(*key)
        self.live[key] = self.deleted.pop(key)

    @rule(interrupted=st.booleans(), a_day_later=st.booleans())
    def reopen(self, interrupted: bool, a_day_later: bool) -> None:
        self.store.close()
        if a_day_later:
            for _ in range(2):  # what is old is looked at twice
                self.clock.now += UNDO_S
                Store(self.root / "chat.db", self.clock).close()
            self.order = [key for key in self.order if key not in self.deleted]
            self.deleted.clear()
        self.store = Store(self.root / "chat.db", self.clock)
        if interrupted:
            everyone = [*self.live.values(), *self.deleted.values()]
            streaming = [
                (o, n) for o in everyone for n in o.nodes.values() if n.status == "streaming"
            ]
            assert self.store.mark_interrupted() == len(streaming)
            for oracle, node in streaming:
                oracle.nodes[node.id] = replace(node, status="interrupted")

    @invariant()
    def everything_is_as_remembered(self) -> None:
        for key in [(owner, name) for owner in ("ann", "bob") for name in ("x", "y")]:
            loaded = self.store.load(*key)
            if key not in self.live:
                assert loaded is None
                continue
            oracle = self.live[key]
            assert loaded is not None
            assert loaded == StoredConversation(
                oracle.title,
                oracle.pinned,
                loaded.created_at,
                loaded.updated_at,
                oracle.head,
                oracle.nodes,
                [oracle.branches[leaf] for leaf in sorted(oracle.branches)],
            )
            assert 1_000_000 < loaded.created_at <= loaded.updated_at <= self.clock.now

    @invariant()
    def lists_are_newest_first(self) -> None:
        for owner in ("ann", "bob"):
            expected = [(key, self.live[key]) for key in self.order if key in self.live]
            assert [row[:3] + row[5:] for row in self.store.list(owner)] == [
                (key[1], o.shown_title, o.pinned, len(o.nodes))
                for key, o in expected
                if key[0] == owner
            ]


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)


def talk(store: Store, owner: str = "ann", name: str = "x") -> tuple[int, int]:
    store.create(owner, name)
    question = store.add_message(owner, name, None, "user", "Where is the cat?")
    answer = store.add_message(owner, name, question, "assistant", "Here.")
    store.save_branch(owner, name, StoredBranch(answer, [1, 2], (Segment("ab", 2, (1, 2)),)))
    return question, answer


def test_nobody_reaches_what_another_owner_said(store: Store) -> None:
    question, answer = talk(store)
    store.create("bob", "x")
    store.create("bob", "own")
    before = store.load("ann", "x")
    attempts: list[Callable[[], object]] = [
        lambda: store.add_message("bob", "x", question, "user", "mine"),
        lambda: store.add_message("bob", "gone", None, "user", "mine"),
        lambda: store.update_message("bob", answer, "mine", "complete"),
        lambda: store.rate("bob", "x", answer, "like"),
        lambda: store.set_head("bob", "x", answer),
        lambda: store.save_branch("bob", "x", StoredBranch(answer, [3], ())),
        lambda: store.rename("carl", "x", "mine"),
        lambda: store.pin("carl", "x", True),
        lambda: store.delete("carl", "x"),
        lambda: store.restore_deleted("carl", "x"),
    ]
    for attempt in attempts:
        with pytest.raises(ConversationNotFound):
            attempt()
    assert store.load("ann", "x") == before
    assert store.load("carl", "x") is None
    assert store.list("carl") == store.search("carl", "cat") == store.search("bob", "cat") == []
    store.delete("ann", "x")
    with pytest.raises(ConversationNotFound):
        store.restore_deleted("carl", "x")


def test_a_title_of_the_first_words_goes_on_behind_a_null_character(store: Store) -> None:
    store.create("ann", "x")
    store.add_message("ann", "x", None, "user", "a\0b")
    assert [row.title for row in store.list("ann")] == ["a\0b"]
    assert [row.title for row in store.search("ann", "\0B")] == ["a\0b"]


def test_links_never_lead_into_another_conversation_of_the_same_owner(store: Store) -> None:
    _, answer = talk(store)
    store.create("ann", "y")
    attempts: list[Callable[[], object]] = [
        lambda: store.add_message("ann", "y", answer, "user", "?"),
        lambda: store.set_head("ann", "y", answer),
        lambda: store.save_branch("ann", "y", StoredBranch(answer, [], ())),
        lambda: store.set_head("ann", "y", 2**70),
    ]
    for attempt in attempts:
        with pytest.raises(ConversationNotFound):
            attempt()


def test_branch_replaces_those_it_goes_on_from_and_no_other(store: Store) -> None:
    question, answer = talk(store)
    other = store.add_message("ann", "x", question, "assistant", "There.")
    store.save_branch("ann", "x", StoredBranch(other, [1, 3], ()))
    following = store.add_message("ann", "x", answer, "user", "Thanks")
    longer = StoredBranch(following, [1, 2, 4], (Segment("abc", 3, None),))
    store.save_branch("ann", "x", longer)
    loaded = store.load("ann", "x")
    assert loaded is not None
    assert loaded.branches == [StoredBranch(other, [1, 3], ()), longer]


def test_conversation_made_again_after_deleting_is_empty_and_its_ids_are_new(store: Store) -> None:
    _, answer = talk(store)
    store.delete("ann", "x")
    store.create("ann", "x")
    loaded = store.load("ann", "x")
    assert loaded is not None
    assert (loaded.nodes, loaded.branches, loaded.head) == ({}, [], None)
    assert store.add_message("ann", "x", None, "user", "new") > answer


def test_search_finds_titles_and_messages_in_any_case_and_script(store: Store) -> None:
    talk(store, name="cats")
    store.create("ann", "trip")
    store.rename("ann", "trip", "Straße 100% 北京")
    store.add_message("ann", "trip", None, "user", "ÜBER ALLES")

    def found(text: str) -> list[str]:
        return [row.id for row in store.search("ann", text)]

    assert found("CAT") == ["cats"]
    assert found("STRASSE") == found("京") == found("über") == found("0%") == ["trip"]
    assert found("_") == found("%c") == found("dog") == []
    assert found("") == ["trip", "cats"]
    store.delete("ann", "cats")
    assert found("cat") == []


def test_deleting_is_undone_within_a_day_and_final_after_it(store: Store, clock: Clock) -> None:
    talk(store)
    before = store.load("ann", "x")
    store.delete("ann", "x")
    assert store.load("ann", "x") is None
    assert store.list("ann") == []
    clock.now += UNDO_S - 100
    store.create("ann", "other")
    store.delete("ann", "other")
    store.restore_deleted("ann", "x")
    assert store.load("ann", "x") == before
    store.delete("ann", "x")
    for name in ("third", "fourth"):
        clock.now += UNDO_S
        store.create("ann", name)
        store.delete("ann", name)
    with pytest.raises(ConversationNotFound):
        store.restore_deleted("ann", "x")


@pytest.mark.parametrize("jump_s", [40 * UNDO_S, -40 * UNDO_S])
@pytest.mark.parametrize("comes_back", [True, False])
def test_a_jump_of_the_clock_purges_nothing_that_can_be_undone(
    store: Store, clock: Clock, tmp_path: Path, jump_s: float, comes_back: bool
) -> None:
    talk(store)
    before = store.load("ann", "x")
    store.delete("ann", "x")
    store.close()
    clock.now += jump_s
    Store(tmp_path / "chat.db", clock).close()
    if comes_back:
        clock.now -= jump_s
    clock.now += UNDO_S / 2
    again = Store(tmp_path / "chat.db", clock)
    again.restore_deleted("ann", "x")
    assert again.load("ann", "x") == before
    again.delete("ann", "x")
    again.close()
    for _ in range(3):
        clock.now += UNDO_S
        Store(tmp_path / "chat.db", clock).close()
    with sqlite3.connect(tmp_path / "chat.db") as db:
        assert db.execute("SELECT count(*) FROM message").fetchone() == (0,)
    db.close()


def test_purging_leaves_no_rows(store: Store, clock: Clock, tmp_path: Path) -> None:
    talk(store)
    store.delete("ann", "x")
    store.close()
    for _ in range(2):
        clock.now += UNDO_S
        Store(tmp_path / "chat.db", clock).close()
    with sqlite3.connect(tmp_path / "chat.db") as db:
        for table in ("conversation", "message", "branch"):
            assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    db.close()


def test_reply_goes_on_in_a_deleted_conversation(store: Store) -> None:
    store.create("ann", "x")
    reply = store.add_message("ann", "x", None, "assistant", "", status="streaming")
    store.delete("ann", "x")
    store.update_message("ann", reply, "Done.", "complete")
    store.restore_deleted("ann", "x")
    loaded = store.load("ann", "x")
    assert loaded is not None
    assert loaded.nodes[reply] == Node(reply, None, "assistant", "Done.", "complete")


def test_half_a_character_is_refused_and_nothing_is_changed(store: Store) -> None:
    talk(store)
    before = store.load("ann", "x")
    with pytest.raises(StoreError, match="half a character"):
        store.add_message("ann", "x", None, "user", "\ud83d")
    assert store.load("ann", "x") == before


def test_failing_transaction_changes_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    talk(store)
    before = store.load("ann", "x")

    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(store, "_mark_changed", fail)
    with pytest.raises(StoreError, match="disk I/O error"):
        store.add_message("ann", "x", None, "user", "lost")
    monkeypatch.undo()
    assert store.load("ann", "x") == before
    store.add_message("ann", "x", None, "user", "kept")


def test_locked_file_is_reported_and_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "chat.db")
    talk(store)
    other = sqlite3.connect(tmp_path / "chat.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="program is using the conversations' database; close"):
        store.rename("ann", "x", "new")
    assert store.load("ann", "x") is not None
    other.execute("ROLLBACK")
    other.close()
    store.rename("ann", "x", "new")
    assert store.list("ann")[0].title == "new"
    store.close()


def test_full_disk_is_reported_and_reading_goes_on(store: Store) -> None:
    talk(store)
    db = store._database._writer
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match="The disk is full"):
        store.add_message("ann", "x", None, "user", "long " * 100_000)
    assert len(store.list("ann")) == 1
    db.execute("PRAGMA max_page_count = 100000")
    store.add_message("ann", "x", None, "user", "long " * 100_000)


def test_read_only_file_is_reported(tmp_path: Path, store: Store) -> None:
    talk(store)
    store._database._writer.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreError, match="is read-only"):
        store.rename("ann", "x", "new")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no database, just text " * 100, "is no SQLite database"),
        (None, "check that its folder"),
    ],
)
def test_file_that_cannot_be_a_store_is_reported(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "chat.db" if content else tmp_path / "missing" / "chat.db"
    if content:
        path.write_bytes(content)
    with pytest.raises(StoreError, match=message):
        Store(path)
    assert content is None or path.read_bytes() == content


def test_older_schema_is_migrated_and_a_newer_one_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "chat.db")
    talk(store)
    before = store.load("ann", "x")
    store.close()
    step = ("ALTER TABLE conversation ADD COLUMN colour TEXT NOT NULL DEFAULT 'red'",)
    monkeypatch.setattr(store_database, "MIGRATIONS", (*store_database.MIGRATIONS, step))
    for _ in range(2):
        store = Store(tmp_path / "chat.db")
        assert store.load("ann", "x") == before
        with store._database.reading() as db:
            assert db.execute("SELECT colour FROM conversation").fetchall() == [("red",)]
        store.close()
    monkeypatch.undo()
    with pytest.raises(StoreError, match="newer version; update"):
        Store(tmp_path / "chat.db")


def test_a_file_without_endings_and_feedback_gets_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_database, "MIGRATIONS", store_database.MIGRATIONS[:1])
    database = store_database.Database(tmp_path / "chat.db")
    with database.transaction() as db:
        db.execute(
            "INSERT INTO conversation (id, owner, name, created_at, updated_at) "
            "VALUES (1, 'ann', 'x', 0, 0)"
        )
        db.execute("INSERT INTO message VALUES (1, 1, NULL, 'user', 'Hi', 'complete')")
        db.execute("INSERT INTO message VALUES (2, 1, 1, 'assistant', 'Yes?', 'complete')")
    database.close()
    monkeypatch.undo()
    store = Store(tmp_path / "chat.db")
    ending = Finished(FinishReason.LENGTH, TurnClock(source=KVSource.DISK).figures(), "A sentence")
    store.update_message("ann", 2, "Yes, indeed", "complete", ending)
    store.rate("ann", "x", 2, "dislike")
    stored = store.load("ann", "x")
    assert stored is not None
    assert stored.nodes[1] == Node(1, None, "user", "Hi")
    assert stored.nodes[2] == Node(2, 1, "assistant", "Yes, indeed", "complete", ending, "dislike")
    store.close()


def test_a_file_without_edited_answers_can_have_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_database, "MIGRATIONS", store_database.MIGRATIONS[:3])
    database = store_database.Database(tmp_path / "chat.db")
    with database.transaction() as db:
        db.execute(
            "INSERT INTO conversation (id, owner, name, created_at, updated_at) "
            "VALUES (1, 'ann', 'x', 0, 0)"
        )
        db.execute(
            "INSERT INTO message (id, conversation, role, content, status) "
            "VALUES (1, 1, 'assistant', 'Hi', 'complete')"
        )
    database.close()
    monkeypatch.undo()
    store = Store(tmp_path / "chat.db")
    edited = store.add_message("ann", "x", None, "assistant", "Hello", is_edited=True)
    stored = store.load("ann", "x")
    assert stored is not None
    assert stored.nodes[1] == Node(1, None, "assistant", "Hi")
    assert stored.nodes[edited] == Node(edited, None, "assistant", "Hello", is_edited=True)
    store.close()


@pytest.mark.parametrize("text", ["", "{}", '{"reason": "x"}', '{"figures": {"source": "disk"}}'])
def test_figures_of_another_version_are_left_out(store: Store, text: str) -> None:
    _, answer = talk(store)
    with store._database.transaction() as db:
        db.execute("UPDATE message SET ending = ? WHERE id = ?", (text, answer))
    stored = store.load("ann", "x")
    assert stored is not None
    assert stored.nodes[answer].ending is None


def test_failing_migration_leaves_the_old_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Store(tmp_path / "chat.db").close()
    step = ("ALTER TABLE conversation ADD COLUMN colour TEXT", "SELECT * FROM nowhere")
    monkeypatch.setattr(store_database, "MIGRATIONS", (*store_database.MIGRATIONS, step))
    with pytest.raises(StoreError, match="nowhere"):
        Store(tmp_path / "chat.db")
    monkeypatch.undo()
    store = Store(tmp_path / "chat.db")
    talk(store)
    store.close()


def test_only_the_user_may_read_the_file(tmp_path: Path) -> None:
    store = Store(tmp_path / "chat.db")
    talk(store)
    assert {path.stat().st_mode & 0o077 for path in tmp_path.iterdir()} == {0}
    assert len(list(tmp_path.iterdir())) == 3
    store.close()


def test_threads_add_to_one_conversation_without_losing_anything(store: Store) -> None:
    store.create("ann", "x")

    def work(worker: int) -> list[int]:
        ids = []
        for i in range(25):
            ids.append(store.add_message("ann", "x", None, "user", f"{worker}.{i}"))
            assert store.load("ann", "x") is not None
        return ids

    with ThreadPoolExecutor(4) as pool:
        ids = [node_id for ids in pool.map(work, range(4)) for node_id in ids]
    loaded = store.load("ann", "x")
    assert loaded is not None
    assert sorted(ids) == sorted(loaded.nodes)
    assert {node.content for node in loaded.nodes.values()} == {
        f"{worker}.{i}" for worker in range(4) for i in range(25)
    }


WRITER = """
import sys
from pathlib import Path
from engine.conversations.store import Store, StoredBranch
store = Store(Path(sys.argv[1]))
store.create("ann", "x")
parent = None
while True:
    parent = store.add_message("ann", "x", parent, "user", f"question {parent}")
    print("sent", parent, flush=True)
    reply = store.add_message("ann", "x", parent, "assistant", "", status="streaming")
    for i in range(5):
        store.update_message("ann", reply, "word " * i * 100, "streaming")
        print("streamed", reply, i, flush=True)
    store.save_branch("ann", "x", StoredBranch(reply, list(range(2000)), ()))
    store.update_message("ann", reply, "whole", "complete")
    print("done", reply, flush=True)
    parent = reply
"""


@pytest.mark.parametrize("num_lines", [1, 2, 9, 40, 121])
def test_killed_writer_loses_nothing_that_it_reported(tmp_path: Path, num_lines: int) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "chat.db")],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert writer.stdout is not None
    reported = [writer.stdout.readline() for _ in range(num_lines)]
    writer.kill()
    reported += writer.stdout.read().splitlines(keepends=True)
    writer.stdout.close()
    assert writer.wait() == -9
    whole = [line.split() for line in reported if line.endswith("\n")]

    store = Store(tmp_path / "chat.db")
    assert store.mark_interrupted() <= 1
    loaded = store.load("ann", "x")
    assert loaded is not None
    assert {node.status for node in loaded.nodes.values()} <= {"complete", "interrupted"}
    for kind, node_id, *rest in whole:
        node = loaded.nodes[int(node_id)]
        if kind == "sent":
            assert node.content == f"question {node.parent}"
        elif kind == "done":
            assert (node.content, node.status) == ("whole", "complete")
        elif node.status == "interrupted":
            assert len(node.content) >= 500 * int(rest[0])
    for branch in loaded.branches:
        assert branch.tokens == list(range(2000))
    store.add_message("ann", "x", loaded.head, "user", "and on it goes")
    store.close()
    with sqlite3.connect(tmp_path / "chat.db") as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    db.close()
