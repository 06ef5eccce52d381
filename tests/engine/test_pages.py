"""Memory that goes back to the system."""

import gc
from pathlib import Path

from engine.pages import fresh_bytes


def resident_pages() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1])


def test_memory_is_as_large_as_asked_for_and_zero() -> None:
    assert [fresh_bytes(count).nbytes for count in (0, 1, 5000)] == [0, 1, 5000]
    assert not fresh_bytes(5000).any()


def test_what_nobody_refers_to_is_not_resident() -> None:
    gc.collect()
    before = resident_pages()
    held = [fresh_bytes(1 << 20) for _ in range(64)]
    for one in held:
        one[:] = 1
    most = resident_pages()
    view = held[0][10:20]
    del held, one
    assert most - before > 60 << 8
    assert resident_pages() - before < 4 << 8
    assert view.sum() == 10
