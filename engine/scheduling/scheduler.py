"""Who computes what in the next step: admits, chunks prefills, preempts.

Owns: the waiting and the running sequences, and the growth of their block tables. Does not know:
text, sampling, tensors, sessions (it asks `reclaim` to free blocks that idle sessions hold, and
`reclaim_states` to free states, where the model has any beside the KV).
Invariants: decodes go first, so running answers keep flowing; a prefill chunk ends on a block
boundary unless it is the last, since quantised blocks must be filled in one piece to be exact;
a block shared with another table is copied before it is written to.
"""

from collections import deque
from collections.abc import Callable, Iterator

from engine.scheduling.block_pool import BlockPool
from engine.scheduling.sequence import Batch, Sequence, Status
from engine.scheduling.state_room import StateRoom
from engine.scheduling.token_budget import TokenBudget


class Scheduler:
    """Continuous batching with chunked prefill over one block pool."""

    def __init__(
        self,
        pool: BlockPool,
        *,
        budget: TokenBudget,
        max_num_sequences: int,
        reclaim: Callable[[int], object],
        reclaim_states: Callable[[int], object] = lambda _count: None,
        max_queue: int | None = None,
    ) -> None:
        self._pool = pool
        self._block_size = pool.block_size
        self._max_num_sequences = max_num_sequences
        self._max_queue = max_queue
        self._budget = budget
        self._reclaim = reclaim
        self._state_room = StateRoom(pool.states, reclaim_states)
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []

    @property
    def has_work(self) -> bool:
        """Whether any sequence wants a step."""
        return bool(self.waiting or self.running)

    def add(self, sequence: Sequence) -> None:
        """Queue a sequence that has uncached tokens."""
        assert sequence.status is Status.IDLE
        assert sequence.num_uncached_tokens > 0
        sequence.status = Status.WAITING
        self.waiting.append(sequence)

    def has_room(self, num_coming: int) -> bool:
        """Whether one more may be added, beside `num_coming`: it starts at once, or may wait."""
        if self._max_queue is None:
            return True
        self._admit()  # so that those who can start are not counted as waiting
        places = self._max_num_sequences - len(self.running) if not self.waiting else 0
        return len(self.waiting) + num_coming - places < self._max_queue

    def remove(self, sequence: Sequence) -> None:
        """Take a sequence out; its blocks stay with it."""
        if sequence.status is Status.WAITING:
            self.waiting.remove(sequence)
        elif sequence.status is Status.RUNNING:
            self.running.remove(sequence)
        sequence.status = Status.IDLE

    def schedule(self) -> Batch | None:
        """The next step's batch with blocks for every token in it; None when there is nothing to do."""
        self._admit()
        batch = Batch([], [])
        for sequence in [s for s in self.running if s.num_uncached_tokens == 1]:
            if self._blocks_missing(sequence, 1 + len(sequence.guesses)) > self._pool.num_free:
                sequence.guesses = []
            self._schedule(sequence, 1 + len(sequence.guesses), batch)
        budget = self._budget.beside if batch.sequences else self._budget.alone
        for sequence, count in self._prefill_chunks(budget):
            self._schedule(sequence, count, batch)
        return batch if batch.sequences else None

    def idle_batch(self, sequence: Sequence, max_tokens: int) -> Batch | None:
        """A chunk of an idle sequence by itself, in free blocks only; None if that is not to be had."""
        if sequence.status is not Status.IDLE or not sequence.num_uncached_tokens:
            return None
        count = self._chunk(sequence, max(max_tokens, self._block_size))
        if self._blocks_missing(sequence, count) > self._pool.num_free:
            return None
        if not self._state_room.is_there(sequence, count):
            return None
        batch = Batch([sequence], [])
        self._grow(sequence, count, batch)
        sequence.num_scheduled_tokens = count
        return batch

    def commit(self, batch: Batch) -> None:
        """The batch's forward succeeded: its tokens are cached now, guesses aside."""
        for sequence in batch.sequences:
            sequence.num_cached_tokens += sequence.num_certain_tokens
            sequence.num_scheduled_tokens = len(sequence.guesses)
        self._state_room.commit(batch.sequences)

    def accept(self, sequence: Sequence, num_right: int) -> None:
        """The first `num_right` guesses of the last step were right; the others' KV is forgotten."""
        sequence.num_cached_tokens += num_right
        sequence.num_scheduled_tokens, sequence.guesses = 0, []
        sequence.truncate_kv(sequence.num_cached_tokens, self._pool)

    def abort(self, batch: Batch) -> None:
        """The batch's forward failed: drop the blocks that it may have left half-written."""
        for sequence in batch.sequences:
            sequence.num_scheduled_tokens, sequence.guesses = 0, []
            whole = sequence.num_cached_tokens // self._block_size * self._block_size
            sequence.truncate_kv(whole, self._pool)

    def _admit(self) -> None:
        while self.waiting and len(self.running) < self._max_num_sequences:
            sequence = self.waiting[0]
            if not self._has_room(sequence, sequence.num_uncached_tokens) and self.running:
                return
            self.waiting.popleft()
            sequence.status = Status.RUNNING
            self.running.append(sequence)

    def _prefill_chunks(self, budget: int) -> Iterator[tuple[Sequence, int]]:
        """Chunks for the sequences in prefill: the shortest first, a block at least for the oldest."""
        prefilling = [s for s in self.running if s.num_uncached_tokens > 1]
        if not prefilling:
            return
        oldest = prefilling[0]
        reserved = min(oldest.num_uncached_tokens, self._block_size) if len(prefilling) > 1 else 0
        for sequence in sorted(prefilling, key=lambda s: s.num_uncached_tokens):
            if sequence.status is not Status.RUNNING:
                continue  # preempted for a shorter one
            share = budget if sequence is oldest else budget - reserved
            count = self._chunk(sequence, share)
            if sequence is oldest:
                reserved = 0
            if count > 0:
                budget -= count
                yield sequence, count

    def _chunk(self, sequence: Sequence, budget: int) -> int:
        """How many tokens of `sequence` fit into `budget`, ending on a block boundary or the last.

        Or where a state is to be kept.
        """
        cached = sequence.num_cached_tokens
        if sequence.num_uncached_tokens <= budget:
            end = len(sequence.tokens)
        else:
            end = (cached + budget) // self._block_size * self._block_size
        if sequence.states.wishes:
            end = sequence.states.cut(cached, end)
        return max(end - cached, 0)

    def _schedule(self, sequence: Sequence, count: int, batch: Batch) -> None:
        """Put `count` tokens of `sequence` into the batch, preempting the newest if blocks lack."""
        if sequence.status is not Status.RUNNING:
            return  # preempted for an older one
        while not self._has_room(sequence, count):
            if self._evict_waiting():
                continue
            victim = self.running[-1]
            self._preempt(victim, batch)
            if victim is sequence:
                return
        self._grow(sequence, count, batch)
        sequence.num_scheduled_tokens = count
        batch.sequences.append(sequence)

    def _blocks_missing(self, sequence: Sequence, count: int) -> int:
        """Blocks to allocate before `count` more tokens can be written."""
        wanted = self._pool.blocks_for(sequence.num_cached_tokens + count)
        return wanted - len(sequence.block_table) + self._must_copy(sequence)

    def _has_room(self, sequence: Sequence, count: int) -> bool:
        """Whether `count` more tokens can be written, after idle sessions have made room if need be."""
        if not self._free(self._blocks_missing(sequence, count)):
            return False
        if self._pool.states is None:
            return True
        return self._state_room.make(sequence, count, (*self.waiting, *self.running))

    def _must_copy(self, sequence: Sequence) -> bool:
        partial = sequence.num_cached_tokens % self._block_size != 0
        return partial and self._pool.is_shared(sequence.block_table[-1])

    def _free(self, count: int) -> bool:
        """Whether `count` blocks are free, after reclaiming what idle sessions hold if need be."""
        if count > self._pool.num_free:
            self._reclaim(count - self._pool.num_free)
        return count <= self._pool.num_free

    def _evict_waiting(self) -> bool:
        """Drop the KV that the last of the waiting brought along; False if none of them has any."""
        for sequence in reversed(self.waiting):
            if sequence.block_table:
                sequence.truncate_kv(0, self._pool)
                return True
        return False

    def _grow(self, sequence: Sequence, count: int, batch: Batch) -> None:
        copy = self._must_copy(sequence)
        blocks = self._pool.try_allocate(self._blocks_missing(sequence, count))
        assert blocks is not None
        if copy:
            shared, own = sequence.block_table[-1], blocks.pop()
            sequence.block_table[-1] = own
            self._pool.release([shared])
            batch.copies.append((shared, own))
        elif sequence.num_cached_tokens % self._block_size:
            self._pool.overwrite(sequence.block_table[-1])
        sequence.block_table.extend(blocks)
        self._state_room.plan(sequence, count)

    def _preempt(self, sequence: Sequence, batch: Batch) -> None:
        """Back to waiting without KV; it is re-prefilled when its turn comes again."""
        if sequence in batch.sequences:
            batch.sequences.remove(sequence)
            sequence.num_scheduled_tokens = 0
        sequence.guesses = []
        self.running.remove(sequence)
        sequence.truncate_kv(0, self._pool)
        sequence.status = Status.WAITING
        self.waiting.appendleft(sequence)
