"""Token ids to text as they arrive, without ever showing a broken character or a stop string.

Owns: one reply's text so far, and where in it each token ends. Does not know: the model, the page.
Decoding token by token is wrong (a character may span tokens, a space may belong to the next one),
so a window of ids is decoded without a token and with it, and the difference is the token's text; it
is held back while it ends in U+FFFD. The scheme is that of `decode_token` in Hugging Face's
text-generation-inference. Tokens may gather before they are decoded, all in one call.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence

BROKEN = "\ufffd"
MAX_HELD_TOKENS = 8  # a character has at most 4 bytes; more than that in a row are really broken


class ReplyText:
    """The text of one reply, growing token by token.

    context: the ids in front of the reply; the last of them are decoded along, so that a leading
    space is kept. stop: strings before which the reply ends. show: what people see of it. spoken: its
    text as the tokens say it.
    """

    def __init__(
        self,
        context: Sequence[int],
        stop: Sequence[str] = (),
        show: Callable[[str], str] = str,
    ) -> None:
        self._ids = list(context[-MAX_HELD_TOKENS:])
        self._prefix = 0
        self._read = len(self._ids)
        self._num_decoded = len(self._ids)
        self._is_broken = False
        self._stop = tuple(stop)
        self._num_taken = 0
        self._ends: list[int] = []  # of each token: characters of text when it was complete
        self._show = show
        self.spoken = ""
        self.stopped = False

    @property
    def text(self) -> str:
        """What people see so far."""
        return self._show(self.spoken)

    @property
    def can_stop(self) -> bool:
        """Whether the text decides where the reply ends."""
        return bool(self._stop)

    @property
    def has_unread(self) -> bool:
        """Whether there are tokens that `advance` has not seen."""
        return self._num_decoded < len(self._ids)

    def add(self, token: int) -> None:
        """The reply goes on with `token`; `advance` is to follow, at once or after other tokens."""
        self._ids.append(token)

    def windows(self) -> list[list[int]]:
        """The runs of ids whose texts `advance` wants: without the new tokens, and up to each of them."""
        ends = [self._read, *range(self._num_decoded + 1, len(self._ids) + 1)]
        return [self._ids[self._prefix : end] for end in ends]

    def advance(self, texts: Sequence[str]) -> None:
        """Take the texts of the windows, and add what is certain to the reply's text."""
        before, prefix = texts[0], self._prefix
        for now in texts[1:]:
            self._num_decoded += 1
            held = self._num_decoded - self._read
            self._is_broken = now.endswith(BROKEN) and held < MAX_HELD_TOKENS
            if len(now) > len(before) and not self._is_broken:
                self.spoken += now[len(before) :]
                self._ends += [len(self.spoken)] * held
                prefix, self._read, before = self._read, self._num_decoded, now
                self._cut_at_stop()
            if self.stopped:
                break
        self._prefix = prefix

    def take(self, *, final: bool = False) -> str:
        """Text not taken before; a tail that may become a stop string waits unless `final`."""
        text = self.text
        end = len(text) - (0 if final or self.stopped else self._stop_overlap())
        piece = text[self._num_taken : end]
        self._num_taken += len(piece)
        return piece

    def kept(self) -> list[int]:
        """For each token of the finished reply that stays in the ledger: where in `spoken` it ends.

        Left out are tokens behind a stop string, those of a character that never got complete, and
        those whose text never came because decoding failed.
        """
        held = self._num_decoded - self._read
        whole = self._ends if self._is_broken else self._ends + [len(self.spoken)] * held
        return whole[: bisect_right(whole, len(self.spoken))]

    def _cut_at_stop(self) -> None:
        found = [i for i in (self.spoken.find(string) for string in self._stop) if i >= 0]
        if found:
            self.stopped = True
            self.spoken = self.spoken[: min(found)]

    def _stop_overlap(self) -> int:
        """Length of the longest tail of the text that begins a stop string."""
        lengths = (
            n for s in self._stop for n in range(len(s) - 1, 0, -1) if self.spoken.endswith(s[:n])
        )
        return max(lengths, default=0)
