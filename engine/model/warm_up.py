"""Runs the shapes of steps that are likely to come, before they come.

Owns: the list of shapes not seen yet. Does not know: sessions, text. The CPU plugin makes kernels
for each new number of tokens, which costs 10 to 30 ms at its first step (0.4 s at the very first);
done while idle, one shape at a time, it delays nobody. Scratch blocks come from the pool and go
back after each step.
"""

from collections import deque
from collections.abc import Callable, Iterable
from itertools import accumulate

from engine.scheduling import Batch, BlockPool, Sequence

Shape = tuple[int, ...]  # tokens of each sequence


def likely_shapes(max_num_sequences: int, max_message_tokens: int = 96) -> list[Shape]:
    """Shapes in order of use: one stream, a short message, several streams, other messages.

    Those at the end measure what prefill costs, alone and beside answers, hence they come twice, and
    what a few tokens more cost than one.
    """
    first: list[Shape] = [(1,), (32,)]
    streams: list[Shape] = [(1,) * count for count in range(2, max_num_sequences + 1)]
    messages: list[Shape] = [(count,) for count in range(2, max_message_tokens + 1)]
    answers = (1,) * min(4, max_num_sequences)
    measured: list[Shape] = [(256,), answers, (*answers[1:], 64)]
    few: list[Shape] = [(count,) for count in (1, 4, 8, 12, 16) for _ in range(3)]
    return [*dict.fromkeys([*first, *streams, *messages]), *measured, *measured, *few]


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
        shape = self._shapes.popleft()
        needed = [self._pool.blocks_for(count) for count in shape]
        blocks = self._pool.try_allocate(sum(needed))
        if blocks is None:
            return
        ends = list(accumulate(needed))
        tables = [blocks[end - n : end] for n, end in zip(needed, ends, strict=True)]
        try:
            self._run(list(map(_sequence, tables, shape)))
        finally:
            self._pool.release(blocks)

    def _run(self, sequences: list[Sequence]) -> None:
        """One step, with a state for each of them where the model has any; nothing if there are too few."""
        states = self._pool.states
        if states is None:
            self._forward(Batch(sequences, []))
            return
        if len(sequences) > states.num_free:
            return
        for sequence in sequences:
            sequence.states.plan(0, len(sequence.tokens), states)
        try:
            self._forward(Batch(sequences, []))
        finally:
            for sequence in sequences:
                sequence.states.abort(states)


def _sequence(block_table: list[int], num_tokens: int) -> Sequence:
    return Sequence([0] * num_tokens, block_table, num_scheduled_tokens=num_tokens)
