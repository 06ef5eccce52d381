"""Memory for large things that live shortly.

The C library keeps what was freed for later, in pieces that fit less and less: after some hundred
snapshots of several megabytes each, tens of megabytes were resident and unused. What comes from
here goes back to the system as soon as nobody refers to it.
"""

import mmap

import numpy as np
import numpy.typing as npt


def fresh_bytes(count: int) -> npt.NDArray[np.uint8]:
    """[count] zeros in pages of their own. Raises MemoryError."""
    try:
        pages = _private(max(count, 1))
    except OSError as error:
        raise MemoryError(f"There is no memory for {count:,} bytes.") from error
    return np.frombuffer(pages, np.uint8, count)


def _private(count: int) -> mmap.mmap:
    """Pages of nobody else; shared ones, Python's default, take half as long again to be had."""
    if not hasattr(mmap, "MAP_PRIVATE"):  # Windows
        return mmap.mmap(-1, count)
    return mmap.mmap(-1, count, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
