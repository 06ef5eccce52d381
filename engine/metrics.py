"""What a turn cost: tokens reused and prefilled, where KV came from, and when its tokens came.

Owns: one turn's time stamps. Does not know: the engine. Times are seconds of a monotonic clock.
"""

import time
from dataclasses import dataclass, field
from enum import StrEnum


class KVSource(StrEnum):
    """Where the KV of the tokens that were known already came from."""

    MEMORY = "memory"
    DISK = "disk"
    RECOMPUTED = "recomputed"


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnFigures:
    """A turn's figures.

    reused_tokens: had their KV already. prefilled_tokens: were computed before the reply.
    source: where reused KV came from; `recomputed` if known tokens had lost theirs.
    first_visible: the first message that the model can still see; 0 while all fit.
    wait_s: until the first step. ttft_s: from the request to the first token; None without one.
    itl_s: mean time between tokens; None below two tokens. saved_s: what prefilling the reused
    tokens would have taken, estimated; None before anything was measured.
    note: a sentence for the person. opens_thinking: the prompt ends inside the thoughts, so that the reply
    begins there. thinking_s: from the first token to the end of the thoughts; None without any.
    """

    reused_tokens: int
    prefilled_tokens: int
    generated_tokens: int
    wait_s: float
    ttft_s: float | None
    itl_s: float | None
    source: KVSource = KVSource.MEMORY
    first_visible: int = 0
    saved_s: float | None = None
    note: str | None = None
    opens_thinking: bool = False
    thinking_s: float | None = None

    @property
    def num_tokens(self) -> int:
        """What the conversation held when the turn was over."""
        return self.reused_tokens + self.prefilled_tokens + self.generated_tokens

    @property
    def tokens_per_s(self) -> float | None:
        """Decode speed; None below two tokens."""
        return 1 / self.itl_s if self.itl_s else None


@dataclass(slots=True)
class TurnClock:
    """Collects a turn's figures while it runs."""

    reused_tokens: int = 0
    prefilled_tokens: int = 0
    source: KVSource = KVSource.MEMORY
    first_visible: int = 0
    saved_s: float | None = None
    notes: list[str] = field(default_factory=list)
    opens_thinking: bool = False
    thought_until: float | None = None
    submitted_at: float = field(default_factory=time.perf_counter)
    started_at: float | None = None
    token_times: list[float] = field(default_factory=list)

    def start(self) -> None:
        """The turn is in its first step."""
        if self.started_at is None:
            self.started_at = time.perf_counter()

    def prefill(self, num_cached: int, num_tokens: int) -> None:
        """A chunk of `num_tokens` follows `num_cached`, less than at the begin if KV was lost."""
        self.reused_tokens = min(self.reused_tokens, num_cached)
        self.prefilled_tokens += num_tokens

    def token(self) -> None:
        """A token was sampled."""
        self.token_times.append(time.perf_counter())

    def thinks(self) -> None:
        """The newest text is part of the thoughts, or ends them."""
        self.thought_until = time.perf_counter()

    def figures(self) -> TurnFigures:
        """The figures up to now."""
        times = self.token_times
        started_at = self.started_at or time.perf_counter()
        return TurnFigures(
            reused_tokens=self.reused_tokens,
            prefilled_tokens=self.prefilled_tokens,
            generated_tokens=len(times),
            wait_s=started_at - self.submitted_at,
            ttft_s=times[0] - self.submitted_at if times else None,
            itl_s=(times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else None,
            source=self.source,
            first_visible=self.first_visible,
            saved_s=self.saved_s,
            note=" ".join(self.notes) or None,
            opens_thinking=self.opens_thinking,
            thinking_s=self.thought_until - times[0] if times and self.thought_until else None,
        )
