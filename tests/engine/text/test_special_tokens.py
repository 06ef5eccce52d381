"""The escape: no text that anyone writes becomes a special token."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.text.special_tokens import SPLIT, Escape, escaped_offsets, is_mark
from tests.engine.fakes import SPECIAL, SPECIAL_IDS, FakeTokenizer

fragments = st.lists(
    st.sampled_from(["<", "|", ">", "<|", "|>", "end", "im_", "s", SPLIT, "\ud800", *SPECIAL]),
    max_size=14,
).map("".join)


@given(fragments | st.text())
def test_no_text_yields_a_special_token(text: str) -> None:
    tokenizer = FakeTokenizer()
    ids = tokenizer.encode(tokenizer.escape(text))
    assert not set(ids) & set(SPECIAL_IDS.values())


@given(fragments | st.text())
def test_nothing_else_of_the_text_changes(text: str) -> None:
    escaped = Escape(SPECIAL)(text).replace(SPLIT, "")
    expected = "".join("\ufffd" if c == SPLIT or "\ud800" <= c <= "\udfff" else c for c in text)
    assert escaped == expected


@given(st.lists(st.text("ab", min_size=2, max_size=4), min_size=1, max_size=4), st.text("ab"))
def test_overlapping_special_strings_are_all_split(special: list[str], text: str) -> None:
    escaped = Escape(special)(text)
    assert not any(string in escaped for string in special)
    assert escaped.replace(SPLIT, "") == text


@pytest.mark.parametrize(
    "text", ["<|<|end|>|>", "<|im_end|>s", "<|im_<|im_end|>end|>", "<|end|>" * 3]
)
def test_nested_special_strings_are_split(text: str) -> None:
    escaped = Escape(SPECIAL)(text)
    assert not any(string in escaped for string in SPECIAL)


def test_a_special_string_of_one_character_is_replaced() -> None:
    assert Escape(["§", "<s>"])("a§b<s>") == f"a\ufffdb<{SPLIT}s>"


def test_a_model_without_special_strings_escapes_nothing() -> None:
    assert Escape([])("<|im_end|>") == "<|im_end|>"


@given(fragments, st.lists(st.integers(0, 80)))
def test_offsets_point_to_the_same_characters_in_the_escaped_text(
    text: str, offsets: list[int]
) -> None:
    offsets = sorted(min(offset, len(text)) for offset in offsets)
    escaped = Escape(SPECIAL)(text)
    plain = escaped.replace(SPLIT, "")
    for offset, there in zip(offsets, escaped_offsets(escaped, offsets), strict=True):
        assert escaped[:there].replace(SPLIT, "") == plain[:offset]


@pytest.mark.parametrize(
    ("string", "expected"),
    [
        *(("<think>", True), ("[TOOL]", True), ("｜x｜", True), ("  ", False), ("\n\n", False)),
        *(("你好", False), ("<", False), ("§", False)),
    ],
)
def test_what_is_not_special_is_a_mark_only_with_brackets(string: str, expected: bool) -> None:
    assert is_mark(string) == expected
