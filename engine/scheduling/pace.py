"""How fast this machine prefills and restores, as measured; from that, which of both is cheaper.

Owns: two running estimates. Does not know: who measures. Until something was measured, restoring
counts as cheaper, which it is on every disk that was tried.
"""

from dataclasses import dataclass

from engine.scheduling.sequence import Batch

_WEIGHT = 0.2  # of the newest measurement
_MIN_TOKENS = 16  # below, a prefill's time says little about its rate


@dataclass(slots=True)
class Pace:
    """Seconds per token of prefill, and seconds per byte and per file of a restore.

    A restore is measured while nothing else goes on: in a crowd it waits behind others' steps.
    """

    prefill_s_per_token: float | None = None
    restore_s_per_byte: float | None = None
    restore_fixed_s: float = 0.02

    def observe(self, batch: Batch, seconds: float) -> None:
        """A step over `batch` took so long."""
        num_tokens = batch.num_tokens
        if len(batch.sequences) == 1 and num_tokens >= _MIN_TOKENS:
            self.prefill_s_per_token = _blend(self.prefill_s_per_token, seconds / num_tokens)

    def restored(self, num_bytes: int, seconds: float) -> None:
        """Reading, checking and placing a snapshot took so long."""
        variable = max(seconds - self.restore_fixed_s, 0.0)
        self.restore_s_per_byte = _blend(self.restore_s_per_byte, variable / max(num_bytes, 1))

    def restore_pays(self, num_tokens: int, num_bytes: int) -> bool:
        """Whether a restore of `num_bytes` beats a prefill of `num_tokens`."""
        if self.prefill_s_per_token is None or self.restore_s_per_byte is None:
            return True
        restore_s = self.restore_fixed_s + num_bytes * self.restore_s_per_byte
        return restore_s < num_tokens * self.prefill_s_per_token

    def prefill_s(self, num_tokens: int) -> float | None:
        """How long a prefill of so many tokens would take; None before anything was measured."""
        rate = self.prefill_s_per_token
        return None if rate is None else rate * num_tokens


def _blend(old: float | None, new: float) -> float:
    return new if old is None else (1 - _WEIGHT) * old + _WEIGHT * new
