"""How many prefill tokens go into a step, so that running answers keep flowing.

Owns: the budget, and the measurements that it follows from. Does not know: whose tokens. Alone, a
prefill takes large chunks. Beside running answers a step may take MAX_STEP_S, or RATIO steps of
the answers alone if that is more, since small chunks are computed at half the speed; behind one of
more than RATIO the answers go on by themselves until the mean is RATIO again.
"""

from engine.scheduling.sequence import Batch

RATIO = 3.5  # in forwards; what surrounds them adds to what readers see
MAX_STEP_S = 0.15  # a pause that a reader hardly sees
FIRST_GUESS = 64
_WEIGHT = 0.3  # of the newest measurement


class TokenBudget:
    """Prefill tokens for the next step.

    alone: when nobody else is answering. beside: while others are; None: learnt from measurements.
    """

    def __init__(self, alone: int, beside: int | None, block_size: int) -> None:
        # With less than a block, a chunk might never reach the next block boundary.
        self.alone = max(alone, block_size)
        self._chunk = max(FIRST_GUESS if beside is None else beside, block_size)
        self._is_learnt = beside is None
        self._block_size = block_size
        self._decode_s: float | None = None
        self._prefill_s_per_token: float | None = None
        self._owed_s = 0.0  # what prefills took from running answers beyond their share

    @property
    def beside(self) -> int:
        """Tokens beside running answers; 0 while prefills had more than their share."""
        return 0 if self._owed_s > 0 else self._chunk

    def observe(self, batch: Batch, seconds: float) -> None:
        """A step over `batch` took so long."""
        if not self._is_learnt:
            return
        counts = [sequence.num_certain_tokens for sequence in batch.sequences]
        prefill = sum(count for count in counts if count > 1)
        if batch.num_tokens == len(counts):  # neither prefill nor guesses
            self._decode_s = _blend(self._decode_s, seconds)
        if min(counts) > 1 or self._decode_s is None:
            self._owed_s = 0.0
            return
        share_s = RATIO * self._decode_s
        # What one step leaves unused, the next chunk may have; no more, so that no burst is saved up.
        self._owed_s = max(self._owed_s + seconds - share_s, self._decode_s - share_s)
        if prefill:
            self._learn(max(seconds - self._decode_s, 0.0) / prefill)

    def _learn(self, s_per_token: float) -> None:
        """What a prefilled token costs beside answers, and how many of them a step has room for."""
        cost = self._prefill_s_per_token = _blend(self._prefill_s_per_token, s_per_token)
        assert self._decode_s is not None
        room_s = max(MAX_STEP_S, RATIO * self._decode_s) - self._decode_s
        blocks = int(min(room_s / cost, self.alone) if cost else self.alone) // self._block_size
        self._chunk = max(blocks, 1) * self._block_size


def _blend(old: float | None, new: float) -> float:
    return new if old is None else (1 - _WEIGHT) * old + _WEIGHT * new
