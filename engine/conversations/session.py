"""Conversations with the tokens that stand for them, one sequence for each branch that was talked.

Owns: the sessions, and which branches there are. Does not know: scheduling, the model, files. A
branch without KV is whole: its next turn restores or re-prefills it.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from engine.conversations.conversation import Conversation, Entry, Node
from engine.errors import RequestError, SessionNotFound
from engine.scheduling import BlockPool, Sequence, Status, common_length
from engine.text import Ledger, Message, Setting

PROGRAMS = "api:"  # what the owners begin with that are programs
PRIVATE = f"{PROGRAMS}~"  # and those whose conversations are on no disk


class SessionId(NamedTuple):
    """Names a conversation; only who knows the owner's id can reach it."""

    owner: str
    conversation: str

    @property
    def is_private(self) -> bool:
        """Whether it is kept in memory only, text and KV."""
        return self.owner.startswith(PRIVATE)

    @property
    def is_programs(self) -> bool:
        """Whether a program's: nobody sees it in a list, so it needs no title, and it is kept for a while."""
        return self.owner.startswith(PROGRAMS)


@dataclass(slots=True, eq=False)
class Branch:
    """One line of talk: its tokens, the text they stand for, and what of the KV is there.

    The ledger covers the first tokens of the sequence; what lies behind was prefilled ahead.
    num_hidden: messages at the beginning that no longer fit into the context.
    is_shifted: some KV was moved from other positions; it must not serve anybody else.
    """

    ledger: Ledger = field(default_factory=Ledger)
    sequence: Sequence = field(default_factory=Sequence)
    num_hidden: int = 0
    last_used_at: float = field(default_factory=time.monotonic)
    is_shifted: bool = False

    @property
    def is_idle(self) -> bool:
        """Whether no turn uses the branch now."""
        return self.sequence.status is Status.IDLE

    def fork(self, pool: BlockPool) -> "Branch":
        """A branch with the same tokens, which shares all blocks."""
        sequence = self.sequence.fork(pool)
        return Branch(self.ledger, sequence, self.num_hidden, is_shifted=self.is_shifted)

    def drop_kv(self, pool: BlockPool) -> None:
        """Give all blocks back; the tokens stay, to be restored or prefilled."""
        self.sequence.truncate_kv(0, pool)
        self.is_shifted = False


@dataclass(slots=True, eq=False)
class Session:
    """A conversation and its branches, by the message that each ends with.

    transcript: the conversation up to its head, made anew at every change, for any thread to read.
    unread_drafts: on their way to the engine's thread. began_at: when its first message was taken, in local
    time, which stays the date that its prompts tell; None: it has none yet.
    """

    id: SessionId | None = None
    conversation: Conversation = field(default_factory=Conversation)
    branches: dict[int | None, Branch] = field(default_factory=dict)
    transcript: tuple[Entry, ...] = ()
    unread_drafts: deque[str] = field(default_factory=deque)
    began_at: datetime | None = None

    @property
    def messages(self) -> tuple[Message, ...]:
        """What the model saw and said, without the system prompt."""
        return tuple(Message(e.node.role, e.node.content) for e in self.transcript)

    @property
    def is_passing(self) -> bool:
        """Whether a program has asked something once and not gone on: most such requests never do.

        It leaves memory before others do, and is on no disk but at the program's end.
        """
        return self.id is not None and self.id.is_programs and len(self.conversation.nodes) <= 2

    def begin(self) -> datetime:
        """Its first message is taken, now or before; when that was."""
        self.began_at = self.began_at or datetime.now().astimezone()
        return self.began_at

    def dated(self, setting: Setting) -> Setting:
        """The setting with the date of this conversation, so that a new day changes no prompt."""
        return replace(setting, began_at=self.began_at)

    @property
    def active(self) -> Branch:
        """The branch to go on with behind the head."""
        return self.nearest(self.conversation.head)

    def nearest(self, leaf: int | None) -> Branch:
        """The branch that ends with message `leaf`, or else shares the most messages with its path."""
        if leaf in self.branches:
            return self.branches[leaf]
        path = [node.id for node in self.conversation.path(leaf)]

        def likeness(item: tuple[int | None, Branch]) -> tuple[int, float]:
            other = [node.id for node in self.conversation.path(item[0])]
            return common_length(path, other), item[1].last_used_at

        return max(self.branches.items(), key=likeness, default=(None, Branch()))[1]

    def take(self, leaf: int | None, pool: BlockPool) -> Branch:
        """The branch to go on with behind `leaf`: its own, or a fork of the nearest, which stays."""
        if leaf in self.branches:
            return self.branches.pop(leaf)
        return self.nearest(leaf).fork(pool)

    @property
    def num_blocks(self) -> int:
        """Blocks of the pool that hold KV of any of the branches."""
        branches = list(self.branches.values())
        return len({block for branch in branches for block in branch.sequence.block_table})

    def publish(self) -> None:
        """The conversation has changed."""
        self.transcript = self.conversation.transcript()

    def refresh(self) -> None:
        """Something about shown messages has changed, but not which are shown."""
        nodes = self.conversation.nodes
        self.transcript = tuple(replace(e, node=nodes[e.node.id]) for e in self.transcript)

    def forget_engine(self) -> None:
        """The blocks are gone with their pool; what was being said was interrupted."""
        for branch in self.branches.values():
            branch.sequence = Sequence(branch.sequence.tokens[: branch.ledger.num_tokens])
            branch.is_shifted = False
        nodes = self.conversation.nodes
        for node in [node for node in nodes.values() if node.status == "streaming"]:
            nodes[node.id] = replace(node, status="interrupted")
        self.publish()

    def kept(self, keep: int | None) -> list[Node]:
        """The first `keep` messages, None for all. Raises RequestError if there are not as many."""
        path = self.conversation.path(self.conversation.head)
        if keep is not None and not 0 <= keep <= len(path):
            raise RequestError(f"The conversation has {len(path)} messages; {keep} cannot be kept.")
        return path[:keep]


class SessionTable:
    """All sessions by id. Opening and looking up may be done from any thread.

    load: makes the session of an id that is not open yet.
    """

    def __init__(self, load: Callable[[SessionId], Session] | None = None) -> None:
        self._load = load or Session
        self._sessions: dict[SessionId, Session] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def __contains__(self, session_id: SessionId) -> bool:
        return session_id in self._sessions

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._sessions.values()))

    def open(self, session_id: SessionId) -> Session:
        """The session of that id, loaded or made if it is not open."""
        if session_id not in self._sessions:
            self._sessions.setdefault(session_id, self._load(session_id))
        return self._sessions[session_id]

    def find(self, session_id: SessionId) -> Session:
        """The session of that id. Raises SessionNotFound."""
        try:
            return self._sessions[session_id]
        except KeyError:
            raise SessionNotFound(
                "This conversation is not open here any more; start a new one."
            ) from None

    def remove(self, session_id: SessionId) -> Session | None:
        """Forget the session; None if there was none."""
        return self._sessions.pop(session_id, None)

    def start_again(self) -> None:
        """The engine was lost, and its pool: no branch has KV, and nothing streams any more."""
        for session in self:
            session.forget_engine()

    def branches(self) -> Iterator[tuple[Session, int | None, Branch]]:
        """Every branch with its session and its last message."""
        for session in self:
            for leaf, branch in list(session.branches.items()):
                yield session, leaf, branch
