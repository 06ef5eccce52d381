"""Sessions as they were: from the store, or from memory where they were closed before they were stored."""

from dataclasses import replace
from datetime import datetime

from engine.conversations.session import Branch, Session, SessionId
from engine.conversations.store import StoredConversation
from engine.scheduling import Sequence
from engine.text import Ledger


def restored(session_id: SessionId, stored: StoredConversation) -> Session:
    """The session of what is stored; its branches have tokens, and no KV yet."""
    session = Session(session_id)
    for node in stored.nodes.values():
        # Nothing streams in a session that is only now opened: its turn was, or is being, ended.
        is_ended = node.status == "streaming"
        session.conversation.nodes[node.id] = (
            replace(node, status="interrupted") if is_ended else node
        )
    session.conversation.head = stored.head
    for branch in stored.branches:
        ledger = Ledger(branch.segments)
        if ledger.num_tokens == len(branch.tokens):
            sequence = Sequence(list(branch.tokens))
            session.branches[branch.leaf] = Branch(ledger, sequence, branch.num_hidden)
    session.began_at = moment(stored.created_at)
    session.publish()
    return session


def still_unstored(session: Session) -> Session:
    """The session as it is in memory, where it was not stored yet when it was closed."""
    again = Session(session.id)
    again.conversation.nodes = dict(session.conversation.nodes)
    again.conversation.head = session.conversation.head
    again.began_at = session.began_at
    again.forget_engine()
    return again


def moment(seconds: object) -> datetime | None:
    """Seconds since 1970 in local time; None where damage has left something else."""
    try:
        return datetime.fromtimestamp(seconds).astimezone()  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError, OSError):
        return None
