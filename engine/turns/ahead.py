"""Prefill of what will be said, while nobody waits: scaffolding, drafts, shortened conversations.

Owns: which idle branches have tokens that may be computed ahead. Does not know: text, why a token
will be needed. Takes only free blocks, evicts nobody, and does one small chunk at a time, so that
real work waits for one short step at most.
"""

from engine.conversations import Branch
from engine.model import Runner
from engine.scheduling import Scheduler
from engine.turns.idle_chunk import prefill_chunk

MOST_WANTED = 256  # wishes that wait; under steady load none comes true, and each holds its branch


class Ahead:
    """Branches whose uncached tokens are worth computing now."""

    def __init__(self, scheduler: Scheduler, runner: Runner) -> None:
        self._scheduler = scheduler
        self._runner = runner
        self._wanted: dict[Branch, int] = {}  # tokens that had KV at the wish

    @property
    def has_work(self) -> bool:
        """Whether `step` would do something."""
        return bool(self._wanted)

    def want(self, branch: Branch) -> None:
        """Compute the branch's uncached tokens when there is time; the newest wish goes first."""
        self._wanted.pop(branch, None)
        if branch.sequence.num_uncached_tokens:
            self._wanted[branch] = branch.sequence.num_cached_tokens
        if len(self._wanted) > MOST_WANTED:
            del self._wanted[next(iter(self._wanted))]

    def forget(self, branch: Branch) -> None:
        """Nothing of the branch is to be computed any more."""
        self._wanted.pop(branch, None)

    def step(self) -> None:
        """One chunk for the newest wish; a branch that is in use, or has no room, is given up."""
        branch, num_cached = next(reversed(self._wanted.items()))
        is_left = False
        try:
            # One that was spilled meanwhile is to be restored, not computed again.
            is_left = branch.sequence.num_cached_tokens >= num_cached and prefill_chunk(
                self._scheduler, self._runner, branch.sequence
            )
        finally:
            self._wanted.pop(branch, None)
        if is_left:
            self.want(branch)
