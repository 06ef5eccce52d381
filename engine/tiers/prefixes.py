"""Beginnings that are computed once and shared: the operator's prompt by all, the rest by owner.

Owns: the operator's sequence (the rendered system prompt up to where the first user message begins),
whose blocks are never evicted, and the index of everybody's full blocks, salted by owner. Does not
know: how a prompt is made. Sharing is by reference; who writes into a shared block copies it first. Where there
are states beside the KV, a beginning ends where one was kept, so each owner's last talks are compared instead.
"""

from engine.model import Runner
from engine.scheduling import Batch, BlockPool, PrefixIndex, Sequence, common_length
from engine.tiers.tiers import Tiers

MOST_TALKS = 64  # of one owner, that are compared


class Prefixes:
    """KV that a sequence can start from."""

    def __init__(self, pool: BlockPool) -> None:
        self.operator = Sequence()
        self._pool = pool
        self._index = PrefixIndex(pool.block_size)
        self._talks: dict[str, dict[Sequence, None]] = {}  # by owner, the last one last
        pool.on_discard = self._index.forget

    def prepare_operator(self, tokens: list[int], runner: Runner, tiers: Tiers) -> None:
        """Get the KV of the beginning that everybody has: from disk, else by prefilling it.

        Where the pool is too small for it, nothing is shared.
        """
        sequence = Sequence(list(tokens))
        if not tiers.restore_operator(sequence):
            sequence.truncate_kv(0, self._pool)
            blocks = self._pool.try_allocate(self._pool.blocks_for(len(tokens)))
            if not blocks:
                return
            sequence.block_table = blocks
            sequence.num_scheduled_tokens = len(tokens)
            self._compute(sequence, runner)
            tiers.store_operator(sequence)
        self.operator = sequence

    def _compute(self, sequence: Sequence, runner: Runner) -> None:
        states, count = self._pool.states, sequence.num_scheduled_tokens
        if states is not None:
            sequence.states.plan(0, count, states)
        runner.run(Batch([sequence], []))
        if states is not None:
            sequence.states.commit(states)
            sequence.states.keep(states)
        sequence.num_scheduled_tokens = 0
        sequence.num_cached_tokens = count

    def renew_operator(self, sequence: Sequence) -> None:
        """Everybody begins otherwise from now on; what began so far keeps the blocks that it shares."""
        self.operator.truncate_kv(0, self._pool)
        self.operator = sequence

    def share(self, owner: str, sequence: Sequence) -> None:
        """Give `sequence` the longest known beginning of its tokens, if it has less of its own."""
        if self._pool.states is not None:
            for other in (*reversed(self._talks.get(owner, {})), self.operator):
                self._lend(other, sequence, self._pool.states)
            return
        blocks = self._index.longest(owner, sequence.tokens)
        num_tokens = len(blocks) * self._pool.block_size
        common = self._common_with_operator(sequence)
        if common > num_tokens:
            num_tokens = common
            blocks = self.operator.block_table[: self._pool.blocks_for(common)]
        if num_tokens > sequence.num_cached_tokens:
            self._pool.share(blocks)
            sequence.truncate_kv(0, self._pool)
            sequence.block_table = list(blocks)
            sequence.num_cached_tokens = num_tokens

    def remember(self, owner: str, sequence: Sequence) -> None:
        """The sequence's full blocks, or its states, may serve its owner again."""
        if self._pool.states is not None:
            talks = self._talks.setdefault(owner, {})
            talks.pop(sequence, None)
            talks[sequence] = None
            if len(talks) > MOST_TALKS:
                del talks[next(iter(talks))]
            return
        cached = sequence.tokens[: sequence.num_cached_tokens]
        self._index.add(owner, cached, sequence.block_table)

    def _lend(self, other: Sequence, sequence: Sequence, states: BlockPool) -> None:
        """Share the KV up to the last state of `other` that both begin with, if that is more than there is."""
        longest = len(sequence.tokens) - 1
        for count in (checkpoint.num_tokens for checkpoint in reversed(other.states.all)):
            if count <= sequence.num_cached_tokens:
                return
            if count <= longest and other.tokens[:count] == sequence.tokens[:count]:
                blocks = other.block_table[: self._pool.blocks_for(count)]
                shared = other.states.shared(states, count)
                self._pool.share(blocks)
                sequence.truncate_kv(0, self._pool)
                sequence.block_table, sequence.num_cached_tokens = blocks, count
                sequence.states.take_over(shared)
                return

    def _common_with_operator(self, sequence: Sequence) -> int:
        """Tokens that the operator's cached prefix and `sequence` begin with; not all of either's."""
        limit = min(self.operator.num_cached_tokens, len(sequence.tokens) - 1)
        return max(min(limit, common_length(self.operator.tokens, sequence.tokens)), 0)
