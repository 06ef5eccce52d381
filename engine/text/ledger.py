"""The text that a session's token ids stand for, so that a turn encodes only what is new.

Owns: the segments of the text (delta: encoded by us; reply: sampled by the model). Does not own the
ids: they are the sequence's. Does not know: KV, scheduling. The ids that the model produced are the
truth; a reply is never encoded again unless the template really changes its text. What the model saw in front
of a reply stays, too, where the template prints the same reply behind fewer marks of thoughts without a word:
some prompts open or close them (DeepSeek-R1, Qwen3), and the conversation afterwards has none.
Invariant: the segments' token counts add up to the length of the sequence's tokens.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

from engine.scheduling import common_length
from engine.text.wordless import CLOSE_THOUGHTS, behind, unopened

_CONTEXT = 8  # characters around a reply that tell it from others that say the same


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

        Templates strip the white space around replies, and thoughts that say nothing; that leaves a reply
        the same reply.
        """
        if text.startswith(self.text, start):
            return start + len(self.text)
        words = self.text[behind(self.text) :].rstrip()
        if self.ends is None or not words:
            return None
        begin = behind(text, start)
        return begin + len(words) if text.startswith(words, begin) else None

    def match_unopened(self, text: str, start: int, reply: "Segment") -> int | None:
        """As `match`, of a delta that opens thoughts in front of `reply`, where `text` does not.

        The reply says the same there, with no thoughts of its own, or begins to: an edited one.
        """
        head = unopened(self.text)
        if self.ends is not None or reply.ends is None or not text.startswith(head, start):
            return None
        end = start + len(head)
        says_more = CLOSE_THOUGHTS not in reply.text and reply.head(text[end:]).num_tokens
        return end if says_more or reply.match(text, end) is not None else None

    def find(self, text: str, start: int, before: str, after: str) -> tuple[int, int] | None:
        """Where in `text` this reply begins and ends, from `start` on; None if it is not there.

        before, after: what it stood between.
        """
        if self.ends is None:
            return None
        leads = dict.fromkeys((before[-_CONTEXT:], unopened(before)[-_CONTEXT:]))
        for said, lead in product(dict.fromkeys((self.text, self.text.strip())), leads):
            sought = lead + said + after[:_CONTEXT]
            if said and (place := text.find(sought, start)) >= 0:
                begin = place + len(lead)
                return begin, begin + len(said)
        return None

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

    segments: of the whole text then; kept: of the text up to where only new text follows.
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
        self, text: str, tokens: Sequence[int], encode: Callable[[str, int | None], list[int]]
    ) -> Plan:
        """How to get from `tokens` to the tokens of `text`, keeping as many as possible.

        tokens: the session's ids. encode(text, token): the ids of a text that goes on behind a
        token; None: at the beginning. Replies behind what is new or gone keep their ids.
        """
        kept, num_kept, offset = self._matching(text)
        segments, ids = list(kept), list(tokens[:num_kept])

        def add(delta: str) -> None:
            if new := encode(delta, ids[-1] if ids else None) if delta else []:
                segments.append(Segment(delta, len(new)))
                ids.extend(new)

        for reply, first, begin, end in self._found_again(text, offset, num_kept):
            add(text[offset:begin])
            segments.append(reply)
            ids += tokens[first : first + reply.num_tokens]
            offset, kept = end, tuple(segments)
        add(text[offset:])
        same = common_length(ids[num_kept:], tokens[num_kept:])
        return Plan(num_kept + same, ids[num_kept + same :], tuple(segments), kept)

    def with_reply(self, text: str, ends: Sequence[int]) -> "Ledger":
        """The ledger after a reply whose tokens end at the offsets `ends` in `text`."""
        if not ends:
            return self
        reply = Segment(text[: ends[-1]], len(ends), tuple(ends))
        return replace(self, segments=(*self.segments, reply))

    def open_reply(self) -> tuple["Ledger", Segment | None]:
        """The ledger without the reply that it ends with, and that reply; None if it ends with none.

        A reply that goes on becomes one segment, so that it is still matched as one.
        """
        if not self.segments or self.segments[-1].ends is None:
            return self, None
        return replace(self, segments=self.segments[:-1]), self.segments[-1]

    def _found_again(
        self, text: str, offset: int, num_kept: int
    ) -> Iterator[tuple[Segment, int, int, int]]:
        """Replies behind the kept tokens that stand in `text`, between the same texts as before.

        Each with its first token's index, and where it begins and ends in `text`, from `offset` on.
        """
        first = 0
        for before, segment, after in zip(
            (None, *self.segments), self.segments, (*self.segments[1:], None), strict=False
        ):
            if first >= num_kept and before is not None and before.ends is None:
                place = segment.find(text, offset, before.text, after.text if after else "")
                if place is not None:
                    yield segment, first, *place
                    offset = place[1]
            first += segment.num_tokens

    def _matching(self, text: str) -> tuple[tuple[Segment, ...], int, int]:
        """The segments that `text` begins with: they, their token count, and where they end in it."""
        num_tokens = offset = 0
        for i, segment in enumerate(self.segments):
            if offset == len(text):  # what is behind, if only a token without text, is not of it
                return self.segments[:i], num_tokens, offset
            end = segment.match(text, offset)
            if end is None and i + 1 < len(self.segments):
                end = segment.match_unopened(text, offset, self.segments[i + 1])
            if end is None:
                if segment.ends is None:
                    return self.segments[:i], num_tokens, offset
                head = segment.head(text[offset:])
                kept = (*self.segments[:i], head) if head.num_tokens else self.segments[:i]
                return kept, num_tokens + head.num_tokens, offset + len(head.text)
            offset, num_tokens = end, num_tokens + segment.num_tokens
        return self.segments, num_tokens, offset
