"""Where a branch's KV is: resident in the pool, spilled to disk, or nowhere (to be re-prefilled).

Owns: who has to leave the pool, and which snapshot a talk comes back from. Does not know: turns,
text, how KV is moved (engine.tiers.transfer), saved (engine.tiers.saving) or written (engine.tiers.disk).
"""

import logging
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field

from engine.conversations import Branch, Session, SessionTable
from engine.scheduling import BlockPool, Checkpoint, Pace
from engine.scheduling import Sequence as TokenSequence
from engine.tiers.disk import Disk
from engine.tiers.saving import Saving, idle_resident, snapshot_key
from engine.tiers.snapshot import Snapshot, SnapshotRefused
from engine.tiers.transfer import Reclaim, Transfer

log = logging.getLogger(__name__)

_MEASURED_BLOCKS = 8
_MEASURE_KEY = "measure"
LAST_TURN = 2  # states: before its reply, and behind it
OPERATOR_KEY = "operator's prompt"


@dataclass(slots=True)
class TierCounts:
    """What happened since the start."""

    restored: int = 0
    refused: int = 0


@dataclass(slots=True)
class Tiers:
    """Spills, restores and evicts. All methods run in the engine's thread."""

    pool: BlockPool
    transfer: Transfer
    sessions: SessionTable
    pace: Pace
    block_bytes: int
    state_bytes: int = 0
    disk: Disk | None = None
    counts: TierCounts = field(default_factory=TierCounts)
    saving: Saving = field(init=False)

    def __post_init__(self) -> None:
        if self.disk is not None:
            self.transfer.reserve()
        self.saving = Saving(self.transfer, self.sessions, self.block_bytes, self.disk)

    @property
    def own_tables(self) -> list[list[int]]:
        """Blocks that belong to nobody's sequence."""
        return [self.transfer.spare, *self.saving.own_tables]

    @property
    def own_states(self) -> list[list[int]]:
        """As `own_tables`."""
        return [self.transfer.spare_states, *self.saving.own_states]

    def reclaim(self, count: int) -> None:
        """Make `count` blocks free: idle branches leave, the least recently used first.

        While the disk is behind, those that need not be written leave before the others.
        """
        self._free(self.pool, self.pool.num_free + count)

    def reclaim_states(self, count: int) -> None:
        """Make `count` states free: idle branches give up their older ones, and leave if they must."""
        states = self.pool.states
        assert states is not None
        target = states.num_free + count
        self.saving.interrupt()
        for _, _, branch in idle_resident(self.sessions):
            if states.num_free >= target:
                return
            branch.sequence.states.spare(states, LAST_TURN)
        self._free(states, target)

    def _free(self, pool: BlockPool, target: int) -> None:
        """Let idle branches leave until so many blocks of the pool are free."""
        self.saving.interrupt()
        unwritten = []
        for session, leaf, branch in idle_resident(self.sessions):
            if pool.num_free >= target:
                return
            if self._is_disk_behind and self.saving.needs(session, leaf, branch):
                unwritten.append((session, leaf, branch))
            else:
                self._leave(session, leaf, branch)
        for resident in unwritten:
            if pool.num_free >= target:
                return
            self._leave(*resident)

    def rewritten(self, session: Session, node_id: int) -> None:
        """A message goes on: the snapshot of the talk up to it, if any, is of something else."""
        if self.disk is not None and session.id is not None:
            self.disk.outdate(snapshot_key(session, node_id))

    def snapshot_of(self, session: Session, branch: Branch) -> Snapshot | None:
        """The KV of an idle branch, from memory or disk; None if it is nowhere."""
        if branch.is_shifted:
            return None
        if branch.sequence.num_cached_tokens >= self.pool.block_size:
            return self.transfer.take(branch.sequence)
        loading = self.fetch(session, branch, len(branch.sequence.tokens))
        try:
            return None if loading is None else loading.result()
        except SnapshotRefused:
            return None

    def measure_restore(self) -> None:
        """Write and restore some blocks once, to know what that costs here."""
        if self.disk is None or not self.transfer.spare:
            return
        states, count = self.pool.states, min(_MEASURED_BLOCKS, self.pool.num_free // 2)
        if states is not None and states.num_free < LAST_TURN:
            return
        blocks = self.pool.try_allocate(count)
        if not blocks:
            return
        tokens = [0] * (count * self.pool.block_size)
        measured, again = TokenSequence(tokens, blocks, len(tokens)), TokenSequence(list(tokens))
        if states is not None:
            taken = states.try_allocate(1) or []
            measured.states.kept = [Checkpoint(len(tokens), state) for state in taken]
        self.transfer.blank(measured)
        try:
            self.disk.put(_MEASURE_KEY, self.transfer.take(measured))
            began_at = time.perf_counter()
            self.adopt(again, self.disk.get(_MEASURE_KEY))
            num_bytes = count * self.block_bytes + self.state_bytes
            self.pace.restored(num_bytes, time.perf_counter() - began_at)
            self.disk.drop([_MEASURE_KEY])
        except SnapshotRefused as refusal:
            log.warning("Restoring could not be measured: %s", refusal)
        finally:
            measured.truncate(0, self.pool)
            again.truncate(0, self.pool)

    def store_operator(self, sequence: TokenSequence) -> None:
        """Keep the KV of the operator's prompt for the next start."""
        if self.disk is not None and self.transfer.spare and sequence.num_cached_tokens:
            self.disk.write(OPERATOR_KEY, self.transfer.take(sequence))

    def restore_operator(self, sequence: TokenSequence) -> bool:
        """Whether all of the operator's prompt got its KV from disk."""
        if self.disk is None or not self.transfer.spare:
            return False
        try:
            return self.adopt(sequence, self.disk.get(OPERATOR_KEY)) == len(sequence.tokens)
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
        num_bytes = self.pool.blocks_for(num_wanted) * self.block_bytes
        if not self.pace.restore_pays(missing, num_bytes + LAST_TURN * self.state_bytes):
            return None
        likeliest = (self.disk.read(snapshot_key(session, n)) for n in _by_likeness(session))
        return next(filter(None, likeliest), None)

    def adopt(self, sequence: TokenSequence, snapshot: Snapshot) -> int:
        """Put a snapshot's KV under the tokens that `sequence` shares with it; how many those are.

        Raises SnapshotRefused if its last token does not give the logits that it gave.
        """
        return self.transfer.place(sequence, snapshot, Reclaim(self.reclaim, self.reclaim_states))

    def forget(self, session: Session) -> None:
        """The conversation is deleted, and its snapshots with it."""
        self.saving.forget(session)
        if self.disk is not None and session.id is not None:
            self.disk.drop(snapshot_key(session, node_id) for node_id in session.conversation.nodes)

    @property
    def _is_disk_behind(self) -> bool:
        return self.disk is not None and self.disk.is_full

    def _leave(self, session: Session, leaf: int | None, branch: Branch) -> None:
        if leaf == session.conversation.head and not session.is_passing:
            self.saving.save_or_lose(session, branch)
        branch.drop_kv(self.pool)


def _by_likeness(session: Session) -> Iterator[int]:
    """Messages whose snapshots may hold KV of the talk: its own, then other branches' newest first.

    Those of another branch serve as far as both say the same.
    """
    own = [node.id for node in session.conversation.path(session.conversation.head)]
    yield from reversed(own)
    begin = own[:1]
    for node_id in sorted(session.conversation.nodes.keys() - set(own), reverse=True):
        if [node.id for node in session.conversation.path(node_id)[:1]] == begin:
            yield node_id
