"""What was said, as a tree: editing or regenerating adds a branch and keeps the old one.

Owns: nodes and which of them is the head, the last message of what is being talked about now. Pure
values and look-ups; knows neither tokens nor files.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from engine.events import Finished, FinishReason
from engine.text import Message, answer_of

Feedback = Literal["like", "dislike"]


@dataclass(frozen=True, slots=True)
class Node:
    """One message. parent: the one before it, None at the beginning.

    status: complete, interrupted or streaming. ending: of a reply, how it ended and what it cost;
    None while it streams, or when its end was not seen. feedback: what the person thinks of it.
    is_edited: a person has written in this reply; as long as the model has said nothing behind that,
    it has no ending.
    """

    id: int
    parent: int | None
    role: str
    content: str
    status: str = "complete"
    ending: Finished | None = None
    feedback: Feedback | None = None
    is_edited: bool = False

    @property
    def is_unfinished(self) -> bool:
        """Whether this is a reply that was cut off, stopped or interrupted, or ends with a person's words."""
        if self.role != "assistant" or self.status == "streaming":
            return False
        if self.status == "interrupted":
            return True
        if self.ending is None:
            return self.is_edited
        return self.ending.reason is not FinishReason.STOP

    def says(self, message: Message) -> bool:
        """Whether this is `message` as a program sends it back: thoughts and white space may be missing."""
        if self.role != message.role:
            return False
        if self.role != "assistant":
            return self.content.strip() == message.content.strip()
        is_opened = self.ending is not None and self.ending.figures.opens_thinking
        return answer_of(self.content, is_opened=is_opened) == answer_of(message.content)


@dataclass(frozen=True, slots=True)
class Entry:
    """A message as people see it: with the other versions of it, itself included, oldest first."""

    node: Node
    versions: tuple[int, ...]


@dataclass(slots=True)
class Conversation:
    """A tree of messages with a head."""

    nodes: dict[int, Node] = field(default_factory=dict)
    head: int | None = None

    def path(self, leaf: int | None) -> list[Node]:
        """The messages from the beginning to `leaf`."""
        path = []
        while leaf is not None:
            path.append(self.nodes[leaf])
            leaf = self.nodes[leaf].parent
        return path[::-1]

    def transcript(self) -> tuple[Entry, ...]:
        """The messages up to the head, each with its versions."""
        children = self._children()
        return tuple(Entry(node, children[node.parent]) for node in self.path(self.head))

    def follow(self, messages: Sequence[Message]) -> list[Node]:
        """The path from the beginning that says these messages, as far as one does.

        Of several, the one that is shown, or else the newest.
        """
        children, leaves, shown = self._children(), [], {node.id for node in self.path(self.head)}
        ends: list[int | None] = [None]
        for message in messages:
            found = [
                n for end in ends for n in children.get(end, ()) if self.nodes[n].says(message)
            ]
            if not found:
                break
            leaves, ends = found, [*found]
        return self.path(max(leaves, key=lambda n: (n in shown, n), default=None))

    def versions(self, node_id: int) -> tuple[int, ...]:
        """The messages that stand at the same place, `node_id` included, oldest first."""
        return self._children()[self.nodes[node_id].parent]

    def newest_leaf(self, node_id: int) -> int:
        """Where the talk behind a message last went."""
        children = self._children()
        while node_id in children:
            node_id = children[node_id][-1]
        return node_id

    def add(self, node: Node) -> None:
        """A message was said; it is the head now."""
        self.nodes[node.id] = node
        self.head = node.id

    def end(self, node_id: int, content: str, status: str, ending: Finished) -> None:
        """A reply is over: its text, and how it ended."""
        node = self.nodes[node_id]
        self.nodes[node_id] = replace(node, content=content, status=status, ending=ending)

    def rate(self, node_id: int, feedback: Feedback | None) -> None:
        """The person likes a reply, dislikes it, or neither."""
        self.nodes[node_id] = replace(self.nodes[node_id], feedback=feedback)

    def has_answers(self, node_id: int) -> bool:
        """Whether anything was said behind a message."""
        return any(node.parent == node_id for node in self.nodes.values())

    def _children(self) -> dict[int | None, tuple[int, ...]]:
        """What follows each message, oldest first."""
        children: dict[int | None, list[int]] = {}
        for node_id in sorted(self.nodes):
            children.setdefault(self.nodes[node_id].parent, []).append(node_id)
        return {parent: tuple(ids) for parent, ids in children.items()}
