"""The states of one sequence, for models that have one beside the KV (recurrent layers).

Owns: which block of the state pool holds the state behind which token, which of these stay, what a step
reads and writes. Does not know: tensors, text. A state cannot be cut back to an earlier token, so some are
kept: a checkpoint is a block, and whoever goes on from it writes another one. What is in a block is opaque here.
Invariants: the current state is that behind the last cached token; a kept or shared block is never written to.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from engine.scheduling.block_pool import BlockPool

BEGINNING = 0  # the block of the state that every sequence begins with; nobody writes to it
FOREVER = 2**30  # an interval that no sequence reaches: only the last state of a step is written
NEWEST = (
    6  # two turns: one before the thoughts that its prompt opens, before its reply, behind that
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state behind the first `num_tokens` tokens is in `block`."""

    num_tokens: int
    block: int


@dataclass(frozen=True, slots=True)
class StateStep:
    """What a step does: read a block, write the states behind one or two tokens.

    interval: the states behind multiples of so many tokens are written, and the last one.
    """

    read: int
    writes: tuple[Checkpoint, ...]
    interval: int = FOREVER

    @property
    def blocks(self) -> list[int]:
        """The block that is read, then those that are written."""
        return [self.read, *(write.block for write in self.writes)]


def state_pool(num_blocks: int) -> BlockPool:
    """A pool of states, in which BEGINNING is taken."""
    pool = BlockPool(num_blocks, 1)
    assert pool.try_allocate(1) == [BEGINNING]
    return pool


def thinned(positions: list[int]) -> list[int]:
    """Which of these (ascending) are worth keeping: the newest few, and ever fewer of those further back.

    Whoever goes back to a token between two of which some are gone reads no more tokens again than he goes
    back. Of `n` tokens at most about 2 * log2(n) stay.
    """
    newest = positions[-NEWEST:]
    kept, following = list[int](), newest[0] if newest else 0
    for previous, position in reversed([*pairwise([0, *positions[:-NEWEST]])]):
        if following - previous > newest[-1] - following:
            kept.append(position)
            following = position
    return kept[::-1] + newest


@dataclass(slots=True, eq=False)
class Checkpoints:
    """kept: in order of their tokens. live: the current state, if it need not stay.

    wishes: tokens behind which the state is to be kept when a step comes past them, ascending. step: what the
    step under way does.
    """

    kept: list[Checkpoint] = field(default_factory=list)
    live: Checkpoint | None = None
    wishes: list[int] = field(default_factory=list)
    step: StateStep | None = None

    @property
    def table(self) -> list[int]:
        """All blocks that are held."""
        own = [checkpoint.block for checkpoint in self.all]
        return own if self.step is None else own + self._fresh(self.step)

    @property
    def num_tokens(self) -> int:
        """Tokens behind which the current state is."""
        current = self._current
        return 0 if current is None else current.num_tokens

    @property
    def all(self) -> list[Checkpoint]:
        """The kept ones and the current one, in order of their tokens."""
        return self.kept if self.live is None else [*self.kept, self.live]

    def wish(self, *positions: int) -> None:
        """Keep the states behind so many tokens, and forget earlier wishes."""
        self.wishes = sorted({position for position in positions if position > 0})

    def cut(self, past: int, end: int) -> int:
        """Where a step from `past` to `end` tokens has to end, so that wishes on its way come true.

        One may come true within it: that of the only multiple of an interval there.
        """
        between = [wish for wish in self.wishes if past < wish < end]
        if not between or (len(between) == 1 and end <= 2 * between[0]):
            return end
        return between[0]

    def missing(self, past: int, end: int, pool: BlockPool) -> int:
        """Blocks to allocate before a step from `past` to `end` tokens."""
        writes = len(self._ends(past, end))
        return writes - (self._is_own(pool) and past not in self.wishes)

    def plan(self, past: int, end: int, pool: BlockPool) -> None:
        """Take blocks for a step from `past` to `end` tokens, of which there must be enough."""
        assert self.num_tokens == past, "the state is not that behind the cached tokens"
        assert self.step is None
        if past in self.wishes:
            self.keep(pool)
        ends = self._ends(past, end)
        own = [self.live.block] if self.live is not None and self._is_own(pool) else []
        fresh = pool.try_allocate(len(ends) - len(own))
        assert fresh is not None
        current = self._current
        self.step = StateStep(
            read=BEGINNING if current is None else current.block,
            writes=tuple(map(Checkpoint, ends, [*own, *fresh])),
            interval=ends[0] if len(ends) > 1 else FOREVER,
        )

    def commit(self, pool: BlockPool) -> None:
        """The step was computed."""
        step, self.step = self.step, None
        assert step is not None
        if self.live is not None and self.live.block != step.writes[0].block:
            pool.release([self.live.block])
        *between, self.live = step.writes
        self.kept += between
        if self.live.num_tokens in self.wishes:
            self.keep(pool)

    def abort(self, pool: BlockPool) -> None:
        """The step was not computed, or not to its end: what it was to write is gone."""
        if (step := self.step) is None:
            return
        pool.release(self._fresh(step))
        if self.live is not None and self.live.block == step.writes[0].block:
            pool.release([self.live.block])
            self.live = None
        self.step = None

    def keep(self, pool: BlockPool) -> None:
        """The current state stays, whatever comes; older ones are thinned out."""
        if self.live is not None:
            self.kept.append(self.live)
            self.live = None
        wanted = set(thinned([checkpoint.num_tokens for checkpoint in self.kept]))
        self._retain((c for c in self.kept if c.num_tokens in wanted), pool)

    def spare(self, pool: BlockPool, newest: int) -> None:
        """Give back all kept ones but the newest few, for others who need the room; never the current state."""
        if len(self.kept) > newest >= 1:
            self._retain(self.kept[-newest:], pool)

    def truncate(self, num_tokens: int, pool: BlockPool) -> int:
        """Forget the states behind later tokens than that; the tokens of the last one that is left.

        A step under way is given up.
        """
        self.abort(pool)
        if self.live is not None and self.live.num_tokens > num_tokens:
            pool.release([self.live.block])
            self.live = None
        if self.kept and self.kept[-1].num_tokens > num_tokens:
            self._retain((c for c in self.kept if c.num_tokens <= num_tokens), pool)
        return self.num_tokens

    def take_over(self, other: "Checkpoints") -> None:
        """Have another one's states, which has none then."""
        assert not self.table
        self.kept, self.live, other.kept, other.live = other.kept, other.live, [], None

    def shared(self, pool: BlockPool, num_tokens: int | None = None) -> "Checkpoints":
        """The same states for another sequence, up to that token; None: all."""
        kept = [c for c in self.kept if num_tokens is None or c.num_tokens <= num_tokens]
        live = self.live
        if live is not None and num_tokens is not None and live.num_tokens > num_tokens:
            live = None
        other = Checkpoints(kept, live)
        pool.share(other.table)
        return other

    @property
    def _current(self) -> Checkpoint | None:
        return self.live or (self.kept[-1] if self.kept else None)

    def _ends(self, past: int, end: int) -> list[int]:
        """Tokens behind which a step writes the state."""
        return [*(wish for wish in self.wishes if past < wish < end), end]

    def _is_own(self, pool: BlockPool) -> bool:
        """Whether the current state may be overwritten."""
        return self.live is not None and not pool.is_shared(self.live.block)

    def _fresh(self, step: StateStep) -> list[int]:
        """The blocks that were taken for a step."""
        own = None if self.live is None else self.live.block
        return [write.block for write in step.writes if write.block != own]

    def _retain(self, checkpoints: Iterable[Checkpoint], pool: BlockPool) -> None:
        retained = list(checkpoints)
        pool.release([c.block for c in self.kept if c not in retained])
        self.kept = retained
