"""Thoughts and answers, told apart however the text is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.thoughts import Thoughts
from engine.text import answer_of

ALPHABET = st.sampled_from(["<", "think", ">", "</", "<think>", "</think>", " ", "\n", "a", "b"])


def split(pieces: list[str], *, is_opened: bool = False) -> tuple[str, str]:
    thoughts = Thoughts()
    if is_opened:
        thoughts.open()
    told = [piece for text in pieces for piece in thoughts.feed(text)]
    told += thoughts.end()
    assert all(piece.text for piece in told)
    return (
        "".join(p.text for p in told if p.is_thought),
        "".join(p.text for p in told if not p.is_thought),
    )


@pytest.mark.parametrize(
    ("reply", "thoughts", "answer"),
    [
        ("Paris.", "", "Paris."),
        ("<think>\nIt is\n\nhot.\n</think>\n\nParis.", "It is\n\nhot.", "Paris."),
        ("<think>\n\n</think>\n\nParis.", "", "Paris."),
        ("<think>It has no end", "It has no end", ""),
        ("<think", "", "<think"),
        ("A <think> in the midst </think>", "", "A <think> in the midst </think>"),
        ("<think>a < b </thin</think>c", "a < b </thin", "c"),
    ],
)
def test_marks_and_the_white_space_around_them_belong_to_neither(
    reply: str, thoughts: str, answer: str
) -> None:
    assert split([reply]) == (thoughts, answer)
    assert split([*reply]) == (thoughts, answer)


def test_thoughts_that_the_prompt_opened_need_no_mark() -> None:
    assert split(["Hm", ".\n</th", "ink>\n", "\nYes."], is_opened=True) == ("Hm.", "Yes.")


@given(st.lists(ALPHABET, max_size=12), st.booleans())
def test_what_is_told_does_not_depend_on_the_pieces(words: list[str], is_opened: bool) -> None:
    whole = "".join(words)
    told = split([whole], is_opened=is_opened)
    assert split(words, is_opened=is_opened) == told
    assert split([*whole], is_opened=is_opened) == told
    if is_opened or whole.lstrip().startswith("<think>") or "</think>" not in whole:
        assert told[1].strip() == answer_of(whole, is_opened=is_opened)
