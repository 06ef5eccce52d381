"""The text that a session's token ids stand for, so that a turn encodes only what is new.

Owns: the segments of the text (delta: encoded by us; reply: sampled by the model). Does not own the
ids: they are the sequence's. Does not know: KV, scheduling. The ids that the model produced are the
truth; a reply is never encoded again unless the template really changes its text.
Invariant: the segments' token counts add up to the length of the sequence's tokens.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from engine.sequence import common_length


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of the conversation's text and the number of tokens it is.

    ends: for a reply, the text offset at which each of its tokens ends; None for a delta.
    """

    text: str
    num_tokens: int
    ends: tuple[int, ...] | None = None

    def match(self, text: str, start: int) -> int | None:
        """Where in `text` this segment ends if it stands at `start`; None if it does not.

        Templates strip the white space around replies; that leaves a reply the same reply.
        """
        if text.startswith(self.text, start):
            return start + len(self.text)
        stripped = self.text.strip()
        if self.ends is None or not stripped:
            return None
        begin = start + len(text[start:]) - len(text[start:].lstrip())
        return begin + len(stripped) if text.startswith(stripped, begin) else None

    def head(self, text: str) -> "Segment":
        """The tokens of this reply that `text` begins with; none if no text of it is left."""
        assert self.ends is not None
        common = common_length(self.text, text)
        count = bisect_right(self.ends, common) if common else 0
        ends = self.ends[:count]
        return Segment(self.text[: ends[-1] if ends else 0], count, ends)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a turn does: keep the first `num_kept` tokens, append `new_tokens`.

    segments: of the whole text then; kept: those of them that stood there before.
    """

    num_kept: int
    new_tokens: list[int]
    segments: tuple[Segment, ...]
    kept: tuple[Segment, ...] = ()


@dataclass(frozen=True, slots=True)
class Ledger:
    """The segments of one session's tokens. A value: every change makes a new one."""

    segments: tuple[Segment, ...] = ()

    @property
    def num_tokens(self) -> int:
        """Tokens that the segments stand for."""
        return sum(segment.num_tokens for segment in self.segments)

    def plan(
        self, text: str, tokens: Sequence[int], encode: Callable[[str, int], list[int]]
    ) -> Plan:
        """How to get from `tokens` to the tokens of `text`, keeping as many as possible.

        tokens: the session's ids. encode(text, n): the ids of a text that goes on after the first
        n of them.
        """
        kept, num_kept, offset = self._matching(text)
        rest = text[offset:]
        ids = encode(rest, num_kept) if rest else []
        same = common_length(ids, tokens[num_kept:])
        segments = (*kept, Segment(rest, len(ids))) if ids else kept
        return Plan(num_kept + same, ids[same:], segments, kept)

    def with_reply(self, text: str, ends: Sequence[int]) -> "Ledger":
        """The ledger after a reply whose tokens end at the offsets `ends` in `text`."""
        if not ends:
            return self
        reply = Segment(text[: ends[-1]], len(ends), tuple(ends))
        return replace(self, segments=(*self.segments, reply))

    def _matching(self, text: str) -> tuple[tuple[Segment, ...], int, int]:
        """The segments that `text` begins with: they, their token count, and where they end in it."""
        num_tokens = offset = 0
        for i, segment in enumerate(self.segments):
            if offset == len(text):  # what is behind, if only a token without text, is not of it
                return self.segments[:i], num_tokens, offset
            end = segment.match(text, offset)
            if end is None:
                if segment.ends is None:
                    return self.segments[:i], num_tokens, offset
                head = segment.head(text[offset:])
                kept = (*self.segments[:i], head) if head.num_tokens else self.segments[:i]
                return kept, num_tokens + head.num_tokens, offset + len(head.text)
            offset, num_tokens = end, num_tokens + segment.num_tokens
        return self.segments, num_tokens, offset
