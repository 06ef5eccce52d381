"""The tree of what was said: paths, versions, and where the talk last went."""

import time

from hypothesis import given
from hypothesis import strategies as st

from engine.conversations.conversation import Conversation, Node
from engine.events import Finished, FinishReason
from engine.metrics import TurnClock

CANCELLED = Finished(FinishReason.CANCELLED, TurnClock().figures())


def tree(*parents: int | None) -> Conversation:
    """Messages 1, 2, ... behind these parents."""
    conversation = Conversation()
    for number, parent in enumerate(parents, 1):
        role = "user" if number % 2 else "assistant"
        conversation.add(Node(number, parent, role, f"text {number}"))
    return conversation


def test_the_newest_message_is_the_head() -> None:
    assert tree(None, 1, 2).head == 3
    assert tree(None, 1, 1).head == 3


def test_a_path_leads_from_the_beginning_to_its_leaf() -> None:
    conversation = tree(None, 1, 2, 3, 2)
    assert [node.id for node in conversation.path(4)] == [1, 2, 3, 4]
    assert [node.id for node in conversation.path(5)] == [1, 2, 5]
    assert conversation.path(None) == []


def test_versions_are_the_messages_at_the_same_place_oldest_first() -> None:
    conversation = tree(None, 1, None, 1, 2)
    assert conversation.versions(1) == conversation.versions(3) == (1, 3)
    assert conversation.versions(4) == (2, 4)
    assert conversation.versions(5) == (5,)


def test_the_transcript_is_the_path_to_the_head_with_versions() -> None:
    conversation = tree(None, 1, 1, 3)
    entries = conversation.transcript()
    assert [entry.node.id for entry in entries] == [1, 3, 4]
    assert [entry.versions for entry in entries] == [(1,), (2, 3), (4,)]
    conversation.head = None
    assert conversation.transcript() == ()


def test_the_newest_leaf_follows_the_newest_child_at_each_fork() -> None:
    conversation = tree(None, 1, 2, 1, 4, 2)
    assert conversation.newest_leaf(1) == 5
    assert conversation.newest_leaf(2) == 6
    assert conversation.newest_leaf(3) == 3


def test_an_update_changes_one_message_only() -> None:
    conversation = tree(None, 1)
    before = conversation.nodes[1]
    conversation.end(2, "more", "interrupted", CANCELLED)
    conversation.rate(2, "like")
    assert conversation.nodes[2] == Node(
        2, 1, "assistant", "more", "interrupted", CANCELLED, "like"
    )
    assert conversation.nodes[1] is before


def test_a_reply_is_unfinished_unless_it_ended_by_itself() -> None:
    def reply(status: str, reason: FinishReason | None, role: str = "assistant") -> bool:
        ending = None if reason is None else Finished(reason, TurnClock().figures())
        return Node(1, None, role, "text", status, ending).is_unfinished

    assert reply("interrupted", FinishReason.CANCELLED)
    assert reply("interrupted", None)
    assert reply("complete", FinishReason.LENGTH)
    assert not reply("complete", FinishReason.STOP)
    assert not reply("complete", None)
    assert not reply("streaming", None)
    assert not reply("complete", None, "user")


def test_what_was_answered_is_told_from_what_was_not() -> None:
    conversation = tree(None, 1, 2)
    assert [conversation.has_answers(i) for i in (1, 2, 3)] == [True, True, False]


@given(st.lists(st.integers(0, 30), max_size=30))
def test_paths_and_versions_of_any_tree_agree_with_its_parents(picks: list[int]) -> None:
    parents = [
        None if pick % (number + 1) == 0 else pick % (number + 1)
        for number, pick in enumerate(picks)
    ]
    conversation = tree(*parents)
    for number, parent in enumerate(parents, 1):
        path = conversation.path(number)
        assert [node.parent for node in path] == [None, *[node.id for node in path[:-1]]]
        assert path[-1].id == number
        brothers = [i for i, other in enumerate(parents, 1) if other == parent]
        assert list(conversation.versions(number)) == brothers
        conversation.head = number
        assert [entry.versions for entry in conversation.transcript()] == [
            conversation.versions(node.id) for node in path
        ]
        assert conversation.path(conversation.newest_leaf(number))[: len(path)] == path


def test_a_very_long_conversation_is_shown_at_once() -> None:
    length = 4000
    conversation = tree(None, *range(1, length))
    begin = time.perf_counter()
    assert len(conversation.transcript()) == length
    assert conversation.newest_leaf(1) == length
    assert time.perf_counter() - begin < 5  # quadratic, it took minutes
