"""Guesses of what a reply says next, so that one step can yield several tokens.

Owns: what steps of few tokens cost, each reply's guesses, and how many tokens steps with them would
yield. Does not know: text, KV, sampling. A guess is what followed the last two tokens when they last
occurred in the conversation (prompt lookup: Saxena, 2023); the step that computes it also tells
whether it is what would have been sampled, so the reply stays what it would have been, up to
rounding (Leviathan et al., 2023). Whether that pays is known beforehand, because guesses are counted
right or wrong whether they are computed or not. In one graph, steps of a changing number of tokens
cost a third more each, so replies guess in every step or in none; where single tokens have a graph of
their own, a reply alone guesses in the steps that have something to look up.
"""

from collections.abc import Sequence

from engine.scheduling.sequence import Batch

NUM_GUESSES = 3
MAX_REPLIES = 4  # above, a step has enough tokens without guesses
_NGRAM = 2
_WEIGHT = 0.1  # of the newest measurement
_WEIGHT_BELOW = 0.3  # of one below the mean: other work on the machine only ever makes steps slower
_TRY_EVERY = 16  # steps in which guesses were found but seemed not to pay
_MARGIN = 1.1
_MAX_READ = 4096  # tokens of the conversation so far


class StepCosts:
    """Seconds of steps over few tokens, by their number; learnt from every step that is run.

    Only a step behind one of the same size in the same graph counts: others prepare that for theirs.
    apart: single tokens have a graph of their own.
    """

    def __init__(self, *, apart: bool = False) -> None:
        self._apart = apart
        self._last: dict[bool, int] = {}  # tokens of the last step, by whether it was a single's
        self._seconds: dict[int, float] = {}
        self._num_declined = 0

    def observe(self, batch: Batch, seconds: float) -> None:
        """A step over `batch` took so long."""
        count = batch.num_tokens
        graph = self._apart and count == len(batch.sampled) == 1
        is_prepared, self._last[graph] = self._last.get(graph) == count, count
        if is_prepared and count <= MAX_REPLIES * (1 + NUM_GUESSES):
            old = self._seconds.get(count, seconds)
            weight = _WEIGHT if seconds > old else _WEIGHT_BELOW
            self._seconds[count] = (1 - weight) * old + weight * seconds

    def should_guess(self, replies: "Sequence[Guesses]") -> bool:
        """Whether the replies of the next step guess in it: where that pays, as far as is known.

        A reply alone also tries now and then where it would pay if guesses were cheaper than they were
        last: what was measured while the machine did other things would stand for ever.
        """
        plain = self._seconds.get(len(replies))
        guessing = self._seconds.get(len(replies) * (1 + NUM_GUESSES))
        alone = self._apart and len(replies) == 1
        if plain is None or guessing is None or (alone and not replies[0].has_found):
            return False
        if alone:
            tokens = replies[0].tokens_per_find
        else:
            tokens = sum(reply.tokens_per_step for reply in replies)
        wanted = _MARGIN * len(replies) / plain
        if tokens / guessing > wanted:
            return True
        return alone and tokens / plain > wanted and self._is_time_to_try()

    def _is_time_to_try(self) -> bool:
        self._num_declined += 1
        return self._num_declined % _TRY_EVERY == 0


class Guesses:
    """What one reply may say next. tokens: of its conversation, which grows while it is read.

    tokens_per_step: the mean yield of steps with guesses, if each had some; tokens_per_find: of those
    that found something to look up.
    """

    def __init__(self, tokens: Sequence[int]) -> None:
        self.tokens_per_step = 1.0
        self.tokens_per_find = 1.0
        self._tokens = tokens
        self._followed_at: dict[tuple[int, ...], int] = {}
        self._num_read = 0
        self._pending: list[int] = []
        self._is_found = False  # when the step began
        self._num_right = 0

    @property
    def has_found(self) -> bool:
        """Whether there is something to look up for the next step."""
        return bool(self._behind(self._num_read))

    def next(self) -> list[int]:
        """NUM_GUESSES tokens: those that followed the last ones before, as far as there are any."""
        found = self._behind(self._num_read)
        return found + [0] * (NUM_GUESSES - len(found))

    def read(self) -> None:
        """The tokens have grown: learn what followed what, and which guesses were right."""
        is_first = not self._num_read
        for i in range(
            max(self._num_read, len(self._tokens) - _MAX_READ, _NGRAM), len(self._tokens)
        ):
            self._followed_at[tuple(self._tokens[i - _NGRAM : i])] = i
            if not is_first:
                self._count(i)
        self._num_read = len(self._tokens)

    def _behind(self, end: int) -> list[int]:
        """What followed the last of the first `end` tokens before; nothing if they are new."""
        begin = self._followed_at.get(tuple(self._tokens[end - _NGRAM : end]), end)
        return list(self._tokens[begin : min(begin + NUM_GUESSES, end)])

    def _count(self, i: int) -> None:
        """Token `i` was said: was it guessed? If not, or behind the last guess, a step has ended."""
        if self._pending and self._tokens[i] == self._pending[0]:
            self._num_right += 1
            del self._pending[0]
            return
        tokens = 1 + self._num_right
        self.tokens_per_step += _WEIGHT * (tokens - self.tokens_per_step)
        if self._is_found:
            self.tokens_per_find += _WEIGHT * (tokens - self.tokens_per_find)
        self._num_right, self._pending = 0, self._behind(i + 1)
        self._is_found = bool(self._pending)
