"""The tokens of one conversation with the blocks that hold their keys and values, and a batch of them.

Owns: token ids, block table, number of cached tokens. Does not know: text, sampling, tensors.
Invariants: num_cached_tokens <= len(tokens); the block table covers exactly the cached (and, within
a step, the scheduled) tokens; guesses are scheduled behind the last token only. Where the pool has states,
the current one is that behind the last cached token, and tokens are cached up to a checkpoint.
"""

from collections.abc import Sequence as Tokens
from dataclasses import dataclass, field
from enum import Enum

from engine.scheduling.block_pool import BlockPool
from engine.scheduling.checkpoints import Checkpoints


class Status(Enum):
    """Where the scheduler has a sequence."""

    IDLE = "idle"
    WAITING = "waiting"
    RUNNING = "running"


@dataclass(slots=True, eq=False)
class Sequence:
    """Token ids and the KV that is present for the first `num_cached_tokens` of them."""

    tokens: list[int] = field(default_factory=list)
    block_table: list[int] = field(default_factory=list)
    num_cached_tokens: int = 0
    num_scheduled_tokens: int = 0
    guesses: list[int] = field(default_factory=list)
    status: Status = Status.IDLE
    states: Checkpoints = field(default_factory=Checkpoints)

    @property
    def num_uncached_tokens(self) -> int:
        """Tokens that still need a forward."""
        return len(self.tokens) - self.num_cached_tokens

    @property
    def needs_logits(self) -> bool:
        """Whether this step computes the last token, so that the next one can be sampled."""
        return self.num_cached_tokens + self.num_certain_tokens == len(self.tokens)

    @property
    def num_certain_tokens(self) -> int:
        """Tokens of this step that are no guesses."""
        return self.num_scheduled_tokens - len(self.guesses)

    @property
    def num_rows(self) -> int:
        """Rows of logits that are wanted of this step: of the last token and of each guess."""
        return 1 + len(self.guesses) if self.needs_logits else 0

    @property
    def scheduled_tokens(self) -> list[int]:
        """The token ids of this step."""
        begin = self.num_cached_tokens
        return self.tokens[begin : begin + self.num_certain_tokens] + self.guesses

    def truncate(self, num_tokens: int, pool: BlockPool) -> None:
        """Forget the tokens beyond the first `num_tokens`, and give back their blocks."""
        del self.tokens[num_tokens:]
        self.truncate_kv(min(self.num_cached_tokens, num_tokens), pool)

    def truncate_kv(self, num_tokens: int, pool: BlockPool) -> None:
        """Forget the KV beyond the first `num_tokens` tokens; the tokens stay.

        Where there are states, KV goes with them: back to the checkpoint before.
        """
        assert num_tokens <= self.num_cached_tokens
        if pool.states is not None:
            num_tokens = self.states.truncate(num_tokens, pool.states)
        kept = pool.blocks_for(num_tokens)
        pool.release(self.block_table[kept:])
        del self.block_table[kept:]
        self.num_cached_tokens = num_tokens

    def keep_state(self, pool: BlockPool) -> None:
        """Whatever comes, there is a way back to the tokens that are cached now."""
        if pool.states is not None:
            self.states.keep(pool.states)

    def wish_states(self, pool: BlockPool, *positions: int) -> None:
        """Keep ways back to so many tokens when they have been computed."""
        if pool.states is not None:
            self.states.wish(*positions)

    def fork(self, pool: BlockPool) -> "Sequence":
        """The same tokens; all blocks and states are shared."""
        pool.share(self.block_table)
        fork = Sequence(list(self.tokens), list(self.block_table), self.num_cached_tokens)
        if pool.states is not None:
            fork.states = self.states.shared(pool.states)
        return fork


@dataclass(frozen=True, slots=True)
class Batch:
    """The sequences of one step, each with num_scheduled_tokens > 0, and block copies to do first."""

    sequences: list[Sequence]
    copies: list[tuple[int, int]]

    @property
    def num_tokens(self) -> int:
        """Tokens in the step's forward."""
        return sum(sequence.num_scheduled_tokens for sequence in self.sequences)

    @property
    def sampled(self) -> list[Sequence]:
        """The sequences whose next token can be sampled after this step, in batch order."""
        return [sequence for sequence in self.sequences if sequence.needs_logits]


def common_length(a: Tokens[object], b: Tokens[object]) -> int:
    """How many items (token ids, characters) two runs begin with in common."""
    pairs = enumerate(zip(a, b, strict=False))
    return next((i for i, (x, y) in pairs if x != y), min(len(a), len(b)))
