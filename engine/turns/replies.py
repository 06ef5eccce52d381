"""The replies of the running turns: what they guess, which tokens come next, and which are over.

Owns: what ends a reply by itself: an end token, a stop string, its length, the context. Does not know:
sessions, the queue, the model's call. One token at a time, so that guesses that were right end a reply
where it would have ended without them.
"""

import logging
from collections.abc import Iterator, Sequence

from engine.events import FinishReason
from engine.faults import Survived
from engine.model import Logits
from engine.scheduling import MAX_REPLIES, NUM_GUESSES, Scheduler, StepCosts
from engine.turns.telling import Telling
from engine.turns.turn import Turn

log = logging.getLogger(__name__)

CONTEXT_FULL = "The model's context ({limit:,} tokens) is full; the answer ends here."


class Replies:
    """context_length: tokens of one conversation. num_tokens: of all replies so far."""

    def __init__(
        self,
        scheduler: Scheduler,
        costs: StepCosts,
        telling: Telling,
        eos_token_ids: frozenset[int],
        context_length: int,
    ) -> None:
        self._scheduler = scheduler
        self._costs = costs
        self._telling = telling
        self._eos_token_ids = eos_token_ids
        self._context_length = context_length
        self.num_tokens = 0

    def guess(self, turns: Sequence[Turn]) -> None:
        """Let the replies of this step guess ahead, if that pays."""
        if len(turns) > MAX_REPLIES or any(t.sequence.num_uncached_tokens > 1 for t in turns):
            return
        for turn in turns:
            turn.guesses.read()
        wanted = self._costs.should_guess([turn.guesses for turn in turns])
        if wanted and all(self._has_room(turn, 1 + NUM_GUESSES) for turn in turns):
            for turn in turns:
                turn.sequence.guesses = turn.sampler.allowed(turn.guesses.next())

    def sample(self, turns: Sequence[Turn], logits: Logits) -> list[list[int]]:
        """The next tokens of each turn: one, and more behind guesses that were right.

        No token for a turn whose sampling failed, which is for it alone to pay for.
        """
        said, first = [], 0
        for turn in turns:
            guesses = turn.sequence.guesses
            rows = logits[first : first + 1 + len(guesses)]
            said.append(_followed(turn, rows, guesses))
            self._scheduler.accept(turn.sequence, max(len(said[-1]) - 1, 0))
            first += len(rows)
        return said

    def take(self, pairs: Sequence[tuple[Turn, int]]) -> Iterator[tuple[Turn, FinishReason]]:
        """Give each turn a token, and people the text that it makes; the turns that end, and why.

        A turn is to be ended before the next pair is asked for.
        """
        self.num_tokens += len(pairs)
        going_on = []
        for turn, token in pairs:
            turn.clock.token()
            if token in self._eos_token_ids:
                yield turn, FinishReason.STOP
            else:
                turn.sequence.tokens.append(token)
                turn.reply.add(token)
                going_on.append(turn)
        self._telling.read_due(going_on)
        for turn in going_on:
            if (reason := self._reason_to_end(turn)) is not None:
                yield turn, reason

    def end(self, turn: Turn) -> None:
        """The turn ends: what has gathered is told, and the branch gets the reply."""
        self._telling.end(turn)

    def _reason_to_end(self, turn: Turn) -> FinishReason | None:
        if turn.reply.stopped:
            return FinishReason.STOP
        if turn.num_generated >= turn.request.params.max_tokens:
            return FinishReason.LENGTH
        if len(turn.sequence.tokens) >= self._context_length:
            turn.clock.notes.append(CONTEXT_FULL.format(limit=self._context_length))
            return FinishReason.LENGTH
        return None

    def _has_room(self, turn: Turn, num_tokens: int) -> bool:
        """Whether the reply may become so many tokens longer."""
        left = turn.request.params.max_tokens - turn.num_generated
        return num_tokens <= min(left, self._context_length - len(turn.sequence.tokens))


def _followed(turn: Turn, rows: Logits, guesses: Sequence[int]) -> list[int]:
    with Survived(log, "A reply could not be sampled"):  # the neighbours go on
        return turn.sampler.follow(rows, guesses)
    return []
