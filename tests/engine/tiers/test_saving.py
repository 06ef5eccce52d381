"""What is to be kept is on disk soon, whatever else there is to do, and in small slices."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.metrics import KVSource
from engine.tiers.saving import snapshot_key
from tests.engine.fakes import endless
from tests.engine.rig import GREEDY, Rig, make_disk

Rigs = Callable[..., Rig]
TITLES_AND_MORE = {"warm_up_shapes": ((1,), (1, 1))}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.tiers.saving.PATIENCE_S", 0.0)


def is_on_disk(rig: Rig, name: str = "one") -> bool:
    """Once the disk has done what it was told."""
    rig.wait_for_disk()
    session = rig.session(name)
    assert rig.tiers.disk is not None
    path = rig.tiers.disk.folder.path(snapshot_key(session, session.conversation.head))
    return path.is_file()


def test_it_comes_before_any_other_idle_work(rigs: Rigs, tmp_path: Path) -> None:
    rig = rigs(disk=make_disk(tmp_path), num_blocks=256, **TITLES_AND_MORE)
    rig.chat("Hello there")
    idle = rig.core.parts.idle
    while rig.tiers.saving.wait_s() is not None:
        idle.step()
    assert is_on_disk(rig)
    assert not idle.is_warm, "all the rest is left to do"
    rig.rest()
    assert rig.tiers.saving.wait_s() is None, "what was prefilled ahead is not worth another file"


def test_it_waits_a_moment_for_the_next_turn(
    rigs: Rigs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.tiers.saving.PATIENCE_S", 1000.0)
    rig = rigs(disk=make_disk(tmp_path), num_blocks=256)
    rig.chat("Hello there")
    rig.rest()
    wait_s = rig.core.parts.idle.wait_s()
    assert wait_s is not None
    assert 0 < wait_s <= 1000
    assert not is_on_disk(rig)


def test_under_steady_load_it_is_written_between_the_steps_of_others(
    rigs: Rigs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = rigs(disk=make_disk(tmp_path), num_blocks=256, choose=endless)
    rig.chat("Hello there")
    other = rig.begin("Talk", "two", GREEDY)
    for _ in range(5):
        rig.step()
    assert not is_on_disk(rig), "it is not overdue yet"
    monkeypatch.setattr("engine.tiers.saving.OVERDUE_S", -1.0)
    for _ in range(5):
        rig.step()
    assert is_on_disk(rig)
    assert not other.over


def test_one_that_is_always_being_answered_is_written_when_an_answer_ends(
    rigs: Rigs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.tiers.saving.OVERDUE_S", -1.0)
    rig = rigs(disk=make_disk(tmp_path), num_blocks=256, choose=endless)
    asked, other = rig.begin("Hello", "one", GREEDY), rig.begin("Talk", "two", GREEDY)
    for _ in range(5):
        rig.step()
    assert not is_on_disk(rig), "it has an answer under way"
    asked.request.cancelled = True
    for _ in range(3):
        rig.step()
    assert is_on_disk(rig)
    assert not other.over


def copying(rigs: Rigs, folder: Path, steps: int = 3) -> Rig:
    """A rig that has copied a part of a conversation."""
    rig = rigs(disk=make_disk(folder), num_blocks=256)
    rig.tiers.saving._slice_blocks = 1
    rig.chat("Hello there")
    for _ in range(steps):
        rig.tiers.saving.step()
    assert rig.tiers.saving.own_tables
    return rig


def test_a_slice_is_small_and_others_act_in_between(rigs: Rigs, tmp_path: Path) -> None:
    rig = copying(rigs, tmp_path)
    said = rig.chat("And then?").text  # its blocks are written to meanwhile: to copies of them
    rig.save()
    alone = rigs(num_blocks=256)
    alone.chat("Hello there")
    assert said == alone.chat("And then?").text
    rig.spill()
    assert rig.chat("More?").figures.source is KVSource.DISK


def test_what_was_copied_is_what_was_said_when_it_began(rigs: Rigs, tmp_path: Path) -> None:
    rig = copying(rigs, tmp_path)
    key = snapshot_key(rig.session(), rig.session().conversation.head)
    tokens = rig.tokens()
    rig.chat("Something else", keep=0)
    rig.save()
    assert rig.tiers.disk is not None
    snapshot = rig.tiers.disk.get(key)
    assert snapshot.tokens[: len(tokens)] == tokens


def test_whoever_needs_room_gets_the_blocks_that_are_held(rigs: Rigs, tmp_path: Path) -> None:
    rig = copying(rigs, tmp_path)
    rig.tiers.reclaim(rig.pool.num_blocks)
    assert rig.pool.num_used == 1, "nothing but the block for verifying"
    assert is_on_disk(rig)


def test_one_whose_blocks_were_taken_is_still_the_next(rigs: Rigs, tmp_path: Path) -> None:
    rig = copying(rigs, tmp_path)
    since = rig.tiers.saving._copying.since  # type: ignore[union-attr]
    rig.tiers.saving.changed(rig.session("two"))
    rig.tiers.saving.interrupt()
    assert next(iter(rig.tiers.saving._since.items())) == (rig.session(), since)


def test_of_a_conversation_deleted_meanwhile_nothing_is_written(rigs: Rigs, tmp_path: Path) -> None:
    rig = copying(rigs, tmp_path)
    rig.core.forget(rig.session())
    rig.save()
    assert not list(tmp_path.glob("*.kv"))
    assert not list(tmp_path.iterdir())


def test_one_that_leaves_memory_meanwhile_is_written_all_the_same(
    rigs: Rigs, tmp_path: Path
) -> None:
    rig = copying(rigs, tmp_path)
    rig.core.evict(rig.session())
    rig.save()
    assert is_on_disk(rig)
    assert rig.chat("And?").figures.source is KVSource.DISK


def test_the_end_in_mid_copy_writes_all(rigs: Rigs, tmp_path: Path) -> None:
    rig = copying(rigs, tmp_path)
    rig.tiers.saving.save_all(time.monotonic() + 10)
    assert not rig.tiers.saving.own_tables
    assert rig.tiers.disk is not None
    rig.tiers.disk._writer.shutdown()
    assert len(list(tmp_path.iterdir())) == 1


def test_a_disk_budget_smaller_than_what_is_in_memory_does_not_write_for_ever(
    rigs: Rigs, tmp_path: Path
) -> None:
    rig = copying(rigs, tmp_path / "one")
    rig.save()
    size = sum(path.stat().st_size for path in (tmp_path / "one").iterdir())
    rig = rigs(disk=make_disk(tmp_path / "two", int(size * 1.5)), num_blocks=256)
    for name in "abc":
        rig.chat("Hello there", name)
    rig.save()
    assert [is_on_disk(rig, name) for name in "abc"] == [False, False, True]
    assert rig.core.parts.idle.wait_s() in (None, 0.0)
    rig.rest()
    assert rig.core.parts.idle.wait_s() is None


def test_while_the_disk_is_behind_it_is_asked_again_soon(rigs: Rigs, tmp_path: Path) -> None:
    disk = make_disk(tmp_path)
    disk._max_unwritten_bytes = 0
    rig = rigs(disk=disk, num_blocks=256)
    rig.chat("Hello there")
    rig.rest()
    wait_s = rig.core.parts.idle.wait_s()
    assert wait_s is not None
    assert wait_s > 0
    assert not is_on_disk(rig)
    disk._max_unwritten_bytes = 1 << 20
    rig.save()
    assert is_on_disk(rig)


def test_the_branch_that_is_shown_is_the_one_that_is_kept(rigs: Rigs, tmp_path: Path) -> None:
    rig = rigs(disk=make_disk(tmp_path), num_blocks=256)
    rig.chat("One")
    rig.chat("Two", keep=0)
    rig.save()
    rig.show(rig.versions(0)[0])
    rig.save()
    assert is_on_disk(rig)


def test_an_imported_conversation_is_kept(rigs: Rigs, tmp_path: Path) -> None:
    rig = rigs(disk=make_disk(tmp_path), num_blocks=256)
    rig.chat("Hello there")
    raw = rig.core.export(rig.session())
    assert raw.startswith(b"PK")
    rig.core.parts.sharing.read(rig.session("two"), raw)
    rig.save()
    assert is_on_disk(rig, "two")
