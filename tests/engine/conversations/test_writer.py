"""Changes in their order, tried again, and who is told what. Nothing here waits for the clock but to be late."""

import threading
from collections.abc import Iterator

import pytest

from engine.conversations import writer as writing
from engine.conversations.store import ConversationNotFound, StoreError, Trouble
from engine.conversations.writer import Writer

LOCKED = StoreError("Another program is using it.", Trouble.BUSY)
WAIT_S = 60.0


class Disk:
    """Takes changes while it is open. tried: released at each try."""

    def __init__(self) -> None:
        self.is_open = True
        self.written: list[str] = []
        self.tried = threading.Semaphore(0)

    def write(self, change: str) -> None:
        self.tried.release()
        if not self.is_open:
            raise LOCKED
        self.written.append(change)

    def wait_for_tries(self, count: int) -> None:
        for _ in range(count):
            assert self.tried.acquire(timeout=WAIT_S)


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def writer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Writer]:
    monkeypatch.setattr(writing, "PATIENCE_S", 0.02)
    made = Writer()
    yield made
    made.close(0.0)


def test_changes_are_written_in_their_order_however_often_they_are_tried(
    writer: Writer, disk: Disk
) -> None:
    disk.is_open = False
    stored = [writer.put(lambda n=n: disk.write(str(n))) for n in range(5)]  # type: ignore[misc]
    disk.wait_for_tries(3)
    assert [future.result(WAIT_S) for future in stored] == [False] * 5, "who waits is told in time"
    assert writer.error is LOCKED
    assert writer.num_waiting == 5
    disk.is_open = True
    writer.flush(WAIT_S)
    assert disk.written == list("01234")
    assert writer.error is None
    assert writer.put(lambda: disk.write("5")).result(WAIT_S) is True


def test_while_earlier_changes_wait_nobody_waits_for_later_ones(
    writer: Writer, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.is_open = False
    writer.put(lambda: disk.write("first"))
    disk.wait_for_tries(2)
    monkeypatch.setattr(writing, "PATIENCE_S", WAIT_S)
    assert writer.put(lambda: disk.write("second")).result(0) is False
    with pytest.raises(StoreError, match="Another program"):
        writer.ask(lambda: disk.write("now or never"))
    disk.is_open = True
    writer.flush(WAIT_S)
    assert disk.written == ["first", "second"]


def test_what_is_asked_for_is_told_how_it_went_and_not_tried_again(
    writer: Writer, disk: Disk
) -> None:
    writer.ask(lambda: disk.write("now"))
    disk.is_open = False
    with pytest.raises(StoreError, match="Another program"):
        writer.ask(lambda: disk.write("never"))
    assert writer.error is None, "nothing is left to be stored"
    disk.is_open = True
    writer.ask(lambda: disk.write("again"))
    assert disk.written == ["now", "again"]


def test_a_change_that_can_never_be_written_holds_up_no_other(writer: Writer, disk: Disk) -> None:
    def gone() -> None:
        raise ConversationNotFound("It is not stored here any more.")

    def broken() -> None:
        raise KeyError("a bug")

    assert writer.put(gone).result(WAIT_S) is False
    assert writer.put(broken).result(WAIT_S) is False
    with pytest.raises(ConversationNotFound):
        writer.ask(gone)
    assert writer.put(lambda: disk.write("on")).result(WAIT_S) is True


def test_what_is_left_at_the_end_is_tried_once_more_and_counted(disk: Disk) -> None:
    lucky, unlucky = Writer(), Writer()
    for made in (lucky, unlucky):
        disk.is_open = False
        made.put(lambda: disk.write("last"))
        disk.wait_for_tries(2)
        disk.is_open = made is lucky
        assert made.close(WAIT_S if made is lucky else 0.0) == (made is unlucky)
    assert disk.written == ["last"]


def test_a_hung_disk_keeps_nobody_waiting(writer: Writer) -> None:
    goes_on = threading.Event()
    stored = writer.put(lambda: goes_on.wait(WAIT_S))
    assert stored.result(WAIT_S) is False
    assert not goes_on.is_set()
    goes_on.set()
    writer.flush(WAIT_S)
