"""Runs the shapes of steps that are likely to come, before they come.

Owns: the list of shapes not seen yet. Does not know: sessions, text. The CPU plugin makes kernels
for each new number of tokens, which costs 10 to 30 ms at its first step (0.4 s at the very first);
done while idle, one shape at a time, it delays nobody. Scratch blocks come from the pool and go
back after each step.
"""

from collections import deque
from collections.abc import Callable, Iterable

from engine.block_pool import BlockPool
from engine.sequence import Batch, Sequence

Shape = tuple[int, int]  # sequences, tokens of each


def likely_shapes(max_num_sequences: int, max_message_tokens: int = 96) -> list[Shape]:
    """Shapes in order of use: one stream, short messages, several streams."""
    first = [(1, 1), (1, 32)]
    messages = [(1, count) for count in range(2, max_message_tokens + 1)]
    streams = [(count, 1) for count in range(2, max_num_sequences + 1)]
    return list(dict.fromkeys([*first, *streams, *messages]))


class WarmUp:
    """One shape for each `step`, until none is left."""

    def __init__(
        self,
        forward: Callable[[Batch], object],
        pool: BlockPool,
        shapes: Iterable[Shape],
    ) -> None:
        self._forward = forward
        self._pool = pool
        self._shapes = deque(shapes)

    @property
    def has_work(self) -> bool:
        """Whether a shape is left."""
        return bool(self._shapes)

    def step(self) -> None:
        """Run the next shape, unless the pool has no room for it now."""
        num_sequences, num_tokens = self._shapes.popleft()
        per_sequence = self._pool.blocks_for(num_tokens)
        blocks = self._pool.try_allocate(num_sequences * per_sequence)
        if blocks is None:
            return
        try:
            self._forward(
                Batch(
                    [_sequence(blocks[i::num_sequences], num_tokens) for i in range(num_sequences)],
                    [],
                )
            )
        finally:
            self._pool.release(blocks)


def _sequence(block_table: list[int], num_tokens: int) -> Sequence:
    return Sequence([0] * num_tokens, block_table, num_scheduled_tokens=num_tokens)
