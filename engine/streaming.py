"""Token ids to text as they arrive, without ever showing a broken character or a stop string.

Owns: one reply's text so far, and where in it each token ends. Does not know: the model, the page.
Decoding token by token is wrong (a character may span tokens, a space may belong to the next one),
so a window of ids is decoded twice, with and without the new ones, and the difference is the new
text; it is held back while it ends in U+FFFD. The scheme is that of `decode_token` in Hugging
Face's text-generation-inference.
"""

from bisect import bisect_right
from collections.abc import Sequence

BROKEN = "\ufffd"
MAX_HELD_TOKENS = 8  # a character has at most 4 bytes; more than that in a row are really broken


class ReplyText:
    """The text of one reply, growing token by token.

    context: the ids in front of the reply; the last of them are decoded along, so that a leading
    space is kept. stop: strings before which the reply ends.
    """

    def __init__(self, context: Sequence[int], stop: Sequence[str] = ()) -> None:
        self._ids = list(context[-MAX_HELD_TOKENS:])
        self._prefix = 0
        self._read = len(self._ids)
        self._num_decoded = len(self._ids)
        self._is_broken = False
        self._stop = tuple(stop)
        self._num_taken = 0
        self._ends: list[int] = []  # of each token: characters of text when it was complete
        self.text = ""
        self.stopped = False

    def add(self, token: int) -> None:
        """The reply goes on with `token`; `advance` must follow."""
        self._ids.append(token)

    def windows(self) -> tuple[list[int], list[int]]:
        """The two runs of ids whose texts `advance` wants: without and with the new tokens."""
        return self._ids[self._prefix : self._read], self._ids[self._prefix :]

    def advance(self, before: str, now: str) -> None:
        """Take the texts of the two windows, and add what is certain to the reply's text."""
        self._num_decoded = len(self._ids)
        held = self._num_decoded - self._read
        self._is_broken = now.endswith(BROKEN) and held < MAX_HELD_TOKENS
        if len(now) > len(before) and not self._is_broken:
            self.text += now[len(before) :]
            self._ends += [len(self.text)] * held
            self._prefix, self._read = self._read, len(self._ids)
            self._cut_at_stop()

    def take(self, *, final: bool = False) -> str:
        """Text not taken before; a tail that may become a stop string waits unless `final`."""
        end = len(self.text) - (0 if final or self.stopped else self._stop_overlap())
        piece = self.text[self._num_taken : end]
        self._num_taken += len(piece)
        return piece

    def kept(self) -> list[int]:
        """For each token of the finished reply that stays in the ledger: where in the text it ends.

        Left out are tokens behind a stop string, those of a character that never got complete, and
        those whose text never came because decoding failed.
        """
        held = self._num_decoded - self._read
        whole = self._ends if self._is_broken else self._ends + [len(self.text)] * held
        return whole[: bisect_right(whole, len(self.text))]

    def _cut_at_stop(self) -> None:
        found = [i for i in (self.text.find(string) for string in self._stop) if i >= 0]
        if found:
            self.stopped = True
            self.text = self.text[: min(found)]

    def _stop_overlap(self) -> int:
        """Length of the longest tail of the text that begins a stop string."""
        lengths = (
            n for s in self._stop for n in range(len(s) - 1, 0, -1) if self.text.endswith(s[:n])
        )
        return max(lengths, default=0)
