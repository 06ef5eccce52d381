"""Replies in channels: what people see of them, at each moment, and the way back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.text.channels import (
    MARKS,
    marked,
    prompt_with,
    prompt_without_thoughts,
    shown,
    spelled,
    without_thoughts,
)

START, CHANNEL, MESSAGE, END = MARKS
ANALYSIS = f"{CHANNEL}analysis{MESSAGE}They ask for a capital."
FINAL = f"{CHANNEL}final{MESSAGE}It is Paris."
SPOKEN = f"{ANALYSIS}{END}{START}assistant{FINAL}"
SHOWN = "<think>\nThey ask for a capital.\n</think>\n\nIt is Paris."


@pytest.mark.parametrize(
    ("spoken", "expected"),
    [
        (SPOKEN, SHOWN),
        (FINAL, "It is Paris."),
        ("It is Paris.", "It is Paris."),  # the prompt had chosen the channel
        (ANALYSIS, "<think>\nThey ask for a capital."),
        (f"{ANALYSIS}{END}{START}assistant{CHANNEL}fin", "<think>\nThey ask for a capital."),
        (
            f"{ANALYSIS}{END}{START}assistant{CHANNEL}commentary{MESSAGE}Slowly.{END}{START}assistant{FINAL}",
            "<think>\nThey ask for a capital.\n\nSlowly.\n</think>\n\nIt is Paris.",
        ),
        (f"{START}assistant{SPOKEN}", SHOWN),
        (
            f"{CHANNEL}analysis to=x{MESSAGE}{END}{START}assistant{FINAL}",
            "<think>\n\n</think>\n\nIt is Paris.",
        ),
        (f"{SPOKEN}{END}rubbish", SHOWN),
        ("", ""),
    ],
)
def test_channels_are_thoughts_and_words(spoken: str, expected: str) -> None:
    assert shown(marked(spoken)) == expected


pieces = st.sampled_from([*MARKS, "assistant", "analysis", "final", "a ", "\n"])


@given(
    st.lists(
        st.tuples(st.sampled_from(["analysis", "commentary", "final"]), st.text("ab\n", max_size=9))
    )
)
def test_what_was_shown_stays(messages: list[tuple[str, str]]) -> None:
    texts = (f"{CHANNEL}{channel}{MESSAGE}{text}" for channel, text in messages)
    spoken = marked(f"{END}{START}assistant".join(texts))
    before = ""
    for end in range(len(spoken) + 1):
        now = shown(spoken[:end])
        assert now.startswith(before)
        before = now


@given(st.lists(pieces).map("".join))
def test_nobody_sees_a_mark(spoken: str) -> None:
    assert not set(shown(marked(spoken))) & set(MARKS.values())


@given(st.text("ab\n", max_size=9), st.text("ab\n", max_size=9), st.booleans())
def test_a_reply_goes_on_where_it_was(thoughts: str, answer: str, thinks: bool) -> None:
    prompt = marked(f"{START}assistant")
    reply = f"<think>\n{thoughts}\n</think>\n\n{answer}" if thinks else answer
    for asked in (prompt, prompt_without_thoughts(prompt)):
        assert shown(prompt_with(asked, reply).removeprefix(prompt)) == reply


def test_the_template_gets_the_answer_alone() -> None:
    assert without_thoughts(SHOWN) == "It is Paris."
    assert without_thoughts("It is <think>.") == "It is <think>."
    assert without_thoughts("<think>\nnot over") == ""


def test_marks_and_strings_are_the_same() -> None:
    assert spelled(marked(SPOKEN)) == SPOKEN
    assert not any(string in marked(SPOKEN) for string in MARKS)
