"""Digests of what was said find the conversation, in memory and after a restart."""

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.conversations import Journal, SessionId, Trails
from engine.conversations.store import Store

A, B = SessionId("api:ann", "a"), SessionId("api:ann", "b")
ONE, TWO, THREE, NEW = b"1" * 32, b"2" * 32, b"3" * 32, b"4" * 32


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


@pytest.fixture(params=["memory", "store", "restarted"])
def trails(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Trails]:
    """Something that knows what was kept, each time it is called."""
    if request.param == "memory":
        alone = Trails(Journal())
        return lambda: alone
    clock = Clock()
    store = Store(tmp_path / "db", clock)
    for session_id in (A, B, SessionId("api:bob", "c")):
        store.create(*session_id)
    journal = Journal(store)
    kept = Trails(journal)

    def again() -> Trails:
        journal.flush(10)
        return kept if request.param == "store" else Trails(journal)

    return again


def test_the_longest_beginning_is_found(trails: Callable[[], Trails]) -> None:
    trails().keep(A, [ONE, TWO])
    trails().keep(B, [ONE])
    found = trails().find("api:ann", [ONE, TWO, NEW])
    assert found is not None
    assert (found.session_id, found.num_messages, found.hint) == (A, 2, None)
    assert trails().find("api:ann", [NEW]) is None
    assert trails().find("api:ann", []) is None


def test_another_owner_finds_nothing(trails: Callable[[], Trails]) -> None:
    trails().keep(A, [ONE])
    assert trails().find("api:bob", [ONE]) is None


def test_of_two_the_hint_decides(trails: Callable[[], Trails]) -> None:
    trails().keep(A, [ONE, TWO], "chat-a")
    trails().keep(B, [ONE, THREE], "chat-b")
    for hint, session_id in (("chat-a", A), ("chat-b", B)):
        found = trails().find("api:ann", [ONE], hint)
        assert found is not None
        assert (found.session_id, found.hint) == (session_id, hint)
    found = trails().find("api:ann", [ONE, TWO], "chat-b")
    assert found is not None
    assert found.session_id == A, "what was said goes before what it is called"


def test_a_hint_names_the_conversations_that_had_it(trails: Callable[[], Trails]) -> None:
    trails().keep(A, [ONE], "chat")
    trails().keep(B, [TWO], "chat")
    assert set(trails().of_hint("api:ann", "chat")) == {A, B}
    assert trails().of_hint("api:ann", "other") == []
    assert trails().of_hint("api:bob", "chat") == []


def test_what_was_deleted_is_not_found(tmp_path: Path) -> None:
    store = Store(tmp_path / "db")
    store.create(*A)
    store.keep_trail(*A, [ONE], "chat")
    store.delete(*A)
    assert store.trail("api:ann", ONE, 4) == []
    assert store.of_hint("api:ann", "chat", 4) == []


def test_programs_conversations_grow_old_and_peoples_do_not(tmp_path: Path) -> None:
    clock = Clock()
    store = Store(tmp_path / "db", clock)
    person = SessionId("user:ann", "c")
    for session_id in (A, person):
        store.create(*session_id)
    middle = clock()
    store.create(*B)
    trails = Trails(Journal(store))
    assert trails.outdated(middle) == [A]
    assert trails.outdated(0.0) == []
