"""What the store keeps of a conversation, and how its rows hold it.

Owns: the records, and their form in the columns. Does not know: owners, transactions.
"""

import json
import sqlite3
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from engine.ledger import Segment

STATUSES = ("complete", "interrupted", "streaming")


@dataclass(frozen=True, slots=True)
class Node:
    """A message in the tree. status: complete, interrupted or streaming."""

    id: int
    parent: int | None
    role: str
    content: str
    status: str


@dataclass(frozen=True, slots=True)
class StoredBranch:
    """The token ids of the messages up to `leaf`, and the text that they stand for."""

    leaf: int
    tokens: list[int]
    segments: tuple[Segment, ...]


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
    """A conversation as a list shows it. num_messages counts all versions of each message."""

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
    query = (
        "SELECT id, parent, role, content, status FROM message WHERE conversation = ? ORDER BY id"
    )
    return {row[0]: Node(*row) for row in db.execute(query, (key,))}


def read_branches(db: sqlite3.Connection, key: int) -> list[StoredBranch]:
    """The branches of the conversation `key`."""
    query = "SELECT leaf, tokens, segments FROM branch WHERE conversation = ? ORDER BY leaf"
    return [
        StoredBranch(leaf, np.frombuffer(tokens, "<i4").tolist(), _segments(segments))
        for leaf, tokens, segments in db.execute(query, (key,))
    ]


def branch_values(branch: StoredBranch) -> tuple[bytes, str]:
    """What the columns `tokens` and `segments` hold of a branch."""
    segments = [(segment.text, segment.num_tokens, segment.ends) for segment in branch.segments]
    return np.asarray(branch.tokens, "<i4").tobytes(), json.dumps(segments)


def _segments(text: str) -> tuple[Segment, ...]:
    return tuple(
        Segment(part, num_tokens, None if ends is None else tuple(ends))
        for part, num_tokens, ends in json.loads(text)
    )
