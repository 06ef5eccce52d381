"""A reply's thoughts and its answer, told apart while it streams.

Owns: which piece of text is which. Only thoughts in front of the answer count: behind it `<think>` is what
the answer is about. The marks and the white space around them belong to neither.
Invariant: the pieces of the answer, joined, are `engine.text.answer_of` the reply, but for white space at its end.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from engine.text import CLOSE_THOUGHTS, OPEN_THOUGHTS


@dataclass(frozen=True, slots=True)
class Piece:
    """More of a reply: of its thoughts, or of its answer."""

    text: str
    is_thought: bool = False


class Thoughts:
    """Splits one reply."""

    def __init__(self) -> None:
        self._held = ""  # might be a mark, or the white space in front of one
        self._state = "begin"  # then "thinking", and "answering"
        self._has_text = False

    def open(self) -> None:
        """The reply begins inside the thoughts."""
        self._state = "thinking"

    def feed(self, text: str) -> Iterator[Piece]:
        """What can be told once `text` has come."""
        self._held += text
        if self._state == "begin":
            self._begin()
        if self._state == "thinking":
            yield from self._think()
        if self._state == "answering":
            yield from self._piece(self._held, is_thought=False)
            self._held = ""

    def end(self) -> Iterator[Piece]:
        """What is left at the end."""
        yield from self._piece(self._held, is_thought=self._state == "thinking")
        self._held = ""

    def _begin(self) -> None:
        start = self._held.lstrip()
        if start.startswith(OPEN_THOUGHTS):
            self._held, self._state = start.removeprefix(OPEN_THOUGHTS), "thinking"
        elif start and not OPEN_THOUGHTS.startswith(start):
            self._state = "answering"

    def _think(self) -> Iterator[Piece]:
        thoughts, closing, answer = self._held.partition(CLOSE_THOUGHTS)
        if closing:
            yield from self._piece(thoughts.rstrip(), is_thought=True)
            self._held, self._state, self._has_text = answer, "answering", False
            return
        settled = len(thoughts.rstrip())  # white space may be the last
        for length in range(len(CLOSE_THOUGHTS) - 1, 0, -1):
            if thoughts.endswith(CLOSE_THOUGHTS[:length]):
                settled = min(settled, len(thoughts[:-length].rstrip()))
                break
        yield from self._piece(thoughts[:settled], is_thought=True)
        self._held = thoughts[settled:]

    def _piece(self, text: str, *, is_thought: bool) -> Iterator[Piece]:
        if not self._has_text:
            text = text.lstrip()
        if text:
            self._has_text = True
            yield Piece(text, is_thought)
