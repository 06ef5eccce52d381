"""KV that leaves the pool and comes back: what is written, what is believed, what goes wrong."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.conversations.session import Session
from engine.conversations.store import Store
from engine.events import FinishReason
from engine.metrics import KVSource
from engine.model.batch import Inputs
from engine.scheduling.sampling import SamplingParams
from engine.text.rendering import Setting
from engine.tiers import snapshot as snapshots
from engine.tiers.disk import Disk
from engine.tiers.saving import snapshot_key
from engine.tiers.snapshot import Fingerprint, Reason, Snapshot, SnapshotRefused
from engine.tiers.snapshot_folder import SnapshotFolder
from tests.engine.fakes import endless
from tests.engine.rig import (
    FINGERPRINT,
    GREEDY,
    Asked,
    Rig,
    assistant,
    make_disk,
    make_home,
    make_rig,
    session_id,
    user,
)

Rigs = Callable[..., Rig]
SHORT = SamplingParams(temperature=0, max_tokens=12)


class Folder(SnapshotFolder):
    """A real folder whose disk can be made slow or broken."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, None)
        self.failure: Exception | None = None
        self.may_write = threading.Event()
        self.may_read = threading.Event()
        self.may_write.set()
        self.may_read.set()
        self.writes = 0

    def put(self, key: str, snapshot: Snapshot, fingerprint: Fingerprint) -> None:
        self.writes += 1
        self.may_write.wait(10)
        if self.failure:
            raise self.failure
        super().put(key, snapshot, fingerprint)

    def get(self, key: str, fingerprint: Fingerprint) -> Snapshot:
        self.may_read.wait(10)
        return super().get(key, fingerprint)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "kv")


def disk(folder: SnapshotFolder) -> Disk:
    return Disk(folder, FINGERPRINT)


def path_of(rig: Rig, name: str = "one") -> Path:
    assert rig.tiers.disk is not None
    session = rig.session(name)
    return rig.tiers.disk.folder.path(snapshot_key(session, session.conversation.head))


def never_spilled(*messages: str, **options: Any) -> list[str]:
    rig = make_rig(num_blocks=256, **options)
    return [rig.chat(message).text for message in messages]


def spilled(rigs: Rigs, folder: SnapshotFolder, **options: Any) -> Rig:
    """A rig with one conversation that is on disk only."""
    rig = rigs(disk=disk(folder), **options)
    rig.chat("Hello there")
    rig.spill()
    assert rig.pool.num_used == 1, "nothing but the block for verifying"
    assert path_of(rig).is_file()
    return rig


def test_a_spilled_conversation_goes_on_as_if_it_had_never_left(rigs: Rigs, folder: Folder) -> None:
    rig = spilled(rigs, folder)
    before = len(rig.tokens())
    asked = rig.chat("And then?")
    assert asked.text == never_spilled("Hello there", "And then?")[1]
    assert asked.figures.source is KVSource.DISK
    assert asked.figures.reused_tokens == before
    assert asked.figures.note is None
    delta = "<|im_end|>\n<|im_start|>user\nAnd then?<|im_end|>\n<|im_start|>assistant\n"
    assert asked.figures.prefilled_tokens == len(rig.tokenizer.encode(delta))
    assert (rig.tiers.saving.num_saved, rig.tiers.counts.restored) == (1, 1)


def test_many_spills_and_restores_in_turn_lose_nothing(rigs: Rigs, folder: Folder) -> None:
    rig = rigs(disk=disk(folder), num_blocks=256)
    messages = [f"message {number}" for number in range(6)]
    texts = []
    for number, message in enumerate(messages):
        asked = rig.chat(message)
        assert asked.figures.source is (KVSource.DISK if number else KVSource.MEMORY)
        texts.append(asked.text)
        rig.spill()
    assert texts == never_spilled(*messages)
    assert len(folder) == 1, "the snapshots of earlier turns are gone"


def test_pressure_spills_the_least_recently_used_first(rigs: Rigs, folder: Folder) -> None:
    rig = rigs(disk=disk(folder), num_blocks=100, choose=endless)
    for name in "abc":
        rig.chat("Hello there", name, SHORT)
    rig.chat("Hello again", "a", SHORT)
    rig.tiers.reclaim(rig.pool.num_free // 100 + 1)
    resident = {name for name in "abc" if rig.sequence(name).block_table}
    assert resident == {"a", "c"}
    rig.wait_for_disk()
    assert path_of(rig, "b").is_file()
    assert not path_of(rig, "a").is_file()


def test_a_crowd_larger_than_the_pool_re_encodes_nothing(rigs: Rigs, folder: Folder) -> None:
    rig = rigs(disk=disk(folder), num_blocks=70, choose=endless)
    alone = {n: make_rig(num_blocks=256, choose=endless) for n in range(6)}
    for turn in range(3):
        for number, other in alone.items():
            asked = rig.chat(f"{number}: turn {turn}", f"{number}", SHORT)
            assert asked.text == other.chat(f"{number}: turn {turn}", params=SHORT).text
            assert asked.figures.source is not KVSource.RECOMPUTED
            assert rig.pool.num_used <= 70
            rig.check()
    assert rig.tiers.saving.num_saved > 6


def test_only_the_branch_that_is_shown_is_written(rigs: Rigs, folder: Folder) -> None:
    rig = rigs(disk=disk(folder), num_blocks=256)
    rig.chat("One")
    rig.chat("Two, or so", keep=0)
    rig.spill()
    assert len(folder) == 1
    assert path_of(rig).is_file()
    rig.show(rig.versions(0)[0])
    asked = rig.chat("And?")
    assert asked.figures.source is KVSource.RECOMPUTED
    assert asked.text == never_spilled("One", "And?")[1]


def test_a_branch_gone_back_to_is_written_anew(rigs: Rigs, folder: Folder) -> None:
    rig = rigs(disk=disk(folder), num_blocks=256)
    rig.chat("One")
    first = rig.session().conversation.head
    rig.spill()
    rig.chat("Two")
    rig.save()  # the first snapshot is dropped, since this one holds more
    rig.core.show(rig.session(), first)
    rig.spill()
    asked = rig.chat("And?")
    assert asked.figures.source is KVSource.DISK
    assert asked.text == never_spilled("One", "And?")[1]


def test_idle_time_writes_each_conversation_once(
    rigs: Rigs, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.tiers.saving.PATIENCE_S", 0.0)
    rig = rigs(disk=disk(folder), num_blocks=256)
    for name in "ab":
        rig.chat("Hello", name)
    idle(rig)
    assert folder.writes == 2
    rig.tiers.reclaim(rig.pool.num_blocks)
    rig.wait_for_disk()
    assert folder.writes == 2, "what was written before is not written again"
    assert rig.chat("And?", "a").figures.source is KVSource.DISK


def idle(rig: Rig, max_steps: int = 200) -> None:
    for _ in range(max_steps):
        if rig.core.parts.idle.wait_s() is None:
            return
        rig.core.parts.idle.step()
        rig.wait_for_disk()
    raise AssertionError("idle work does not end")


@pytest.mark.parametrize(
    "failure", [SnapshotRefused(Reason.UNWRITABLE, "No space left on device"), OSError("odd")]
)
def test_a_full_disk_stops_neither_the_chat_nor_makes_idle_time_busy(
    rigs: Rigs,
    folder: Folder,
    failure: Exception,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("engine.tiers.saving.PATIENCE_S", 0.0)
    folder.failure = failure
    rig = rigs(disk=disk(folder), num_blocks=256)
    rig.chat("Hello there")
    idle(rig)
    assert folder.writes == 1
    rig.spill()
    asked = rig.chat("And then?")
    assert asked.text == never_spilled("Hello there", "And then?")[1]
    assert asked.figures.source is KVSource.RECOMPUTED
    assert caplog.records
    assert rig.tiers.disk is not None
    assert not rig.tiers.disk._unwritten


def test_once_there_is_room_again_kv_is_written_again(rigs: Rigs, folder: Folder) -> None:
    rig = rigs(disk=disk(folder), num_blocks=256)
    folder.failure = SnapshotRefused(Reason.UNWRITABLE)
    rig.chat("Hello there")
    rig.save()
    folder.failure = None
    rig.spill()
    assert rig.chat("And then?").figures.source is KVSource.DISK


def test_a_snapshot_too_large_for_the_budget_is_prefilled_again(rigs: Rigs, tmp_path: Path) -> None:
    rig = rigs(disk=make_disk(tmp_path, 100))
    rig.chat("Hello there")
    rig.spill()
    assert list(tmp_path.iterdir()) == []
    assert rig.chat("And then?").text == never_spilled("Hello there", "And then?")[1]


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def flipped(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def of_another(**changed: str) -> Callable[[Path], None]:
    def rewrite(path: Path) -> None:
        snapshot = snapshots.read(path, FINGERPRINT)
        snapshots.write(path, snapshot, replace(FINGERPRINT, **changed))

    return rewrite


def of_another_version(path: Path) -> None:
    snapshot = snapshots.read(path, FINGERPRINT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshots, "VERSION", "0")
        snapshots.write(path, snapshot, FINGERPRINT)


def changed_kv(path: Path) -> None:
    """Another byte in the KV, under a checksum that is right."""
    snapshot = snapshots.read(path, FINGERPRINT)
    positions = snapshot.blocks[1].copy()
    positions[1, 8] ^= 1
    blocks = [snapshot.blocks[0], positions]
    snapshots.write(path, replace(snapshot, blocks=blocks), FINGERPRINT)


def without_probe(path: Path) -> None:
    """Nothing to verify it by, and wrong KV."""
    changed_kv(path)
    snapshot = snapshots.read(path, FINGERPRINT)
    bare = replace(
        snapshot, probe_ids=snapshot.probe_ids[:0], probe_logits=snapshot.probe_logits[:0]
    )
    snapshots.write(path, bare, FINGERPRINT)


def too_few_blocks(path: Path) -> None:
    snapshot = snapshots.read(path, FINGERPRINT)
    blocks = [raw[:-1] for raw in snapshot.blocks]
    snapshots.write(path, replace(snapshot, blocks=blocks), FINGERPRINT)


def too_few_tensors(path: Path) -> None:
    snapshot = snapshots.read(path, FINGERPRINT)
    snapshots.write(path, replace(snapshot, blocks=snapshot.blocks[:1]), FINGERPRINT)


def blocks_of_another_size(path: Path) -> None:
    snapshot = snapshots.read(path, FINGERPRINT)
    blocks = [np.tile(raw, (1, 2)) for raw in snapshot.blocks]
    snapshots.write(path, replace(snapshot, blocks=blocks), FINGERPRINT)


def probe_outside_the_vocabulary(path: Path) -> None:
    snapshot = snapshots.read(path, FINGERPRINT)
    ids = snapshot.probe_ids + np.int32(1 << 20)
    snapshots.write(path, replace(snapshot, probe_ids=ids), FINGERPRINT)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (truncated, Reason.TRUNCATED),
        (emptied, Reason.TRUNCATED),
        (flipped, Reason.DAMAGED),
        (of_another_version, Reason.VERSION),
        (of_another(model="other"), Reason.MODEL),
        (of_another(tokenizer="other"), Reason.TOKENIZER),
        (of_another(kv_precision="f32"), Reason.KV_PRECISION),
        (of_another(openvino="2020"), Reason.OPENVINO),
        (changed_kv, Reason.UNFAITHFUL),
        (without_probe, Reason.UNFAITHFUL),
        (too_few_blocks, Reason.DAMAGED),
        (too_few_tensors, Reason.DAMAGED),
        (blocks_of_another_size, Reason.DAMAGED),
        (probe_outside_the_vocabulary, Reason.DAMAGED),
    ],
)
def test_a_snapshot_that_is_not_right_is_never_trusted(
    rigs: Rigs,
    folder: Folder,
    spoil: Callable[[Path], None],
    said: Reason,
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = spilled(rigs, folder)
    spoil(path_of(rig))
    asked = rig.chat("And then?")
    assert asked.text == never_spilled("Hello there", "And then?")[1]
    assert asked.figures.source is KVSource.RECOMPUTED
    assert asked.figures.note is not None
    assert said.value in asked.figures.note
    assert said.value in caplog.text
    assert rig.tiers.counts.refused == 1
    rig.check()
    rig.spill()
    assert rig.chat("Once more").figures.source is KVSource.DISK, "and it is written anew"


def test_a_snapshot_that_is_gone_is_prefilled_again(rigs: Rigs, folder: Folder) -> None:
    rig = spilled(rigs, folder)
    path_of(rig).unlink()
    asked = rig.chat("And then?")
    assert asked.text == never_spilled("Hello there", "And then?")[1]
    assert asked.figures.source is KVSource.RECOMPUTED


def test_a_model_that_fails_while_spilling_loses_only_the_kv(rigs: Rigs, folder: Folder) -> None:
    rig = rigs(disk=disk(folder), num_blocks=28, choose=endless)
    rig.chat("Hello there", "a", SHORT)

    def broken(inputs: Inputs) -> None:
        if len(inputs["input_ids"]) == 1 and inputs["input_ids"][0] == last:
            raise RuntimeError("out of luck")

    last = rig.sequence("a").tokens[rig.sequence("a").num_cached_tokens - 1]
    rig.model.before = broken
    asked = rig.begin("Z" * 62, "b", SamplingParams(temperature=0, max_tokens=1))
    rig.run()
    rig.model.before = None
    assert asked.reason is FinishReason.LENGTH
    assert rig.chat("More", "a", SHORT).figures.source is KVSource.RECOMPUTED


def test_a_slow_disk_does_not_grow_memory(rigs: Rigs, folder: Folder) -> None:
    slow = Disk(folder, FINGERPRINT, max_unwritten_bytes=1500)
    rig = rigs(disk=slow, num_blocks=512)
    for number in range(12):
        rig.chat("Hello", f"{number}")
    folder.may_write.clear()
    most = 0

    def watch() -> None:
        nonlocal most
        for _ in range(40):
            most = max(most, len(slow._unwritten))
            time.sleep(0.005)
        folder.may_write.set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    rig.tiers.reclaim(rig.pool.num_blocks)
    watcher.join()
    rig.wait_for_disk()
    assert 0 < most <= 5
    assert rig.chat("More", "0").figures.reused_tokens > 0


def test_kv_that_is_still_being_written_is_used_from_memory(rigs: Rigs, folder: Folder) -> None:
    rig = rigs(disk=disk(folder))
    rig.chat("Hello there")
    folder.may_write.clear()
    rig.tiers.reclaim(rig.pool.num_blocks)
    asked = rig.chat("And then?")
    folder.may_write.set()
    assert asked.text == never_spilled("Hello there", "And then?")[1]
    assert asked.figures.source is KVSource.DISK


def test_what_is_resident_is_not_read_from_disk(rigs: Rigs, folder: Folder) -> None:
    rig = rigs(disk=disk(folder))
    rig.chat("Hello there")
    rig.save()
    folder.may_read.clear()
    asked = rig.begin("And then?")  # before the scaffolding was prefilled ahead
    assert rig.core.has_work
    folder.may_read.set()
    rig.run()
    assert asked.figures.source is KVSource.MEMORY


def parked(rigs: Rigs, folder: Folder) -> tuple[Rig, Asked]:
    rig = spilled(rigs, folder)
    folder.may_read.clear()
    asked = rig.begin("And then?")
    assert not rig.core.has_work
    return rig, asked


def test_others_go_on_while_kv_is_read(rigs: Rigs, folder: Folder) -> None:
    rig, asked = parked(rigs, folder)
    assert rig.chat("Hello there", "two").text == never_spilled("Hello there")[0]
    assert not asked.events
    folder.may_read.set()
    rig.run()
    assert asked.text == never_spilled("Hello there", "And then?")[1]


def test_a_turn_cancelled_while_its_kv_is_read_ends_at_once(rigs: Rigs, folder: Folder) -> None:
    rig, asked = parked(rigs, folder)
    asked.request.cancelled = True
    assert rig.core.has_work
    rig.core.step()
    assert asked.reason is FinishReason.CANCELLED
    folder.may_read.set()
    rig.wait_for_disk()
    assert rig.session().messages[2:] == (user("And then?"), assistant(""))
    again = rig.chat("And then?", keep=2)
    assert again.text == never_spilled("Hello there", "And then?")[1]


def test_a_message_is_stored_before_its_kv_is_read(rigs: Rigs, folder: Folder) -> None:
    home = make_home(Store(folder.path("").parent / "conversations.db"))
    rig = spilled(rigs, folder, home=home)
    folder.may_read.clear()
    rig.begin("And then?")
    again = make_home(Store(folder.path("").parent / "conversations.db"))
    entries = again.sessions.open(session_id()).transcript
    assert [e.node.content for e in entries[2:]] == ["And then?", ""]
    assert entries[-1].node.status == "interrupted"
    folder.may_read.set()
    rig.run()


def test_a_session_released_while_its_kv_is_read_ends_its_turn(rigs: Rigs, folder: Folder) -> None:
    rig, asked = parked(rigs, folder)
    session = rig.home.sessions.remove(session_id())
    assert session is not None
    rig.core.release(session)
    assert asked.reason is FinishReason.CANCELLED
    folder.may_read.set()
    rig.run()
    assert rig.pool.num_used == 1


def test_a_busy_session_is_busy_while_its_kv_is_read(rigs: Rigs, folder: Folder) -> None:
    rig, asked = parked(rigs, folder)
    with pytest.raises(Exception, match="still being written"):
        rig.begin("Me too")
    rig.core.cancel_all()
    assert asked.reason is FinishReason.CANCELLED
    folder.may_read.set()


def test_a_read_that_fails_in_an_unforeseen_way_is_prefilled(
    rigs: Rigs, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = spilled(rigs, folder)

    def broken(*_arguments: object) -> Snapshot:
        raise MemoryError

    monkeypatch.setattr(folder, "get", broken)
    asked = rig.chat("And then?")
    assert asked.text == never_spilled("Hello there", "And then?")[1]
    assert asked.figures.note


def test_a_pool_without_room_for_the_snapshot_prefills(rigs: Rigs, folder: Folder) -> None:
    rig = spilled(rigs, folder, num_blocks=40, choose=endless)
    other = rig.begin("a long message to hold most of the pool", "b", GREEDY)
    for _ in range(30):
        rig.step()
    asked = rig.begin("And then?", params=SHORT)
    rig.run()
    assert other.finished
    fresh = make_rig(num_blocks=256, choose=endless)
    fresh.chat("Hello there")
    assert asked.text == fresh.chat("And then?", params=SHORT).text


def test_a_deleted_conversation_leaves_no_file(rigs: Rigs, folder: Folder) -> None:
    rig = spilled(rigs, folder)
    rig.tiers.forget(rig.session())
    rig.wait_for_disk()
    assert len(folder) == 0


def test_the_end_of_the_program_waits_for_a_slow_disk_no_longer_than_it_may(
    rigs: Rigs, folder: Folder
) -> None:
    rig = rigs(disk=disk(folder), num_blocks=256)
    rig.chat("Hello there")
    folder.may_write.clear()
    begin = time.monotonic()
    rig.tiers.saving.save_all(begin + 0.2)
    assert time.monotonic() - begin < 2
    folder.may_write.set()


def test_without_a_disk_evicted_kv_is_computed_again(rigs: Rigs) -> None:
    rig = rigs()
    rig.chat("Hello there")
    rig.tiers.reclaim(rig.pool.num_blocks)
    assert rig.pool.num_used == 0
    asked = rig.chat("And then?")
    assert asked.figures.source is KVSource.RECOMPUTED
    assert asked.text == never_spilled("Hello there", "And then?")[1]


def test_the_owner_is_part_of_a_snapshots_name(rigs: Rigs, folder: Folder) -> None:
    sessions = [Session(session_id(f"{owner}/one")) for owner in "ab"]
    keys = [snapshot_key(session, 1) for session in sessions]
    assert folder.path(keys[0]) != folder.path(keys[1])


def test_the_end_of_the_program_keeps_the_most_recent_where_not_all_fit(
    rigs: Rigs, tmp_path: Path
) -> None:
    size = snapshot_bytes(tmp_path / "measured")
    rig = rigs(disk=make_disk(tmp_path / "kv", int(size * 2.5)), num_blocks=256)
    for name in "abc":
        rig.chat("Hello there", name)
    rig.tiers.saving.save_all(time.monotonic() + 5)
    assert rig.tiers.disk is not None
    rig.tiers.disk._writer.shutdown()
    assert [path_of(rig, name).is_file() for name in "abc"] == [False, True, True]


def snapshot_bytes(folder: Path) -> int:
    rig = make_rig(disk=make_disk(folder))
    rig.chat("Hello there")
    rig.spill()
    return path_of(rig).stat().st_size


def test_a_draft_in_a_spilled_conversation_restores_it_first(rigs: Rigs, folder: Folder) -> None:
    rig = rigs(disk=disk(folder), num_blocks=256)
    rig.chat("A first message that is rather long")
    rig.spill()
    rig.wait_for_disk()
    steps_before = len(rig.model.steps)
    rig.core.draft(rig.session(), "What is typed now", Setting())
    for _ in range(100):
        rig.core.parts.idle.step()
        time.sleep(0.001)
    prefilled = [sum(step.counts) for step in rig.model.steps[steps_before:]]
    asked = rig.chat("What is typed now")
    assert asked.figures.source is KVSource.MEMORY
    assert asked.figures.prefilled_tokens < 40
    assert sum(prefilled) < 60, "the history was read, not computed again"
    rig.check()
