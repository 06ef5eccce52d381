"""KV out of the pool into snapshots and back, with proof that it is what the model would compute.

Owns: the spare block in which a last token is computed again, so that proving changes nobody's
blocks. Does not know: sessions, files, who has to leave. A snapshot is used only if its last token
gives the logits that it gave when the snapshot was taken.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from engine.scheduling import Batch, BlockPool, common_length
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
    stay as they are.
    """

    def __init__(
        self, snapshot: Snapshot, table: list[int], storage: BlockStorage, pool: BlockPool
    ) -> None:
        self.snapshot = snapshot
        self.block_table = table
        self._storage = storage
        self._pool = pool
        self._num_copied = 0
        pool.share(table)

    def step(self, max_blocks: int) -> bool:
        """Copy so many blocks more; True once `snapshot` is whole."""
        part = slice(self._num_copied, self._num_copied + max_blocks)
        self._storage.read_blocks(
            self.block_table[part], [raw[part] for raw in self.snapshot.blocks]
        )
        self._num_copied += max_blocks
        return self._num_copied >= len(self.block_table)

    def release(self) -> None:
        """Hold the blocks no longer."""
        self._pool.release(self.block_table)


class Transfer:
    """Takes and places snapshots. All methods run in the engine's thread."""

    def __init__(
        self, pool: BlockPool, storage: BlockStorage, forward: Callable[[Batch], Logits]
    ) -> None:
        self.storage = storage
        self._pool = pool
        self._forward = forward
        self._spare: list[int] = []

    @property
    def spare(self) -> list[int]:
        """The blocks that belong to nobody's sequence; empty before `reserve`."""
        return self._spare

    def reserve(self) -> None:
        """Set a block aside, unless it is the only one."""
        if self._pool.num_blocks > 1:
            self._spare = self._pool.try_allocate(1) or []

    def blank(self, blocks: Sequence[int]) -> None:
        """Fill blocks with zeros: memory that nobody has written to may hold what is no number."""
        self.storage.write_blocks(
            blocks, [np.zeros_like(raw) for raw in self.storage.read_blocks(blocks)]
        )

    @property
    def block_size(self) -> int:
        """Tokens of a block."""
        return self._pool.block_size

    def take(self, sequence: TokenSequence) -> Snapshot:
        """What is cached of a sequence, with the logits behind its last cached token."""
        taking = self.begin(sequence)
        try:
            taking.step(len(taking.block_table))
            return taking.snapshot
        finally:
            taking.release()

    def begin(self, sequence: TokenSequence) -> "Taking":
        """As `take`, a slice at a time."""
        logits = self._last_logits(sequence)
        ids = np.argsort(-logits, kind="stable")[:_PROBE_SIZE].astype(np.int32)
        snapshot = Snapshot(
            tokens=sequence.tokens[: sequence.num_cached_tokens],
            blocks=self.storage.room_for(len(sequence.block_table)),
            probe_ids=ids,
            probe_logits=logits[ids],
        )
        return Taking(snapshot, list(sequence.block_table), self.storage, self._pool)

    def place(
        self, sequence: TokenSequence, snapshot: Snapshot, reclaim: Callable[[int], object]
    ) -> int:
        """Put a snapshot's KV under the tokens that `sequence` shares with it; how many those are.

        reclaim: asks for so many blocks to be made free. Raises SnapshotRefused if the snapshot's
        last token does not give the logits that it gave.
        """
        common = common_length(sequence.tokens, snapshot.tokens)
        if common <= sequence.num_cached_tokens:
            return 0
        count = self._pool.blocks_for(len(snapshot.tokens))
        if any(len(raw) != count for raw in snapshot.blocks):
            raise SnapshotRefused(Reason.DAMAGED)
        sequence.truncate_kv(0, self._pool)
        if count > self._pool.num_free:
            reclaim(count - self._pool.num_free)
        blocks = self._pool.try_allocate(count)
        if blocks is None:
            return 0
        self._fill(blocks, snapshot)
        sequence.block_table = blocks
        sequence.num_cached_tokens = len(snapshot.tokens)
        sequence.truncate_kv(common, self._pool)
        return common

    def _fill(self, blocks: list[int], snapshot: Snapshot) -> None:
        """Write and prove the snapshot's KV; the blocks are given back if that fails."""
        restored = TokenSequence(list(snapshot.tokens), blocks, len(snapshot.tokens))
        try:
            self.storage.write_blocks(blocks, snapshot.blocks)
            self._prove(restored, snapshot)
        except (ValueError, IndexError) as error:  # its arrays are not of this model's shapes
            self._pool.release(blocks)
            raise SnapshotRefused(Reason.DAMAGED) from error
        except BaseException:
            self._pool.release(blocks)
            raise

    def _prove(self, sequence: TokenSequence, snapshot: Snapshot) -> None:
        logits = self._last_logits(sequence)[snapshot.probe_ids]
        is_equal = np.allclose(logits, snapshot.probe_logits, atol=_TOLERANCE, rtol=0)
        if not (len(logits) and is_equal):  # without a probe nothing is certain
            raise SnapshotRefused(Reason.UNFAITHFUL)

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
