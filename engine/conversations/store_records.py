"""What the store keeps of a conversation, and how its rows hold it.

Owns: the records, and their form in the columns. Does not know: owners, transactions.
"""

import json
import sqlite3
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import numpy as np

from engine.conversations.conversation import Node
from engine.events import Finished, FinishReason
from engine.metrics import KVSource, TurnFigures
from engine.text import Segment

STATUSES = ("complete", "interrupted", "streaming")


@dataclass(frozen=True, slots=True)
class StoredBranch:
    """The token ids of the messages up to `leaf`, and the text that they stand for.

    num_hidden: messages at the beginning that the tokens leave out, since all did not fit.
    """

    leaf: int
    tokens: list[int]
    segments: tuple[Segment, ...]
    num_hidden: int = 0


@dataclass(frozen=True, slots=True)
class StoredConversation:
    """A whole conversation. created_at, updated_at: seconds since 1970."""

    title: str
    pinned: bool
    created_at: float
    updated_at: float
    head: int | None
    nodes: dict[int, Node] = field(default_factory=dict)
    branches: list[StoredBranch] = field(default_factory=list)


class ConversationRow(NamedTuple):
    """A conversation as a list shows it. title: the first words of one that has none.

    num_messages counts all versions of each message.
    """

    id: str
    title: str
    pinned: bool
    created_at: float
    updated_at: float
    num_messages: int


def read_rows(cursor: sqlite3.Cursor) -> list[ConversationRow]:
    """The rows of a query for a list."""
    return [
        ConversationRow(name, title, bool(pinned), created_at, updated_at, count)
        for name, title, pinned, created_at, updated_at, count in cursor
    ]


def read_nodes(db: sqlite3.Connection, key: int) -> dict[int, Node]:
    """All messages of the conversation `key`, oldest first."""
    query = """
        SELECT id, parent, role, content, status, ending, feedback, edited FROM message
        WHERE conversation = ? ORDER BY id
    """
    return _rooted({row[0]: _node(*row) for row in db.execute(query, (key,))})


def _node(*row: Any) -> Node:
    """The message of a row."""
    node_id, parent, role, content, status, ending, feedback, edited = row
    return Node(node_id, parent, role, content, status, read_ending(ending), feedback, bool(edited))


def _rooted(nodes: dict[int, Node]) -> dict[int, Node]:
    """Those that have a beginning: links that damage has made a circle of would have no end."""
    children: dict[int | None, list[int]] = {}
    for node in nodes.values():
        children.setdefault(node.parent, []).append(node.id)
    found, pending = set(), list(children.get(None, []))
    while pending:
        node_id = pending.pop()
        found.add(node_id)
        pending += children.get(node_id, [])
    return {node_id: node for node_id, node in nodes.items() if node_id in found}


def read_branches(db: sqlite3.Connection, key: int) -> list[StoredBranch]:
    """The branches of the conversation `key`."""
    query = (
        "SELECT leaf, tokens, segments, num_hidden FROM branch WHERE conversation = ? ORDER BY leaf"
    )
    branches = []
    for leaf, tokens, segments, num_hidden in db.execute(query, (key,)):
        with suppress(TypeError, ValueError):  # damaged: the messages are tokenised anew
            ids = np.frombuffer(tokens, "<i4").tolist()
            branches.append(StoredBranch(leaf, ids, _segments(segments), num_hidden))
    return branches


def branch_values(branch: StoredBranch) -> tuple[bytes, str, int]:
    """What the columns `tokens`, `segments` and `num_hidden` hold of a branch."""
    segments = [(segment.text, segment.num_tokens, segment.ends) for segment in branch.segments]
    return np.asarray(branch.tokens, "<i4").tobytes(), json.dumps(segments), branch.num_hidden


def ending_value(ending: Finished | None) -> str | None:
    """What the column `ending` holds."""
    return None if ending is None else json.dumps(asdict(ending))


def read_ending(text: str | None) -> Finished | None:
    """The ending in a column; None too for one of a version whose figures were others."""
    if text is None:
        return None
    try:
        fields: dict[str, Any] = json.loads(text)
        figures = fields["figures"]
        figures["source"] = KVSource(figures["source"])
        return Finished(FinishReason(fields["reason"]), TurnFigures(**figures), fields.get("error"))
    except (KeyError, TypeError, ValueError):
        return None


def _segments(text: str) -> tuple[Segment, ...]:
    return tuple(
        Segment(part, num_tokens, None if ends is None else tuple(ends))
        for part, num_tokens, ends in json.loads(text)
    )
