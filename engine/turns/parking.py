"""Requests that wait for the disk before their turns begin: for their KV, and until they are stored.

Owns: who waits for what, and what becomes of a snapshot that comes, or cannot be read: then the
conversation is prefilled again, and its turn says so. Does not know the scheduler, nor how a turn runs.
"""

import logging
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass

from engine.conversations import Node, Session, Stored
from engine.metrics import KVSource
from engine.tiers import Snapshot, SnapshotRefused, Tiers
from engine.turns.prompt import Prompt
from engine.turns.turn import TurnRequest

log = logging.getLogger(__name__)

NOT_RESTORED = "What was kept on disk could not be read; the conversation was computed again."


@dataclass(frozen=True, slots=True)
class Parked:
    """A request that was taken. loading: its KV, on the way from disk. stored: its message's commit."""

    request: TurnRequest
    prompt: Prompt
    reply: Node
    loading: Future[Snapshot] | None
    stored: Stored

    @property
    def has_arrived(self) -> bool:
        """Whether the turn may begin."""
        return self.stored.done() and (self.loading is None or self.loading.done())


class Parking:
    """The requests that wait for the disk; one at most of each session."""

    def __init__(self, tiers: Tiers) -> None:
        self._tiers = tiers
        self._parked: dict[Session, Parked] = {}

    def __len__(self) -> int:
        return len(self._parked)

    def __contains__(self, session: Session) -> bool:
        return session in self._parked

    @property
    def has_work(self) -> bool:
        """Whether somebody may begin, or no longer waits."""
        return any(p.has_arrived or p.request.cancelled for p in self._parked.values())

    @property
    def cancelled(self) -> list[Session]:
        """Whose requests were cancelled meanwhile."""
        return [session for session, p in self._parked.items() if p.request.cancelled]

    def add(self, session: Session, parked: Parked) -> None:
        """Let the request wait."""
        self._parked[session] = parked

    def leave(self, session: Session) -> Parked:
        """The request waits no longer."""
        return self._parked.pop(session)

    def arrived(self) -> Iterator[tuple[Session, Parked]]:
        """The requests that may begin; KV that has come is in their branches now."""
        for session in [session for session, p in self._parked.items() if p.has_arrived]:
            parked = self.leave(session)
            if parked.loading is not None:
                self._restore(session, parked, parked.loading)
            yield session, parked

    def cancel_all(self) -> None:
        """Mark all of them as cancelled."""
        for parked in self._parked.values():
            parked.request.cancelled = True

    def _restore(self, session: Session, parked: Parked, loading: Future[Snapshot]) -> None:
        clock = parked.request.clock
        try:
            snapshot = loading.result()
            branch = session.branches[parked.reply.id]
            if self._tiers.adopt(branch.sequence, snapshot):
                clock.source = KVSource.DISK
                self._tiers.counts.restored += 1
        except SnapshotRefused as refusal:
            log.warning("The conversation is prefilled again: %s", refusal)
            clock.notes.append(str(refusal))
            self._tiers.counts.refused += 1
        except Exception:
            log.exception("KV could not be restored; the conversation is prefilled again")
            clock.notes.append(NOT_RESTORED)
