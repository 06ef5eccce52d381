"""KV out of the pool into snapshots and back, with proof that it is what the model would compute.

Owns: the spare block in which a last token is computed again, so that proving changes nobody's
blocks. Does not know: sessions, files, who has to leave. A snapshot is used only if its last token
gives the logits that it gave when the snapshot was taken. Where there are states beside the KV, those go with
it, and since no state goes back, that token is computed once more behind itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt

from engine.scheduling import Batch, BlockPool, Checkpoint, Checkpoints, StateStep, common_length
from engine.scheduling import Sequence as TokenSequence
from engine.tiers.snapshot import Reason, Snapshot, SnapshotRefused

Logits = npt.NDArray[np.float32]
RawBlocks = list[npt.NDArray[np.uint8]]

_PROBE_SIZE = 64
_TOLERANCE = 1e-3  # of a logit: the same computation on the same bytes


class BlockStorage(Protocol):
    """The raw bytes behind blocks; engine.model.kv_cache.KVCache in earnest."""

    def room_for(self, count: int) -> RawBlocks:
        """Memory for the bytes of so many blocks: [count, block bytes] for each tensor."""

    def read_blocks(self, blocks: Sequence[int], out: RawBlocks | None = None) -> RawBlocks:
        """A copy of the blocks' bytes, for each tensor; in `out`, if that is given."""

    def write_blocks(self, blocks: Sequence[int], raw: RawBlocks) -> None:
        """Put bytes back into blocks."""

    def copy_block(self, source: int, target: int) -> None:
        """Copy one block."""


class Taking:
    """A snapshot that is being copied out of blocks, which are held until `release`.

    A block that is held twice is never written to: whatever becomes of the sequence meanwhile, they
    stay as they are; so do states.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        held: TokenSequence,
        storage: BlockStorage,
        states: BlockStorage | None,
        pool: BlockPool,
    ) -> None:
        self.snapshot = snapshot
        self.block_table = list(held.block_table)
        self.states = held.states.table
        self._held = held
        self._pool = pool
        self._rest = [_Copy(storage, self.block_table, snapshot.blocks)]
        if states is not None:
            self._rest += [
                _Copy(states, [block], [raw[i : i + 1] for raw in snapshot.states])
                for i, block in enumerate(self.states)
            ]

    def step(self, max_blocks: int) -> bool:
        """Copy so many blocks more, or a state; True once `snapshot` is whole."""
        if self._rest and self._rest[0].step(max_blocks):
            del self._rest[0]
        return not self._rest

    def finish(self) -> None:
        """Copy all that is left."""
        while not self.step(len(self.block_table)):
            pass

    def release(self) -> None:
        """Hold the blocks no longer."""
        self._held.truncate_kv(0, self._pool)


class _Copy:
    """Blocks of one storage on their way out."""

    def __init__(self, storage: BlockStorage, table: list[int], out: RawBlocks) -> None:
        self._storage, self._table, self._out = storage, table, out
        self._num_copied = 0

    def step(self, max_blocks: int) -> bool:
        part = slice(self._num_copied, self._num_copied + max_blocks)
        self._storage.read_blocks(self._table[part], [raw[part] for raw in self._out])
        self._num_copied += max_blocks
        return self._num_copied >= len(self._table)


@dataclass(frozen=True, slots=True)
class Reclaim:
    """Who is asked to make so many blocks, or states, free."""

    blocks: Callable[[int], object]
    states: Callable[[int], object]


class Transfer:
    """Takes and places snapshots. All methods run in the engine's thread.

    states: the storage of states, where the pool has any.
    """

    def __init__(
        self,
        pool: BlockPool,
        storage: BlockStorage,
        forward: Callable[[Batch], Logits],
        states: BlockStorage | None = None,
    ) -> None:
        self.storage = storage
        self._states = states
        self._pool = pool
        self._forward = forward
        self._spare: list[int] = []
        self._spare_states: list[int] = []

    @property
    def spare(self) -> list[int]:
        """The blocks that belong to nobody's sequence; empty before `reserve`."""
        return self._spare

    @property
    def spare_states(self) -> list[int]:
        """As `spare`."""
        return self._spare_states

    def reserve(self) -> None:
        """Set a block aside, unless it is the only one, and a state where there are any."""
        if self._pool.num_blocks > 1:
            self._spare = self._pool.try_allocate(1) or []
            if self._pool.states is not None:
                self._spare_states = self._pool.states.try_allocate(1) or []

    def blank(self, sequence: TokenSequence) -> None:
        """Fill its blocks with zeros: memory that nobody has written to may hold what is no number."""
        _blank(self.storage, sequence.block_table)
        if self._states is not None:
            _blank(self._states, sequence.states.table)

    @property
    def block_size(self) -> int:
        """Tokens of a block."""
        return self._pool.block_size

    def take(self, sequence: TokenSequence) -> Snapshot:
        """What is cached of a sequence, with the logits behind its last cached token."""
        taking = self.begin(sequence)
        try:
            taking.finish()
            return taking.snapshot
        finally:
            taking.release()

    def begin(self, sequence: TokenSequence) -> "Taking":
        """As `take`, a slice at a time."""
        logits = self._probe(sequence)
        ids = np.argsort(-logits, kind="stable")[:_PROBE_SIZE].astype(np.int32)
        snapshot = Snapshot(
            tokens=sequence.tokens[: sequence.num_cached_tokens],
            blocks=self.storage.room_for(len(sequence.block_table)),
            probe_ids=ids,
            probe_logits=logits[ids],
            states=[] if self._states is None else self._states.room_for(len(sequence.states.all)),
            state_tokens=[checkpoint.num_tokens for checkpoint in sequence.states.all],
        )
        held = sequence.fork(self._pool)
        return Taking(snapshot, held, self.storage, self._states, self._pool)

    def place(self, sequence: TokenSequence, snapshot: Snapshot, reclaim: Reclaim) -> int:
        """Put a snapshot's KV under the tokens that `sequence` shares with it; how many those are.

        Where there are states, up to the last that belongs to them. Raises SnapshotRefused if the snapshot's
        last token does not give the logits that it gave.
        """
        common = common_length(sequence.tokens, snapshot.tokens)
        if self._usable(snapshot, common) <= sequence.num_cached_tokens:
            return 0
        self._check(snapshot)
        sequence.truncate_kv(0, self._pool)
        restored = self._room_for(snapshot, common, reclaim)
        if restored is None:
            return 0
        try:
            self._fill(restored, snapshot)
        except (ValueError, IndexError) as error:  # its arrays are not of this model's shapes
            restored.truncate_kv(0, self._pool)
            raise SnapshotRefused(Reason.DAMAGED) from error
        except BaseException:
            restored.truncate_kv(0, self._pool)
            raise
        sequence.block_table = restored.block_table
        sequence.num_cached_tokens = restored.num_cached_tokens
        sequence.states.take_over(restored.states)
        sequence.truncate_kv(common, self._pool)
        return sequence.num_cached_tokens

    def _check(self, snapshot: Snapshot) -> None:
        """Raise SnapshotRefused where the snapshot has not as many blocks and states as it must have."""
        count, positions = self._pool.blocks_for(len(snapshot.tokens)), snapshot.state_tokens
        is_whole = all(len(raw) == count for raw in snapshot.blocks)
        is_whole &= all(len(raw) == len(positions) for raw in snapshot.states)
        if self._states is not None:
            ends_there = positions[-1:] == [len(snapshot.tokens)]
            is_whole &= ends_there and all(a < b for a, b in pairwise([0, *positions]))
        if not is_whole:
            raise SnapshotRefused(Reason.DAMAGED)

    def _usable(self, snapshot: Snapshot, common: int) -> int:
        """Of the first `common` tokens, for how many a snapshot is good."""
        if self._states is None:
            return common
        return max((count for count in snapshot.state_tokens if count <= common), default=0)

    def _room_for(self, snapshot: Snapshot, common: int, reclaim: Reclaim) -> TokenSequence | None:
        """Blocks for all of the snapshot, and states for as many of its last ones as there is room for.

        Of those behind more than `common` tokens only the very last, by which it is proved.
        """
        states, positions = self._pool.states, snapshot.state_tokens
        count = self._pool.blocks_for(len(snapshot.tokens))
        if count > self._pool.num_free:
            reclaim.blocks(count - self._pool.num_free)
        if states is not None:
            *earlier, end = positions
            positions = [*(position for position in earlier if position <= common), end]
            proof = not self._spare_states  # takes another one
            if (missing := len(positions) + proof - states.num_free) > 0:
                reclaim.states(missing)
            if states.num_free <= proof:
                return None
            positions = positions[-(states.num_free - proof) :]
        blocks = self._pool.try_allocate(count)
        if blocks is None:
            return None
        restored = TokenSequence(list(snapshot.tokens), blocks, len(snapshot.tokens))
        if states is not None:
            taken = states.try_allocate(len(positions)) or []
            restored.states.kept = list(map(Checkpoint, positions, taken))
        return restored

    def _fill(self, restored: TokenSequence, snapshot: Snapshot) -> None:
        """Write and prove the snapshot's KV, with the states that there is room for."""
        self.storage.write_blocks(restored.block_table, snapshot.blocks)
        if self._states is not None:
            for checkpoint in restored.states.kept:
                i = snapshot.state_tokens.index(checkpoint.num_tokens)
                raw = [table[i : i + 1] for table in snapshot.states]
                self._states.write_blocks([checkpoint.block], raw)
        self._prove(restored, snapshot)

    def _prove(self, sequence: TokenSequence, snapshot: Snapshot) -> None:
        logits = self._probe(sequence)[snapshot.probe_ids]
        is_equal = np.allclose(logits, snapshot.probe_logits, atol=_TOLERANCE, rtol=0)
        if not (len(logits) and is_equal):  # without a probe nothing is certain
            raise SnapshotRefused(Reason.UNFAITHFUL)

    def _probe(self, sequence: TokenSequence) -> Logits:
        """Logits that depend on all that is cached of a sequence. Raises SnapshotRefused."""
        if self._pool.states is None:
            return self._last_logits(sequence)
        return self._logits_behind(sequence, self._pool.states)

    def _logits_behind(self, sequence: TokenSequence, states: BlockPool) -> Logits:
        """The logits behind the last cached token, said a second time.

        Raises SnapshotRefused if there is no block or no state to do it in.
        """
        spare = self._spare or self._pool.try_allocate(1)
        spare_states = self._spare_states or states.try_allocate(1)
        count, table = sequence.num_cached_tokens, list(sequence.block_table)
        try:
            if spare is None or spare_states is None:
                raise SnapshotRefused(Reason.UNWRITABLE, "the KV pool is full")
            if count % self._pool.block_size:
                self.storage.copy_block(table.pop(), spare[0])
            tokens = [*sequence.tokens[:count], sequence.tokens[count - 1]]
            again = TokenSequence(tokens, [*table, spare[0]], count, num_scheduled_tokens=1)
            write = Checkpoint(count + 1, spare_states[0])
            again.states = Checkpoints(step=StateStep(sequence.states.all[-1].block, (write,)))
            row: Logits = self._forward(Batch([again], []))[0].copy()
        finally:
            if not self._spare:
                self._pool.release(spare or [])
            if not self._spare_states:
                states.release(spare_states or [])
        return row

    def _last_logits(self, sequence: TokenSequence) -> Logits:
        """The logits behind the last cached token, computed again on a copy of its block.

        Raises SnapshotRefused if there is no block to do it in.
        """
        spare = self._spare or self._pool.try_allocate(1)
        if spare is None:
            raise SnapshotRefused(Reason.UNWRITABLE, "the KV pool is full")
        count = sequence.num_cached_tokens
        self.storage.copy_block(sequence.block_table[-1], spare[0])
        table = [*sequence.block_table[:-1], spare[0]]
        again = TokenSequence(sequence.tokens[:count], table, count - 1, num_scheduled_tokens=1)
        try:
            row: Logits = self._forward(Batch([again], []))[0].copy()
        finally:
            if not self._spare:
                self._pool.release(spare)
        return row


def _blank(storage: BlockStorage, blocks: Sequence[int]) -> None:
    storage.write_blocks(blocks, [np.zeros_like(raw) for raw in storage.read_blocks(blocks)])
