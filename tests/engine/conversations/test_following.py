"""A list of messages finds its place in a tree."""

from engine.conversations import Node
from engine.conversations.conversation import Conversation
from engine.text import Message

HELLO, HI, BYE = Message("user", "Hello"), Message("assistant", "Hi"), Message("user", "Bye")


def tree(*nodes: tuple[int, int | None, str, str]) -> Conversation:
    conversation = Conversation()
    for node in nodes:
        conversation.add(Node(*node))
    return conversation


def ids(conversation: Conversation, *messages: Message) -> list[int]:
    return [node.id for node in conversation.follow(messages)]


def test_messages_are_followed_as_far_as_they_were_said() -> None:
    conversation = tree((1, None, "user", "Hello"), (2, 1, "assistant", "<think>\n</think>\nHi "))
    assert ids(conversation, HELLO, HI, BYE) == [1, 2]
    assert ids(conversation, HELLO) == [1]
    assert ids(conversation, BYE) == []
    assert ids(conversation, Message("assistant", "Hello")) == []
    assert ids(Conversation(), HELLO) == []


def test_of_two_that_say_the_same_the_one_that_goes_on_is_followed() -> None:
    conversation = tree(
        (1, None, "user", "Hello"), (2, 1, "assistant", "Hi"), (3, 2, "user", "Bye"),
        (4, 1, "assistant", "Hi"), (5, 4, "user", "And?"),
    )  # fmt: skip
    assert ids(conversation, HELLO, HI, BYE) == [1, 2, 3]
    assert ids(conversation, HELLO, HI, Message("user", "New")) == [1, 4], "it is shown"
    conversation.head = 3
    assert ids(conversation, HELLO, HI, Message("user", "New")) == [1, 2]
