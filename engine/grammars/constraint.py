"""One reply under a grammar: thoughts are free, what is said behind them is not.

Owns: where in its grammar a reply is. The mask of the next token is computed in another thread as
soon as the last one is known, while the model computes its step. Does not know: text, the model.
"""

from collections.abc import Sequence
from concurrent.futures import Executor, Future
from enum import Enum, auto
from typing import NamedTuple

import numpy as np
from llguidance import LLMatcher

from engine.errors import EngineFault
from engine.grammars.masks import Bits, Row, allow, masked


class Thoughts(NamedTuple):
    """The token that opens a model's thoughts, and those behind which it says what it says."""

    opening: int
    closing: tuple[int, ...]


class _Place(Enum):
    BEGIN = auto()  # thoughts may be opened, or not
    THOUGHTS = auto()
    BOUND = auto()


class GrammarConstraint:
    """A Constraint that follows a grammar. vocab_size: the width of logits.

    thoughts: how the model marks them; None where it has none. end_tokens: what may not end the reply
    within them.
    """

    def __init__(
        self,
        matcher: LLMatcher,
        vocab_size: int,
        executor: Executor,
        thoughts: Thoughts | None = None,
        end_tokens: Sequence[int] = (),
    ) -> None:
        self._matcher = matcher
        self._executor = executor
        self._thoughts = thoughts
        self._end_tokens = list(end_tokens)
        self._num_bytes = -(-vocab_size // 32) * 4
        self._place = _Place.BOUND
        self._tail: list[int] = []
        self._mask: Future[Bits] | None = None

    def begin(self, *, may_think: bool, in_thoughts: bool) -> None:
        """The reply is about to begin; it may open its thoughts first, or the prompt has opened them."""
        if self._thoughts is not None and in_thoughts:
            self._place = _Place.THOUGHTS
        elif self._thoughts is not None and may_think:
            self._place = _Place.BEGIN
        self._prepare()

    def restrict(self, logits: Row) -> Row:
        """As Constraint.restrict."""
        if self._place is _Place.THOUGHTS:
            free = logits.copy()
            free[self._end_tokens] = -np.inf
            return free
        self._prepare()
        assert self._mask is not None, "it is prepared"
        return masked(logits, self._mask.result())

    def take(self, token: int) -> None:
        """As Constraint.take. Raises EngineFault for a token that was not allowed."""
        if self._place is _Place.THOUGHTS:
            self._think(token)
        elif self._is_opening(token):
            self._wait()
            self._place, self._mask = _Place.THOUGHTS, None
            self._think(token)  # with channels, the answer's own marks begin with it
        else:
            self._wait()
            self._place, self._mask = _Place.BOUND, None
            if not self._matcher.consume_token(token):
                raise EngineFault(f"A grammar was left: {self._matcher.get_error()}")
            self._prepare()

    def num_valid(self, guesses: Sequence[int]) -> int:
        """As Constraint.num_valid; within thoughts any may come, and at their begin none is made."""
        if self._place is _Place.THOUGHTS:
            return len(guesses)
        if self._place is _Place.BEGIN:
            return 0
        self._wait()
        return int(self._matcher.validate_tokens(list(guesses)))

    def _is_opening(self, token: int) -> bool:
        thoughts = self._thoughts
        return self._place is _Place.BEGIN and thoughts is not None and token == thoughts.opening

    def _think(self, token: int) -> None:
        assert self._thoughts is not None, "there are thoughts"
        closing = self._thoughts.closing
        self._tail = [*self._tail, token][-len(closing) :]
        if tuple(self._tail) == closing:
            self._place = _Place.BOUND
            self._prepare()

    def _prepare(self) -> None:
        """Have the next token's mask computed, unless it is, or everything is free."""
        if self._mask is None and self._place is not _Place.THOUGHTS:
            self._mask = self._executor.submit(self._allowed)

    def _wait(self) -> None:
        """For the other thread: the matcher is asked by one at a time."""
        if self._mask is not None:
            self._mask.result()

    def _allowed(self) -> Bits:
        bits = np.zeros(self._num_bytes, np.uint8)
        self._matcher.unsafe_compute_mask_ptr(bits.ctypes.data, bits.nbytes)
        if self._place is _Place.BEGIN and self._thoughts is not None:
            allow(bits, self._thoughts.opening)
        return bits
