"""The ids of the KV cache's blocks: which are free, and how many tables hold each of the others.

Owns: the free list and the reference counts. Does not know: tensors, tokens, sessions.
Invariants: free + used = total; a block is free exactly when nobody references it; a block that
more than one table references is never written to (the scheduler copies it first).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np


class BlockPool:
    """Allocates block ids from a fixed number of blocks of `block_size` tokens.

    `on_discard` is called with each block whose content is about to go: freed, or written to again.
    states: the pool of the states of models that have one beside the KV; None: they have none.
    """

    def __init__(self, num_blocks: int, block_size: int, states: "BlockPool | None" = None) -> None:
        self.num_blocks = num_blocks
        self.block_size = block_size
        self.states = states
        self.on_discard: Callable[[int], object] = _ignore
        # A stack: the block freed last is used first, so that memory never touched stays so.
        self._free = list(range(num_blocks - 1, -1, -1))
        self._references = np.zeros(num_blocks, np.int32)

    @property
    def num_free(self) -> int:
        """Blocks that nobody references."""
        return len(self._free)

    @property
    def num_used(self) -> int:
        """Blocks that at least one table references."""
        return self.num_blocks - len(self._free)

    @property
    def num_shared(self) -> int:
        """Blocks that more than one table references."""
        return int(np.count_nonzero(self._references > 1))

    def blocks_for(self, num_tokens: int) -> int:
        """How many blocks `num_tokens` tokens fill."""
        return -(-num_tokens // self.block_size)

    def try_allocate(self, count: int) -> list[int] | None:
        """Take `count` blocks, each with one reference; None (and nothing taken) if too few are free."""
        if count > len(self._free):
            return None
        if count == 0:
            return []
        blocks = self._free[: -count - 1 : -1]
        del self._free[-count:]
        self._references[blocks] = 1
        return blocks

    def share(self, blocks: Sequence[int]) -> None:
        """Add a reference to each of `blocks`, which must be in use."""
        for block in blocks:
            assert self._references[block] > 0, f"block {block} is free and cannot be shared"
            self._references[block] += 1

    def release(self, blocks: Sequence[int]) -> None:
        """Drop a reference to each of `blocks`; those without any left become free."""
        for block in reversed(blocks):
            assert self._references[block] > 0, f"block {block} was released twice"
            self._references[block] -= 1
            if self._references[block] == 0:
                self._free.append(block)
                self.on_discard(block)

    def overwrite(self, block: int) -> None:
        """Slots of `block` that held something are about to be written to; it must not be shared."""
        assert not self.is_shared(block)
        self.on_discard(block)

    def is_shared(self, block: int) -> bool:
        """Whether more than one table references `block`."""
        return bool(self._references[block] > 1)

    def check_integrity(self, tables: Iterable[Sequence[int]]) -> None:
        """Assert that the reference counts are exactly those of `tables`, and the rest is free."""
        expected = Counter(block for table in tables for block in table)
        counted = {int(b): int(self._references[b]) for b in np.flatnonzero(self._references)}
        assert counted == dict(expected), f"reference counts {counted}, tables say {dict(expected)}"
        free = set(self._free)
        assert len(free) == len(self._free), "a block is in the free list twice"
        assert free == set(range(self.num_blocks)) - set(counted), "free and used do not add up"


def _ignore(_block: int) -> None:
    """Until somebody wants to know."""
