"""Where a branch's KV is: resident in the pool, spilled to disk, or nowhere (to be re-prefilled).

Owns: who has to leave the pool, and the way to disk and back. Does not know: turns, text. Blocks
are copied out in the engine's thread and written by another, so nobody waits for the disk; until
it is written a snapshot is used from memory. A snapshot is verified when it comes back: by its
checksum, by who made it, and by computing its last token again, whose logits must be the same.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from engine.block_pool import BlockPool
from engine.pace import Pace
from engine.sequence import Batch, common_length
from engine.sequence import Sequence as TokenSequence
from engine.session import Branch, Session, SessionTable
from engine.snapshot import Fingerprint, Reason, Snapshot, SnapshotRefused
from engine.snapshot_folder import SnapshotFolder

log = logging.getLogger(__name__)

Logits = npt.NDArray[np.float32]
RawBlocks = list[npt.NDArray[np.uint8]]

_MAX_UNWRITTEN = 4  # snapshots in memory that wait for the disk
_PROBE_SIZE = 64
_MEASURED_BLOCKS = 8
_MEASURE_KEY = "measure"
OPERATOR_KEY = "operator's prompt"
_TOLERANCE = 1e-3  # of a logit: the same computation on the same bytes


class BlockStorage(Protocol):
    """The raw bytes behind blocks; engine.kv_cache.KVCache in earnest."""

    def read_blocks(self, blocks: Sequence[int]) -> RawBlocks:
        """A copy of the blocks' bytes, for each tensor."""

    def write_blocks(self, blocks: Sequence[int], raw: RawBlocks) -> None:
        """Put bytes back into blocks."""

    def copy_block(self, source: int, target: int) -> None:
        """Copy one block."""


@dataclass(frozen=True, slots=True)
class Disk:
    """The folder for snapshots, and what marks a snapshot as this model's."""

    folder: SnapshotFolder
    fingerprint: Fingerprint


@dataclass(slots=True)
class TierCounts:
    """What happened since the start."""

    spilled: int = 0
    restored: int = 0
    refused: int = 0


@dataclass(slots=True)
class Tiers:
    """Spills, restores and evicts. All methods run in the engine's thread."""

    pool: BlockPool
    storage: BlockStorage
    sessions: SessionTable
    forward: Callable[[Batch], Logits]
    pace: Pace
    block_bytes: int
    disk: Disk | None = None
    wake: Callable[[], object] = lambda: None
    counts: TierCounts = field(default_factory=TierCounts)
    _saved: dict[str, int] = field(default_factory=dict)  # key -> tokens in its snapshot
    _failed: set[str] = field(default_factory=set)  # not to be tried again in idle time
    _unwritten: dict[str, Snapshot] = field(default_factory=dict)
    _writes: list[Future[None]] = field(default_factory=list)
    _scratch: list[int] = field(default_factory=list)
    _writer: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="kv-writer")
    )
    _reader: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="kv-reader")
    )

    def __post_init__(self) -> None:
        if self.disk is not None and self.pool.num_blocks > 1:
            # The last token is computed again here, so that verifying changes nobody's blocks.
            self._scratch = self.pool.try_allocate(1) or []

    @property
    def own_tables(self) -> list[list[int]]:
        """Blocks that belong to nobody's sequence."""
        return [self._scratch]

    def reclaim(self, count: int) -> None:
        """Make `count` blocks free: idle branches leave, the least recently used first."""
        target = self.pool.num_free + count
        for session, leaf, branch in self._idle_resident():
            if self.pool.num_free >= target:
                return
            if leaf == session.conversation.head:
                self._save_or_lose(session, branch)
            branch.drop_kv(self.pool)

    def save_one(self) -> bool:
        """Write the snapshot of one branch that has none of its present KV; False if all have."""
        for session, leaf, branch in self._idle_resident():
            if leaf != session.conversation.head or not self._needs_saving(session, branch):
                continue
            if snapshot_key(session, leaf) not in self._failed:
                self.save(session, branch)
                return True
        return False

    def save_all(self, deadline: float) -> None:
        """At the end of the program: what can be written until then (time.monotonic())."""
        # The most recent last, so that a disk budget keeps just them.
        for session, leaf, branch in self._idle_resident():
            if time.monotonic() > deadline:
                log.warning("Not all conversations could be written; the rest is re-prefilled.")
                break
            if leaf == session.conversation.head:
                self._save_or_lose(session, branch)
        wait(self._writes, timeout=max(deadline - time.monotonic(), 0.1))
        self._writer.shutdown(wait=False)
        self._reader.shutdown(wait=False)

    def save(self, session: Session, branch: Branch) -> None:
        """Copy the branch's blocks out, and let the writer put them on disk."""
        if not self._needs_saving(session, branch):
            return
        assert self.disk is not None
        key = snapshot_key(session, session.conversation.head)
        snapshot = self.snapshot(branch.sequence)
        stale = [k for k in self._ancestor_keys(session) if k != key and k in self._saved]
        for old in stale:
            del self._saved[old]
        self._saved[key] = len(snapshot.tokens)
        self._failed.discard(key)
        self._unwritten[key] = snapshot
        self._wait_for_room()
        self._writes.append(self._writer.submit(self._write, self.disk, key, snapshot, stale))
        self.counts.spilled += 1

    def snapshot(self, sequence: TokenSequence) -> Snapshot:
        """What is cached of a sequence, with the logits behind its last cached token."""
        logits = self._last_logits(sequence)
        ids = np.argsort(-logits, kind="stable")[:_PROBE_SIZE].astype(np.int32)
        return Snapshot(
            tokens=sequence.tokens[: sequence.num_cached_tokens],
            blocks=self.storage.read_blocks(sequence.block_table),
            probe_ids=ids,
            probe_logits=logits[ids],
        )

    def snapshot_of(self, session: Session, branch: Branch) -> Snapshot | None:
        """The KV of an idle branch, from memory or disk; None if it is nowhere."""
        if branch.is_shifted:
            return None
        if branch.sequence.num_cached_tokens >= self.pool.block_size:
            return self.snapshot(branch.sequence)
        loading = self.fetch(session, branch, len(branch.sequence.tokens))
        try:
            return None if loading is None else loading.result()
        except SnapshotRefused:
            return None

    def measure_restore(self) -> None:
        """Write and restore some blocks once, to know what that costs here."""
        if self.disk is None or not self._scratch:
            return
        count = min(_MEASURED_BLOCKS, self.pool.num_free // 2)
        blocks = self.pool.try_allocate(count)
        if not blocks:
            return
        tokens = [0] * (count * self.pool.block_size)
        measured, again = TokenSequence(tokens, blocks, len(tokens)), TokenSequence(list(tokens))
        try:
            self.disk.folder.put(_MEASURE_KEY, self.snapshot(measured), self.disk.fingerprint)
            began_at = time.perf_counter()
            self.adopt(again, self.disk.folder.get(_MEASURE_KEY, self.disk.fingerprint))
            self.pace.restored(count * self.block_bytes, time.perf_counter() - began_at)
            self.disk.folder.drop(_MEASURE_KEY)
        except SnapshotRefused as refusal:
            log.warning("Restoring could not be measured: %s", refusal)
        finally:
            measured.truncate(0, self.pool)
            again.truncate(0, self.pool)

    def store_operator(self, sequence: TokenSequence) -> None:
        """Keep the KV of the operator's prompt for the next start."""
        if self.disk is not None and self._scratch and sequence.num_cached_tokens:
            snapshot = self.snapshot(sequence)
            self._unwritten[OPERATOR_KEY] = snapshot
            self._writes.append(
                self._writer.submit(self._write, self.disk, OPERATOR_KEY, snapshot, [])
            )

    def restore_operator(self, sequence: TokenSequence) -> bool:
        """Whether all of the operator's prompt got its KV from disk."""
        if self.disk is None or not self._scratch:
            return False
        try:
            snapshot = self.disk.folder.get(OPERATOR_KEY, self.disk.fingerprint)
            return self.adopt(sequence, snapshot) == len(sequence.tokens)
        except SnapshotRefused as refusal:
            log.info("The operator's prompt is prefilled: %s", refusal)
            return False

    def fetch(self, session: Session, branch: Branch, num_wanted: int) -> Future[Snapshot] | None:
        """Begin to read a snapshot that has KV for `num_wanted` tokens; None if that does not pay."""
        # What was only to be prefilled ahead is on no disk.
        num_wanted = min(num_wanted, branch.ledger.num_tokens)
        missing = num_wanted - branch.sequence.num_cached_tokens
        if self.disk is None or missing < self.pool.block_size:
            return None
        if not self.pace.restore_pays(missing, self.pool.blocks_for(num_wanted) * self.block_bytes):
            return None
        for key in self._ancestor_keys(session):
            if snapshot := self._unwritten.get(key):
                done: Future[Snapshot] = Future()
                done.set_result(snapshot)
                return done
            if self.disk.folder.path(key).is_file():
                read = self._reader.submit(self.disk.folder.get, key, self.disk.fingerprint)
                read.add_done_callback(lambda _future: self.wake())
                return read
        return None

    def adopt(self, sequence: TokenSequence, snapshot: Snapshot) -> int:
        """Put a snapshot's KV under the tokens that `sequence` shares with it; how many those are.

        Raises SnapshotRefused if its last token does not give the logits that it gave.
        """
        common = common_length(sequence.tokens, snapshot.tokens)
        if common <= sequence.num_cached_tokens:
            return 0
        count = self.pool.blocks_for(len(snapshot.tokens))
        if any(len(raw) != count for raw in snapshot.blocks):
            raise SnapshotRefused(Reason.DAMAGED)
        sequence.truncate_kv(0, self.pool)
        if count > self.pool.num_free:
            self.reclaim(count - self.pool.num_free)
        blocks = self.pool.try_allocate(count)
        if blocks is None:
            return 0
        restored = TokenSequence(list(snapshot.tokens), blocks, len(snapshot.tokens))
        try:
            self.storage.write_blocks(blocks, snapshot.blocks)
            self._verify(restored, snapshot)
        except (ValueError, IndexError) as error:  # its arrays are not of this model's shapes
            self.pool.release(blocks)
            raise SnapshotRefused(Reason.DAMAGED) from error
        except BaseException:
            self.pool.release(blocks)
            raise
        sequence.block_table = blocks
        sequence.num_cached_tokens = len(snapshot.tokens)
        sequence.truncate_kv(common, self.pool)
        return common

    def forget(self, session: Session) -> None:
        """The conversation is deleted, and its snapshots with it."""
        if self.disk is None or session.id is None:
            return
        for node_id in session.conversation.nodes:
            key = snapshot_key(session, node_id)
            self._saved.pop(key, None)
            self._writer.submit(_drop, self.disk.folder, key)

    def _idle_resident(self) -> list[tuple[Session, int | None, Branch]]:
        idle = [
            (session, leaf, branch)
            for session, leaf, branch in self.sessions.branches()
            if branch.is_idle and branch.sequence.block_table
        ]
        return sorted(idle, key=lambda item: item[2].last_used_at)

    def _needs_saving(self, session: Session, branch: Branch) -> bool:
        head, cached = session.conversation.head, branch.sequence.num_cached_tokens
        if self.disk is None or not self._scratch or session.id is None or head is None:
            return False
        known = self._saved.get(snapshot_key(session, head), 0)
        is_worth_it = cached >= self.pool.block_size and cached > known
        return is_worth_it and not branch.is_shifted

    def _ancestor_keys(self, session: Session) -> Iterator[str]:
        """Keys under which the talk's KV may be: that of the newest message first."""
        for node in reversed(session.conversation.path(session.conversation.head)):
            yield snapshot_key(session, node.id)

    def _wait_for_room(self) -> None:
        """Bound what waits for the disk: a slow disk slows spilling down, memory does not grow."""
        self._writes = [write for write in self._writes if not write.done()]
        while len(self._writes) >= _MAX_UNWRITTEN:
            self._writes.pop(0).exception()

    def _write(self, disk: Disk, key: str, snapshot: Snapshot, stale: list[str]) -> None:
        """In the writer's thread."""
        try:
            disk.folder.put(key, snapshot, disk.fingerprint)
            for old in stale:
                disk.folder.drop(old)
        except SnapshotRefused as refusal:
            log.warning("A conversation's KV is not kept on disk: %s", refusal)
            self._forget_written(key)
        except Exception:
            log.exception("A snapshot could not be written")
            self._forget_written(key)
        finally:
            self._unwritten.pop(key, None)

    def _save_or_lose(self, session: Session, branch: Branch) -> None:
        """As `save`; what goes wrong costs this branch's KV, not the step of somebody else."""
        try:
            self.save(session, branch)
        except Exception:
            log.exception("A conversation's KV could not be copied out; it is prefilled again")

    def _forget_written(self, key: str) -> None:
        """Writing failed: the next spill tries again, idle time does not, or it would never end."""
        self._saved.pop(key, None)
        self._failed.add(key)

    def _verify(self, sequence: TokenSequence, snapshot: Snapshot) -> None:
        logits = self._last_logits(sequence)[snapshot.probe_ids]
        is_equal = np.allclose(logits, snapshot.probe_logits, atol=_TOLERANCE, rtol=0)
        if not (len(logits) and is_equal):  # without a probe nothing is certain
            raise SnapshotRefused(Reason.UNFAITHFUL)

    def _last_logits(self, sequence: TokenSequence) -> Logits:
        """The logits behind the last cached token, computed again on a copy of its block.

        Raises SnapshotRefused if there is no block to do it in.
        """
        scratch = self._scratch or self.pool.try_allocate(1)
        if scratch is None:
            raise SnapshotRefused(Reason.UNWRITABLE, "the KV pool is full")
        count = sequence.num_cached_tokens
        self.storage.copy_block(sequence.block_table[-1], scratch[0])
        table = [*sequence.block_table[:-1], scratch[0]]
        again = TokenSequence(sequence.tokens[:count], table, count - 1, num_scheduled_tokens=1)
        try:
            row: Logits = self.forward(Batch([again], []))[0].copy()
        finally:
            if not self._scratch:
                self.pool.release(scratch)
        return row


def snapshot_key(session: Session, node_id: int | None) -> str:
    """The name of the snapshot of a session's talk up to a message."""
    assert session.id is not None
    return f"{session.id.owner}\0{session.id.conversation}\0{node_id}"


def _drop(folder: SnapshotFolder, key: str) -> None:
    try:
        folder.drop(key)
    except SnapshotRefused as refusal:
        log.warning("A snapshot could not be deleted: %s", refusal)
