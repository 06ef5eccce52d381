"""The beginning that every conversation of a day has: the operator's prompt, and the date where one is told.

Owns: noticing that the beginning has become another one, and its KV then, computed while nobody waits. Does
not know: how it is shared (engine.tiers.prefixes). Takes only free blocks, and gives them back when real work
comes before all of it is there.
"""

from datetime import date, datetime, time, timedelta

from engine.model import Runner
from engine.scheduling import BlockPool, Scheduler, Sequence
from engine.tiers import Prefixes, Tiers
from engine.turns.idle_chunk import prefill_chunk
from engine.turns.prompt import PromptBuilder


def _today() -> date:
    return datetime.now().astimezone().date()


class Beginning:
    """Keeps what all conversations begin with that of today."""

    def __init__(
        self,
        *,
        prefixes: Prefixes,
        prompts: PromptBuilder,
        scheduler: Scheduler,
        runner: Runner,
        tiers: Tiers,
    ) -> None:
        self._prefixes = prefixes
        self._prompts = prompts
        self._scheduler = scheduler
        self._runner = runner
        self._tiers = tiers
        self._day = _today()
        self._coming: Sequence | None = None

    @property
    def has_work(self) -> bool:
        """Whether `step` would do something."""
        return self._coming is not None or self._day != _today()

    def wait_s(self) -> float | None:
        """How long until there is work, while there is none: the day's rest; None: nothing is shared."""
        if not self._prefixes.operator.tokens:
            return None
        now = datetime.now().astimezone()
        midnight = datetime.combine(now.date() + timedelta(days=1), time()).astimezone()
        return max((midnight - now).total_seconds(), 0.0)

    @property
    def own_tables(self) -> list[list[int]]:
        """Blocks that nobody else knows of."""
        return [self._coming.block_table] if self._coming else []

    @property
    def own_states(self) -> list[list[int]]:
        """As `own_tables`."""
        return [self._coming.states.table] if self._coming else []

    def interrupt(self) -> None:
        """Real work has come: give all blocks back; the beginning is computed anew afterwards."""
        if self._coming is not None:
            self._coming.truncate_kv(0, self._pool)

    def step(self) -> None:
        """Look at the day, or compute one chunk. What finds no room is given up until tomorrow."""
        if self._coming is None:
            self._day = _today()
            tokens = self._prompts.operator_tokens()
            if self._prefixes.operator.tokens not in ([], tokens):
                self._coming = Sequence(tokens)
            return
        coming, is_going_on = self._coming, False
        try:
            is_going_on = self._compute(coming)
        finally:
            if not is_going_on:
                self._coming = None
                if coming is not self._prefixes.operator:
                    coming.truncate_kv(0, self._pool)

    def _compute(self, coming: Sequence) -> bool:
        """One chunk; whether more is to come."""
        if not prefill_chunk(self._scheduler, self._runner, coming):
            return False
        if coming.num_uncached_tokens:
            return True
        coming.keep_state(self._pool)
        self._prefixes.renew_operator(coming)
        self._tiers.store_operator(coming)
        return False

    @property
    def _pool(self) -> BlockPool:
        return self._tiers.pool
