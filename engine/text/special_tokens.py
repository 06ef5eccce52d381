"""The strings that stand for special tokens, and how user text is kept from ever meaning one.

Owns: the escape. A noncharacter, which no text may contain (Unicode 15, section 23.7), is put into
every special string that a message spells out; text is split there before it is encoded, so the
pieces can only become ordinary tokens. Does not know: the tokenizer, templates.
"""

import re
from bisect import bisect_left
from collections.abc import Sequence

SPLIT = "\ufdd0"
REPLACEMENT = "\ufffd"

_SURROGATE = re.compile("[\ud800-\udfff]")
_BRACKET = re.compile(r"[<>\[\]{}|｜]")


def is_mark(string: str) -> bool:
    """Whether a token that is not special looks like markup (<think>) rather than like text.

    Text is what some tokenizers add whole: runs of spaces, words of another language, one character.
    """
    return len(string) > 1 and _BRACKET.search(string) is not None


class Escape:
    """Splits special strings inside text that people or the model wrote."""

    def __init__(self, special_strings: Sequence[str]) -> None:
        single = [string for string in special_strings if len(string) == 1]
        # One character for one, so that offsets into the text stay what they are.
        self._replaced = dict.fromkeys(map(ord, [SPLIT, *single]), REPLACEMENT)
        longer = sorted((s for s in special_strings if len(s) > 1), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longer))) if longer else None

    def __call__(self, text: str) -> str:
        """`text` with a SPLIT inside every special string, and none of its own.

        What no tokenizer could read (halves of surrogate pairs) becomes U+FFFD.
        """
        text = _SURROGATE.sub(REPLACEMENT, text.translate(self._replaced))
        while self._pattern is not None and self._pattern.search(text):
            text = self._pattern.sub(lambda match: match[0][0] + SPLIT + match[0][1:], text)
        return text


def escaped_offsets(escaped: str, offsets: Sequence[int]) -> list[int]:
    """Offsets into a text as offsets into its escaped form."""
    splits = [i - n for n, i in enumerate(i for i, c in enumerate(escaped) if c == SPLIT)]
    return [offset + bisect_left(splits, offset) for offset in offsets]


def plain_offsets(escaped: str, offsets: Sequence[int]) -> list[int]:
    """Offsets into the escaped form of a text as offsets into the text."""
    splits = [i for i, c in enumerate(escaped) if c == SPLIT]
    return [offset - bisect_left(splits, offset) for offset in offsets]
