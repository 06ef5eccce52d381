"""What of a reply is said to people."""

import pytest

from engine.text import answer_of


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("Paris.", "Paris."),
        (" Paris.\n", "Paris."),
        ("<think>\nFrance.\n</think>\n\nParis.", "Paris."),
        ("<think>\n\n</think>\n\nParis.", "Paris."),
        ("France.\n</think>\n\nParis.", "Paris."),
        ("<think>\nFrance, and no end", ""),
        ("It writes <think>, and then </think>.", "It writes <think>, and then </think>."),
    ],
)
def test_thoughts_in_front_of_an_answer_are_none_of_it(reply: str, answer: str) -> None:
    assert answer_of(reply) == answer


def test_thoughts_that_the_prompt_opened_and_nobody_closed_have_no_answer() -> None:
    assert answer_of("France, and no end", is_opened=True) == ""
