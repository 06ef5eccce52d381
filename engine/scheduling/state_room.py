"""Room for the states that a step writes, where a model has any beside the KV.

Owns: the order in which others give theirs up. Does not know: KV blocks, batches, sessions (it asks `reclaim`
to free states that idle ones hold).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from engine.scheduling.block_pool import BlockPool
from engine.scheduling.sequence import Sequence


@dataclass(frozen=True, slots=True)
class StateRoom:
    """states: None where the model has none; then there is always room.

    reclaim: makes so many states free, as far as idle sessions have them.
    """

    states: BlockPool | None
    reclaim: Callable[[int], object]

    def is_there(self, sequence: Sequence, count: int) -> bool:
        """Whether enough states are free for the next `count` tokens of a sequence."""
        return self.states is None or self._missing(self.states, sequence, count) <= 0

    def make(self, sequence: Sequence, count: int, others: Iterable[Sequence]) -> bool:
        """As `is_there`, with what must go for it: of idle sessions, then the others' ways back, then wishes."""
        if self.states is None or (missing := self._missing(self.states, sequence, count)) <= 0:
            return True
        self.reclaim(missing)
        for other in others:
            if self._missing(self.states, sequence, count) > 0:
                other.states.spare(self.states, 1)
        if self._missing(self.states, sequence, count) <= 0:
            return True
        return self._give_up_wishes(self.states, sequence, count)

    def plan(self, sequence: Sequence, count: int) -> None:
        """Take states for the next `count` tokens of a sequence."""
        if self.states is not None:
            cached = sequence.num_cached_tokens
            sequence.states.plan(cached, cached + count, self.states)

    def commit(self, sequences: Iterable[Sequence]) -> None:
        """The states of a step were written."""
        if self.states is not None:
            for sequence in sequences:
                sequence.states.commit(self.states)

    def _give_up_wishes(self, states: BlockPool, sequence: Sequence, count: int) -> bool:
        """Whether that makes room; they stay for later where it does not."""
        wishes = sequence.states.wishes
        sequence.states.wish()
        if self._missing(states, sequence, count) <= 0:
            return True
        sequence.states.wish(*wishes)
        return False

    def _missing(self, states: BlockPool, sequence: Sequence, count: int) -> int:
        cached = sequence.num_cached_tokens
        return sequence.states.missing(cached, cached + count, states) - states.num_free
