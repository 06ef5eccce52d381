"""What was said, as a tree: editing or regenerating adds a branch and keeps the old one.

Owns: nodes and which of them is the head, the last message of what is being talked about now. Pure
values and look-ups; knows neither tokens nor files.
"""

from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Node:
    """One message. parent: the one before it, None at the beginning.

    status: complete, interrupted or streaming.
    """

    id: int
    parent: int | None
    role: str
    content: str
    status: str = "complete"


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

    def update(self, node_id: int, content: str, status: str) -> None:
        """A message has more text, or another status."""
        self.nodes[node_id] = replace(self.nodes[node_id], content=content, status=status)

    def _children(self) -> dict[int | None, tuple[int, ...]]:
        """What follows each message, oldest first."""
        children: dict[int | None, list[int]] = {}
        for node_id in sorted(self.nodes):
            children.setdefault(self.nodes[node_id].parent, []).append(node_id)
        return {parent: tuple(ids) for parent, ids in children.items()}
