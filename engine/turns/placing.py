"""Where in a conversation a request goes on.

Owns: which of its messages stay in front of the new one, which are to be added, and whether the new one
was said there already, so that another reply is wanted. Pure: nothing is changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.conversations import Node, Session
from engine.errors import RequestError
from engine.text import Message
from engine.turns.turn import TurnRequest

NOTHING_TO_CONTINUE = "The last answer is whole; there is nothing to continue."


@dataclass(frozen=True, slots=True)
class Place:
    """kept: messages of the conversation. added: those that it does not have yet, behind them.

    question: the request's own message, where it was said there already.
    """

    kept: Sequence[Node]
    added: Sequence[Message] = ()
    question: Node | None = None

    @property
    def leaf(self) -> int | None:
        """The last message of the conversation that the request's prompt goes on from."""
        return last(self.kept) if self.question is None else self.question.id

    @property
    def before(self) -> list[Message]:
        """What stands in front of the request's message, in the conversation's own words."""
        return [*(Message(n.role, n.content) for n in self.kept), *self.added]


def place_of(session: Session, request: TurnRequest) -> Place:
    """Where `request` goes on. Raises RequestError."""
    if request.continues:
        return Place(_unfinished(session))
    if request.behind is not None:
        return _behind(session, request.behind, Message("user", request.message))
    return Place(session.kept(request.keep), (), _said_already(session, request))


def last(path: Sequence[Node]) -> int | None:
    """The id of the last of these messages; None without any."""
    return path[-1].id if path else None


def _behind(session: Session, behind: Sequence[Message], message: Message) -> Place:
    path = session.conversation.follow([*behind, message])
    if len(path) > len(behind):
        return Place(path[:-1], (), path[-1])
    return Place(path, behind[len(path) :])


def _unfinished(session: Session) -> list[Node]:
    """The path to the last message, a reply that was cut off."""
    path = session.kept(None)
    if not path or not path[-1].is_unfinished:
        raise RequestError(NOTHING_TO_CONTINUE)
    return path


def _said_already(session: Session, request: TurnRequest) -> Node | None:
    """The shown message at the place of the request's, if it says the same: a new reply is wanted."""
    path = session.kept(None)
    if request.keep is None or request.keep >= len(path):
        return None
    node = path[request.keep]
    return node if (node.role, node.content) == ("user", request.message) else None
