"""KV of conversations on its way to disk: soon after each turn, and all of it at the program's end.

Owns: which sessions have KV that is on no disk, since when, and the one that is being copied out.
Does not know: who has to leave memory, how files are written (engine.tiers.disk). KV is copied in
the engine's thread, a slice at a time, and written by another, so nobody waits for the disk.
"""

import logging
import time
from dataclasses import dataclass

from engine.conversations import Branch, Session, SessionTable
from engine.tiers.disk import Disk
from engine.tiers.transfer import Taking, Transfer

log = logging.getLogger(__name__)

PATIENCE_S = 1.0  # behind a turn: the next one may come at once
OVERDUE_S = 20.0  # from then on it is copied between the steps of others
FULL_DISK_S = 0.1  # before it is asked again whether it can take more
SLICE_BYTES = 8 << 20  # a few milliseconds of copying

Resident = tuple[Session, int | None, Branch]  # with the message that the branch ends with


@dataclass(frozen=True, slots=True)
class _Copying:
    """A session whose KV is being copied out. keys: of its snapshot, and of those that it replaces.

    since: when it was first changed.
    """

    session: Session
    since: float
    keys: list[str]
    taking: Taking


class Saving:
    """What is not on disk yet. All methods run in the engine's thread.

    disk: None where KV is kept in memory only; then there is never anything to do.
    """

    def __init__(
        self, transfer: Transfer, sessions: SessionTable, block_bytes: int, disk: Disk | None
    ) -> None:
        self.num_saved = 0
        self._transfer = transfer
        self._sessions = sessions
        self._slice_blocks = max(SLICE_BYTES // block_bytes, 1)
        self._disk = disk
        self._since: dict[Session, float] = {}  # of its first change that is on no disk
        self._changed_at = 0.0
        self._copying: _Copying | None = None

    @property
    def own_tables(self) -> list[list[int]]:
        """Blocks that are held while they are copied out."""
        return [self._copying.taking.block_table] if self._copying else []

    @property
    def own_states(self) -> list[list[int]]:
        """As `own_tables`."""
        return [self._copying.taking.states] if self._copying else []

    def changed(self, session: Session) -> None:
        """The session's talk has KV, or is another talk, since now."""
        if self._disk is not None and session.id is not None and not session.is_passing:
            self._changed_at = time.monotonic()
            self._since.setdefault(session, self._changed_at)

    def forget(self, session: Session) -> None:
        """Nothing of the session is to be written any more."""
        self._since.pop(session, None)
        if self._copying is not None and self._copying.session is session:
            self._drop_copy()

    def wait_s(self) -> float | None:
        """How long to wait, while nobody is answered, before the next `step`; None: nothing to do."""
        if self._copying is not None:
            return 0.0
        if self._next() is None:
            return None
        if self._is_disk_behind:
            return FULL_DISK_S
        return max(self._changed_at + PATIENCE_S - time.monotonic(), 0.0)

    @property
    def is_overdue(self) -> bool:
        """Whether `step` is due though others are being answered."""
        if self._copying is not None:
            return True
        session = self._next()
        is_old = session is not None and time.monotonic() - self._since[session] > OVERDUE_S
        return is_old and not self._is_disk_behind

    def step(self) -> None:
        """Copy a slice of the conversation that has waited the longest."""
        if self._copying is None:
            if not self._is_disk_behind:
                self._begin()
        elif self._copying.taking.step(self._slice_blocks):
            self._finish()

    def save(self, session: Session, branch: Branch) -> None:
        """Copy the KV of the branch that is shown out, all at once, and let it be written."""
        if self._disk is None or not self.needs(session, session.conversation.head, branch):
            return
        key, *stale = _keys(session)
        self._disk.write(key, self._transfer.take(branch.sequence), stale)
        self.num_saved += 1

    def save_or_lose(self, session: Session, branch: Branch) -> None:
        """As `save`; what goes wrong costs this branch's KV, not the step of somebody else."""
        try:
            self.save(session, branch)
        except Exception:
            log.exception("A conversation's KV could not be copied out; it is prefilled again")

    def save_all(self, deadline: float) -> None:
        """At the end of the program: what can be written until then (time.monotonic())."""
        self.interrupt()
        # The most recent last, so that a disk budget keeps just them.
        for session, leaf, branch in idle_resident(self._sessions):
            if time.monotonic() > deadline:
                log.warning("Not all conversations could be written; the rest is re-prefilled.")
                break
            if leaf == session.conversation.head:
                self.save_or_lose(session, branch)
        if self._disk is not None:
            self._disk.close(deadline)

    def interrupt(self) -> None:
        """Give back the blocks that are held; what was being copied begins anew, later."""
        if self._copying is not None:
            # In front: it has waited the longest, however often others take its room.
            self._since = {self._copying.session: self._copying.since, **self._since}
            self._drop_copy()

    def needs(self, session: Session, leaf: int | None, branch: Branch) -> bool:
        """Whether this is the branch that is shown, and more of its talk is cached than written.

        What was only prefilled ahead does not count: it is on no disk.
        """
        if self._disk is None or session.id is None or leaf is None or branch.is_shifted:
            return False
        if session.id.is_private:
            return False
        if not self._transfer.spare or leaf != session.conversation.head:
            return False
        cached = min(branch.sequence.num_cached_tokens, branch.ledger.num_tokens)
        written = self._disk.num_tokens(snapshot_key(session, leaf))
        return cached >= self._transfer.block_size and cached > written

    @property
    def _is_disk_behind(self) -> bool:
        return self._disk is not None and self._disk.is_full

    def _next(self) -> Session | None:
        """The session that has waited the longest and is not being answered."""
        return next((s for s in self._since if not s.branches or s.active.is_idle), None)

    def _begin(self) -> None:
        """Take the next session whose KV is to be written; those without any are passed over."""
        while (session := self._next()) is not None:
            since = self._since.pop(session)
            head = session.conversation.head
            branch = session.branches.get(head)
            if branch is not None and self.needs(session, head, branch):
                taking = self._transfer.begin(branch.sequence)
                self._copying = _Copying(session, since, _keys(session), taking)
                return

    def _finish(self) -> None:
        assert self._disk is not None
        assert self._copying is not None
        key, *stale = self._copying.keys
        snapshot = self._copying.taking.snapshot
        self._drop_copy()
        self._disk.write(key, snapshot, stale)
        self.num_saved += 1

    def _drop_copy(self) -> None:
        assert self._copying is not None
        self._copying.taking.release()
        self._copying = None


def idle_resident(sessions: SessionTable) -> list[Resident]:
    """The branches with KV in memory that no turn uses: the passing, then the least recently used first."""
    idle = [
        (session, leaf, branch)
        for session, leaf, branch in sessions.branches()
        if branch.is_idle and branch.sequence.block_table
    ]
    return sorted(idle, key=lambda item: (not item[0].is_passing, item[2].last_used_at))


def _keys(session: Session) -> list[str]:
    """The names of the snapshots of the session's talk and of each talk that it goes on from."""
    path = session.conversation.path(session.conversation.head)
    return [snapshot_key(session, node.id) for node in reversed(path)]


def snapshot_key(session: Session, node_id: int | None) -> str:
    """The name of the snapshot of a session's talk up to a message."""
    assert session.id is not None
    return f"{session.id.owner}\0{session.id.conversation}\0{node_id}"
