"""Memory that goes back to the system."""

import gc
from pathlib import Path

import pytest

from engine.model.pages import fresh_bytes


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


def flags_of(address: int) -> set[str]:
    """The kernel's flags of the mapping that an address is in."""
    is_there = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        words = line.split()
        if "-" in words[0] and not words[0].endswith(":"):
            begin, end = (int(part, 16) for part in words[0].split("-"))
            is_there = begin <= address < end
        elif is_there and words[0] == "VmFlags:":
            return set(words[1:])
    return set()


def test_pages_are_private() -> None:
    memory = fresh_bytes(8 << 20)
    flags = flags_of(memory.ctypes.data + (4 << 20))
    if not flags:
        pytest.skip("this kernel does not tell the flags of a mapping")
    assert "sh" not in flags
