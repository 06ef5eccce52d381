"""The thread that writes snapshots, and what is kept of its work."""

from pathlib import Path

from tests.engine.rig import make_disk


def test_nothing_is_kept_of_what_was_dropped(tmp_path: Path) -> None:
    disk = make_disk(tmp_path)
    for number in range(100):
        disk.drop([f"deleted {number}"])
        disk.flush()
    assert len(disk._writes) <= 1
