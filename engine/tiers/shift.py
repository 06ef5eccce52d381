"""Keeping the KV of a shortened conversation by moving it, instead of computing it again.

Owns: finding what of the new prompt stood further back in the old one. Does not know: how keys are
rotated (engine.tiers.rotation), when a conversation is shortened. Moved KV still holds traces of what was
dropped, so it is not a function of its tokens: it is never shared and never written to disk. That,
and its quality (`python -m bench overflow`), is why recomputing is the default.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.conversations import Branch
from engine.scheduling import BlockPool, common_length
from engine.text import Plan
from engine.tiers.rotation import Cut

Move = Callable[[Sequence[int], Sequence[int], Cut], object]  # block table, target blocks, cut

_SEED_TOKENS = 16  # a run that short or shorter may stand anywhere by chance


@dataclass(frozen=True, slots=True)
class Shift:
    """Gives a branch the tokens of a plan, with or without moving KV.

    move: writes the KV that a cut leaves into target blocks; None: nothing is ever moved.
    """

    pool: BlockPool
    move: Move | None = None

    def take(self, branch: Branch, plan: Plan) -> None:
        """The branch's tokens are those of the plan now, and keep the KV that they have."""
        sequence = branch.sequence
        cut = self._cut(branch, plan) if self.move else None
        if cut is not None and self._moved(branch, cut):
            sequence.tokens = [*sequence.tokens[: plan.num_kept], *plan.new_tokens]
            return
        sequence.truncate(plan.num_kept, self.pool)
        sequence.tokens += plan.new_tokens

    def _cut(self, branch: Branch, plan: Plan) -> Cut | None:
        """The dropped span, if the new tokens go on with cached ones from behind it."""
        tokens, new, kept = branch.sequence.tokens, plan.new_tokens, plan.num_kept
        cached = branch.sequence.num_cached_tokens
        seed = new[:_SEED_TOKENS]
        if kept > cached or len(seed) < _SEED_TOKENS:
            return None
        for begin in range(kept + 1, cached - _SEED_TOKENS):
            if tokens[begin] == seed[0] and tokens[begin : begin + len(seed)] == seed:
                return Cut(kept, begin, begin + common_length(tokens[begin:cached], new))
        return None

    def _moved(self, branch: Branch, cut: Cut) -> bool:
        """Move the KV into fresh blocks; False if there are none."""
        assert self.move is not None
        sequence = branch.sequence
        places = cut.rewritten(self.pool.block_size)
        targets = self.pool.try_allocate(len(places))
        if targets is None:
            return False
        self.move(sequence.block_table, targets, cut)
        self.pool.release(sequence.block_table[places.start :])
        sequence.block_table[places.start :] = targets
        sequence.num_cached_tokens = cut.num_kept
        branch.is_shifted = True
        return True
