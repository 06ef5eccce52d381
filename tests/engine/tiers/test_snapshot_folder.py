"""The folder against a list in use order: what stays, what goes, and that the budget holds."""

import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from engine.tiers import snapshot as snapshots
from engine.tiers.snapshot import Reason, Snapshot, SnapshotRefused
from engine.tiers.snapshot_folder import KEEP_FREE_BYTES, SnapshotFolder
from tests.engine.tiers.test_snapshot import HERE, assert_equal, file_size_limit, make_snapshot

BUDGET = 10_000
KEYS = st.sampled_from(["a", "b", "../c", "雪\0\ud800", ""])
FOREIGN = replace(HERE, model="x" * 64)


def size_of(snapshot: Snapshot) -> int:
    return snapshots.num_bytes(snapshot, HERE)


def refusal(folder: SnapshotFolder, key: str) -> Reason:
    with pytest.raises(SnapshotRefused) as caught:
        folder.get(key, HERE)
    return caught.value.reason


class FolderMachine(RuleBasedStateMachine):
    """The oracle is a dictionary in use order, from which room is made at the front."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.folder = SnapshotFolder(self.root / "kv", BUDGET)
        self.oracle: dict[str, Snapshot] = {}

    def teardown(self) -> None:
        shutil.rmtree(self.root)

    def used(self) -> int:
        return sum(map(size_of, self.oracle.values()))

    @rule(key=KEYS, length=st.integers(0, 8), seed=st.integers(0, 99))
    def put(self, key: str, length: int, seed: int) -> None:
        snapshot = make_snapshot([seed] * length * 32, block_bytes=400, seed=seed)
        if size_of(snapshot) > BUDGET:
            with pytest.raises(SnapshotRefused, match="larger than the disk budget"):
                self.folder.put(key, snapshot, HERE)
            return
        self.folder.put(key, snapshot, HERE)
        if self.used() + size_of(snapshot) > BUDGET:
            self.oracle.pop(key, None)
        while self.used() + size_of(snapshot) > BUDGET:
            del self.oracle[next(iter(self.oracle))]
        self.oracle.pop(key, None)
        self.oracle[key] = snapshot

    @rule(key=KEYS)
    def get(self, key: str) -> None:
        if key not in self.oracle:
            assert refusal(self.folder, key) is Reason.MISSING
            return
        assert_equal(self.folder.get(key, HERE), self.oracle[key])
        self.oracle[key] = self.oracle.pop(key)

    @rule(key=KEYS)
    def drop(self, key: str) -> None:
        self.folder.drop(key)
        self.oracle.pop(key, None)

    @rule(key=KEYS)
    def lose_the_file(self, key: str) -> None:
        if key in self.oracle:
            self.folder.path(key).unlink()
            del self.oracle[key]
            assert refusal(self.folder, key) is Reason.MISSING

    @rule(key=KEYS, position=st.floats(0, 0.999))
    def damage(self, key: str, position: float) -> None:
        if key in self.oracle:
            raw = bytearray(self.folder.path(key).read_bytes())
            raw[int(position * len(raw))] ^= 4
            self.folder.path(key).write_bytes(raw)
            del self.oracle[key]
            assert refusal(self.folder, key) in {Reason.DAMAGED, Reason.TRUNCATED}

    @rule()
    def reopen(self) -> None:
        (self.root / "kv" / f"half{snapshots.PARTIAL_SUFFIX}").write_bytes(b"half")
        self.folder = SnapshotFolder(self.root / "kv", BUDGET)

    @invariant()
    def folder_holds_what_the_oracle_holds(self) -> None:
        assert len(self.folder) == len(self.oracle)
        assert self.folder.used_bytes == self.used() <= BUDGET
        files = {self.folder.path(key): size_of(kept) for key, kept in self.oracle.items()}
        assert {path: path.stat().st_size for path in (self.root / "kv").iterdir()} == files


TestFolder = FolderMachine.TestCase
TestFolder.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_smaller_budget_at_start_evicts_the_oldest(tmp_path: Path) -> None:
    folder = SnapshotFolder(tmp_path, None)
    for key in "abcd":
        folder.put(key, make_snapshot([1]), HERE)
    folder.get("a", HERE)
    each = folder.used_bytes // 4
    folder = SnapshotFolder(tmp_path, each * 2)
    assert refusal(folder, "b") is refusal(folder, "c") is Reason.MISSING
    assert folder.get("a", HERE).tokens == folder.get("d", HERE).tokens == [1]
    assert folder.used_bytes == each * 2


def test_restored_snapshot_outlives_an_older_one(tmp_path: Path) -> None:
    each = size_of(make_snapshot([1]))
    folder = SnapshotFolder(tmp_path, each * 2)
    for key in "ab":
        folder.put(key, make_snapshot([1]), HERE)
    folder.get("a", HERE)
    folder.put("c", make_snapshot([1]), HERE)
    assert refusal(folder, "b") is Reason.MISSING
    assert folder.get("a", HERE).tokens == folder.get("c", HERE).tokens == [1]


def test_files_of_others_are_neither_counted_nor_deleted(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(bytes(BUDGET))
    folder = SnapshotFolder(tmp_path, BUDGET)
    assert folder.used_bytes == 0
    assert (tmp_path / "notes.txt").exists()


def test_foreign_snapshot_is_refused_and_deleted(tmp_path: Path) -> None:
    folder = SnapshotFolder(tmp_path, BUDGET)
    folder.put("a", make_snapshot([1]), FOREIGN)
    assert refusal(folder, "a") is Reason.MODEL
    assert refusal(folder, "a") is Reason.MISSING
    assert folder.used_bytes == 0


def test_full_disk_refuses_and_keeps_what_was_there(tmp_path: Path) -> None:
    folder = SnapshotFolder(tmp_path, None)
    old = make_snapshot([1, 2, 3])
    folder.put("a", old, HERE)
    used = folder.used_bytes
    with file_size_limit(200_000), pytest.raises(SnapshotRefused, match="cannot be written"):
        folder.put("a", make_snapshot(list(range(3200)), block_bytes=4096), HERE)
    assert folder.used_bytes == used
    assert list(tmp_path.iterdir()) == [folder.path("a")]
    assert_equal(folder.get("a", HERE), old)


class SmallDisk:
    """A disk with so much room for snapshots beyond what must stay free, as others take it."""

    def __init__(self, num_bytes: int) -> None:
        self.num_bytes = num_bytes

    def free_bytes(self, folder: Path) -> int:
        used = sum(path.stat().st_size for path in folder.iterdir())
        return KEEP_FREE_BYTES + self.num_bytes - used


def test_the_last_of_the_disk_is_left_to_others(tmp_path: Path) -> None:
    each = size_of(make_snapshot([1]))
    disk = SmallDisk(each * 2)
    folder = SnapshotFolder(tmp_path, None, disk.free_bytes)
    for key in "abc":
        folder.put(key, make_snapshot([1]), HERE)
    assert refusal(folder, "a") is Reason.MISSING
    assert folder.get("b", HERE).tokens == folder.get("c", HERE).tokens == [1]
    disk.num_bytes = each - 1
    with pytest.raises(SnapshotRefused, match="almost full"):
        folder.put("d", make_snapshot([1]), HERE)
    assert folder.used_bytes == 0
    assert list(tmp_path.iterdir()) == []


def test_snapshots_give_way_to_what_finds_no_room(tmp_path: Path) -> None:
    each = size_of(make_snapshot([1]))
    disk = SmallDisk(each * 3)
    folder = SnapshotFolder(tmp_path, None, disk.free_bytes)
    for key in "abc":
        folder.put(key, make_snapshot([1]), HERE)
    disk.num_bytes = each
    assert folder.give_way()
    assert [refusal(folder, key) for key in "ab"] == [Reason.MISSING] * 2
    assert folder.get("c", HERE).tokens == [1]
    assert folder.give_way(), "a quota is not seen: one goes in any case"
    assert not folder.give_way()


def test_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kv").write_bytes(b"")
    with pytest.raises(SnapshotRefused) as caught:
        SnapshotFolder(tmp_path / "kv", None)
    assert caught.value.reason is Reason.UNWRITABLE


def test_read_only_folder_refuses_writes_and_still_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = SnapshotFolder(tmp_path, BUDGET)
    folder.put("a", make_snapshot([1]), HERE)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(30, "Read-only file system")

    # Tests may run as root, whom no permission stops: the system calls are made to fail.
    for call in ("os.unlink", "os.utime", "os.replace", "os.open"):
        monkeypatch.setattr(call, refuse)
    changes: list[Callable[[], None]] = [
        lambda: folder.put("b", make_snapshot([2]), HERE),
        lambda: folder.put("b", make_snapshot([2] * 128, block_bytes=600), HERE),
        lambda: folder.drop("a"),
    ]
    for change in changes:
        with pytest.raises(SnapshotRefused, match="Read-only file system") as caught:
            change()
        assert caught.value.reason is Reason.UNWRITABLE
    assert folder.get("a", HERE).tokens == [1]
    assert refusal(folder, "b") is Reason.MISSING
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == [folder.path("a")]


def test_many_threads_lose_nothing_and_keep_the_budget(tmp_path: Path) -> None:
    size = size_of(make_snapshot([0] * 64))
    folder = SnapshotFolder(tmp_path, size * 5)

    def get_if_there(key: str) -> bool:
        try:
            snapshot = folder.get(key, HERE)
        except SnapshotRefused as refused:
            if refused.reason is Reason.MISSING:
                return False
            raise
        assert snapshot.tokens == [int(key)] * 64
        return True

    def work(worker: int) -> int:
        restored = 0
        for turn in range(30):
            key = str((worker + turn) % 8)
            folder.put(key, make_snapshot([int(key)] * 64), HERE)
            assert folder.used_bytes <= size * 5
            restored += get_if_there(str(turn % 8))
        return restored

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(work, range(4))) > 0
    assert folder.used_bytes == sum(path.stat().st_size for path in tmp_path.iterdir())
    assert folder.used_bytes == size * 5


def test_minor_snapshots_have_half_of_the_budget(tmp_path: Path) -> None:
    each = size_of(make_snapshot([1]))
    folder = SnapshotFolder(tmp_path, each * 4, minor="api:")
    for key in ("a", "api:b", "api:c", "d", "api:e"):
        folder.put(key, make_snapshot([1]), HERE)
    assert folder.used_bytes == each * 4
    assert refusal(folder, "api:b") is Reason.MISSING, "its like makes room for the last"
    again = SnapshotFolder(tmp_path, each * 4, minor="api:")
    again.put("api:f", make_snapshot([1]), HERE)
    assert refusal(again, "api:c") is Reason.MISSING
    for key in ("a", "d", "api:e", "api:f"):
        assert again.get(key, HERE).tokens == [1]
    with pytest.raises(SnapshotRefused):
        again.put("api:g", make_snapshot([*range(99)] * 99), HERE)


def test_a_minor_snapshot_takes_its_own_old_place_before_that_of_others(tmp_path: Path) -> None:
    each = size_of(make_snapshot([1]))
    folder = SnapshotFolder(tmp_path, each * 4, minor="api:")
    for key in ("api:a", "api:b", "api:b"):
        folder.put(key, make_snapshot([1]), HERE)
    assert folder.get("api:a", HERE).tokens == [1]
