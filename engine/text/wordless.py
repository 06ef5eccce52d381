"""Thoughts without a word: marks around white space, which templates put in and leave out as they like.

Owns: where they begin and end in a text. What differs in them alone says the same. Does not know: tokens.
"""

import re

OPEN_THOUGHTS, CLOSE_THOUGHTS = "<think>", "</think>"  # how models that think mark where they do

_OPENED = re.compile(rf"{OPEN_THOUGHTS}\s*(?:{CLOSE_THOUGHTS}\s*)?\Z")
_LEADING = re.compile(rf"\s*(?:(?:{OPEN_THOUGHTS}\s*)?{CLOSE_THOUGHTS}\s*)?")


def unopened(prompt: str) -> str:
    """A prompt without the thoughts that it ends in, opened, or closed at once."""
    return _OPENED.sub("", prompt)


def behind(text: str, start: int = 0) -> int:
    """Where in `text` the words begin, from `start` on: behind white space and thoughts without any."""
    found = _LEADING.match(text, start)
    assert found is not None, "it matches nothing, too"
    return found.end()
