"""Conversations in and out of the engine, with their KV.

Owns: how a session becomes a file and a file a session. Runs in the engine's thread; the forms of
the files are those of engine.tiers.portable.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from engine.conversations import Branch, Journal, Session, moment
from engine.errors import RequestError
from engine.scheduling import Sequence as TokenSequence
from engine.text import Message
from engine.tiers import (
    Fingerprint,
    PortableTokens,
    Reason,
    Snapshot,
    SnapshotRefused,
    Tiers,
    portable,
)

log = logging.getLogger(__name__)

_BESIDE_BLOCKS_BYTES = 8 * 2**20  # a header, and the last token's logits


@dataclass(frozen=True, slots=True)
class Sharing:
    """Exports and imports sessions."""

    tiers: Tiers
    journal: Journal
    fingerprint: Fingerprint
    vocab_size: int

    def export(self, session: Session) -> bytes:
        """The portable file of an idle session's talk up to its head. Raises RequestError."""
        if not session.transcript:
            raise RequestError("There is nothing in this conversation yet.")
        branch = session.active
        num_tokens = branch.ledger.num_tokens
        kept = PortableTokens(
            branch.sequence.tokens[:num_tokens],
            branch.ledger,
            branch.num_hidden,
            None if session.began_at is None else session.began_at.timestamp(),
        )
        snapshot = self.tiers.snapshot_of(session, branch)
        return portable.pack(session.messages, kept, snapshot, self.fingerprint)

    def branch_off(self, source: Session, target: Session, messages: Sequence[Message]) -> None:
        """Fill a new session with what `source` has said of `messages`, and with KV of its blocks.

        A source that is being answered goes on: whoever writes into a shared block copies it first.
        Raises RequestError or StoreError.
        """
        _refuse_unless_new(target)
        path = source.conversation.follow(messages)
        if not path:
            return
        branch = source.nearest(path[-1].id).fork(self.tiers.pool)
        said = [Message(node.role, node.content) for node in path]
        target.began_at = source.began_at
        self._fill(target, said, branch)

    def read(self, session: Session, raw: bytes) -> None:
        """Fill a new session from a file. Raises RequestError or SnapshotRefused."""
        _refuse_unless_new(session)
        if raw.startswith(b"PK"):
            self._restore(session, raw)
        elif raw.lstrip().startswith(b"{"):
            self._fill(session, portable.from_json(raw), Branch())
        else:
            text = raw.decode("utf-8", "replace")
            self._fill(session, portable.from_markdown(text), Branch())

    def _restore(self, session: Session, raw: bytes) -> None:
        messages, kept, snapshot = portable.unpack(
            raw, self.fingerprint, self.vocab_size, self._max_kv_bytes
        )
        sequence = TokenSequence(list(kept.tokens))
        if snapshot is not None:
            self._adopt(sequence, snapshot)
        session.began_at = moment(kept.began_at)
        self._fill(session, messages, Branch(kept.ledger, sequence, kept.num_hidden))

    @property
    def _max_kv_bytes(self) -> int:
        """Of a file's KV: all that the cache holds, and what a snapshot adds to its blocks."""
        pool = self.tiers.pool
        states = 0 if pool.states is None else pool.states.num_blocks * self.tiers.state_bytes
        blocks = pool.num_blocks * (self.tiers.block_bytes + 4 * pool.block_size)
        return blocks + states + _BESIDE_BLOCKS_BYTES

    def _adopt(self, sequence: TokenSequence, snapshot: Snapshot) -> None:
        """Take the file's KV, unless this machine computes otherwise: its CPU may round elsewhere."""
        try:
            self.tiers.adopt(sequence, snapshot)
        except SnapshotRefused as refusal:
            if refusal.reason is not Reason.UNFAITHFUL:
                raise
            log.warning("An imported conversation is prefilled again: %s", refusal)

    def _fill(self, session: Session, messages: Sequence[Message], branch: Branch) -> None:
        """Put messages into a new session, with the branch that stands for them.

        Where they cannot be stored, the branch gives back what it holds.
        """
        try:
            for message in messages:
                node = self.journal.add(session, message.role, message.content)
        except BaseException:
            branch.sequence.truncate(0, self.tiers.pool)
            raise
        session.branches[node.id] = branch
        session.publish()
        self.journal.finish(session, node.id, branch)
        self.tiers.saving.changed(session)


def _refuse_unless_new(session: Session) -> None:
    if session.conversation.nodes:
        raise RequestError("Import into a new conversation; this one has messages already.")
