from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine import Message
from web.turns.history import kept_messages, user_texts


def page(*questions: str) -> list[dict[str, Any]]:
    """A history as the page sends it."""
    shown: list[dict[str, Any]] = []
    for text in questions:
        parts = [{"type": "text", "text": text}]
        shown.append({"role": "user", "metadata": None, "content": parts, "options": None})
        shown.append({"role": "assistant", "content": [*parts, {"type": "text", "text": "line"}]})
    return shown


def canonical(*questions: str) -> tuple[Message, ...]:
    return tuple(
        m for text in questions for m in (Message("user", text), Message("assistant", "a"))
    )


@given(st.lists(st.sampled_from(["a", "b", " c  c", "d"]), max_size=6), st.integers(0, 6))
def test_a_prefix_of_the_conversation_keeps_exactly_that_prefix(
    questions: list[str], n: int
) -> None:
    n = min(n, len(questions))
    assert kept_messages(page(*questions[:n]), canonical(*questions)) == 2 * n


def test_white_space_that_was_trimmed_does_not_matter_in_what_precedes() -> None:
    assert kept_messages(page("a\nb"), canonical("  a\n  b\n", "c")) == 2


def test_a_message_only_the_page_knows_counts_for_nothing() -> None:
    assert kept_messages(page("one", "refused", "two"), canonical("one", "two", "three")) == 4


def test_a_message_only_the_engine_knows_stays_before_a_later_one() -> None:
    assert kept_messages(page("one", "three"), canonical("one", "two", "three")) == 6


def test_plain_strings_of_gradio_client_are_read() -> None:
    history = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "a"}]
    assert user_texts(history) == ["one"]
    assert kept_messages(history, canonical("one", "two")) == 2


def test_the_history_of_another_conversation_removes_nothing() -> None:
    assert kept_messages(page("x", "y"), canonical("one", "two")) == 4
    assert kept_messages([], canonical("one", "two")) == 0
