"""Guesses of what a reply says next, so that one step can yield several tokens.

Owns: what steps of few tokens cost, each reply's guesses, and how often they were right. Does not
know: text, KV, sampling. A guess is what followed the last two tokens when they last occurred in
the conversation (prompt lookup: Saxena, 2023); the step that computes it also tells whether it is
what would have been sampled, so the reply stays what it would have been (Leviathan et al., 2023).
A decode step reads all weights for one token; a few more tokens cost little. It guesses only as far
as measured costs say that it pays.
"""

from collections.abc import Sequence

from engine.sequence import Batch

MAX_GUESSES = 7  # for each reply
MAX_REPLIES = 4  # above, a step has enough tokens without guesses
_NGRAM = 2
_FIRST_TRUST = 0.5
_WEIGHT = 0.2  # of the newest measurement


class StepCosts:
    """Seconds of steps over few tokens, by their number; learnt from every step that is run."""

    def __init__(self) -> None:
        self._seconds: dict[int, float] = {}

    def observe(self, batch: Batch, seconds: float) -> None:
        """A step over `batch` took so long."""
        count = batch.num_tokens
        if count <= MAX_REPLIES * (1 + MAX_GUESSES):
            old = self._seconds.get(count, seconds)
            self._seconds[count] = (1 - _WEIGHT) * old + _WEIGHT * seconds

    def guesses_that_pay(self, num_replies: int, trust: float) -> int:
        """How many guesses for each reply yield the most tokens per second; 0 if costs are unknown.

        trust: the probability that a guess is right if those before it were.
        """
        best, best_rate = 0, 0.0
        for count in range(MAX_GUESSES + 1):
            seconds = self._seconds.get(num_replies * (1 + count))
            rate = sum(trust**i for i in range(count + 1)) / seconds if seconds else 0.0
            if rate > best_rate:
                best, best_rate = count, rate
            elif count == 0:
                return 0
        return best


class Guesses:
    """What one reply may say next. tokens: of its conversation, which grows while it is read."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self.trust = _FIRST_TRUST
        self._tokens = tokens
        self._followed_at: dict[tuple[int, ...], int] = {}
        self._num_read = _NGRAM

    def next(self, count: int) -> list[int]:
        """At most `count` tokens that followed the last ones before."""
        tokens = self._tokens
        for i in range(self._num_read, len(tokens)):
            self._followed_at[tuple(tokens[i - _NGRAM : i])] = i
        self._num_read = max(self._num_read, len(tokens))
        begin = self._followed_at.get(tuple(tokens[-_NGRAM:]))
        return [] if begin is None else list(tokens[begin : begin + count])

    def learn(self, num_guessed: int, num_right: int) -> None:
        """So many of the last guesses were right, all before the first wrong one."""
        for was_right in [1.0] * num_right + [0.0] * (num_right < num_guessed):
            self.trust = (1 - _WEIGHT) * self.trust + _WEIGHT * was_right
