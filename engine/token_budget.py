"""How many prefill tokens go into a step, so that running answers keep flowing.

Owns: the budget, and the measurements that it follows from. Does not know: whose tokens. Alone, a
prefill takes large chunks. Beside running answers it gets as many blocks of tokens as keep the step
within RATIO times a step of the answers alone; the costs are learnt from every step that is run,
the warm-up's included.
"""

from engine.sequence import Batch

RATIO = 4.5
FIRST_GUESS = 64
_WEIGHT = 0.3  # of the newest measurement


class TokenBudget:
    """Prefill tokens for the next step.

    alone: when nobody else is answering. beside: while others are; None: learnt from measurements.
    """

    def __init__(self, alone: int, beside: int | None, block_size: int) -> None:
        # With less than a block, a chunk might never reach the next block boundary.
        self.alone = max(alone, block_size)
        self.beside = max(FIRST_GUESS if beside is None else beside, block_size)
        self._is_learnt = beside is None
        self._block_size = block_size
        self._decode_s: float | None = None
        self._prefill_s_per_token: float | None = None

    def observe(self, batch: Batch, seconds: float) -> None:
        """A step over `batch` took so long."""
        counts = [sequence.num_scheduled_tokens for sequence in batch.sequences]
        prefill = sum(count for count in counts if count > 1)
        if not prefill:
            self._decode_s = _blend(self._decode_s, seconds)
        elif len(counts) > 1 and min(counts) == 1 and self._decode_s is not None:
            per_token = max(seconds - self._decode_s, 0.0) / prefill
            self._prefill_s_per_token = _blend(self._prefill_s_per_token, per_token)
            self._learn()

    def _learn(self) -> None:
        if not self._is_learnt or not self._prefill_s_per_token or not self._decode_s:
            return
        room_s = (RATIO - 1) * self._decode_s
        blocks = int(room_s / self._prefill_s_per_token) // self._block_size
        self.beside = min(max(blocks, 1) * self._block_size, self.alone)


def _blend(old: float | None, new: float) -> float:
    return new if old is None else (1 - _WEIGHT) * old + _WEIGHT * new
