"""Patterns for PCRE2: white space is what it is for the tokenizers library."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Regex, Tokenizer, decoders, models
from tokenizers import pre_tokenizers as pre

from export.tokenizer import TokenizerSource, write
from export.tokenizers.patterns import for_pcre2
from tests.export.tokenizer_texts import CompiledPair

SPACES = r"\t-\r\x{85}\p{Z}"


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"a\s+", rf"a[{SPACES}]+"),
        (r"[^\s\p{L}]+\s", rf"[^{SPACES}\p{{L}}]+[{SPACES}]"),
        (r"\s+(?!\S)", rf"[{SPACES}]+(?![^{SPACES}])"),
        (r"\\s\[\s", rf"\\s\[[{SPACES}]"),
        (r"[\]\s]\s", rf"[\]{SPACES}][{SPACES}]"),
        (r"[]\s]", rf"[]{SPACES}]"),
        (r"[\s\S]", rf"[{SPACES}\S]"),
        (r"\p{N}{1,3}", r"\p{N}{1,3}"),
    ],
)
def test_white_space_is_spelled_out(pattern: str, expected: str) -> None:
    assert for_pcre2(pattern) == expected


def test_the_mongolian_vowel_separator_is_no_white_space(tmp_path: Path) -> None:
    alphabet = sorted(pre.ByteLevel.alphabet())
    own = Tokenizer(models.BPE({letter: i for i, letter in enumerate(alphabet)}, []))
    split = pre.Split(Regex(r"\s+|\S+"), "isolated")
    own.pre_tokenizer = pre.Sequence(
        [split, pre.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    own.decoder = decoders.ByteLevel()
    # A merge across the boundary that the character would be.
    vocab = {letter: i for i, letter in enumerate(alphabet)}
    last = pre.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str("\u180e")[0][0][
        -1
    ]
    vocab[f"{last}a"] = len(vocab)
    own.model = models.BPE(vocab, [(last, "a")])
    own.add_special_tokens(["<|end|>"])
    write(TokenizerSource(own), tmp_path)
    text = "\u180ea \u180e\xa0a\x85\u3000a"
    assert CompiledPair(tmp_path).encode(text) == own.encode(text).ids
