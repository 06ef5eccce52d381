"""What the engine does while nobody waits: write KV to disk, prefill ahead, make titles, warm shapes up.

Owns: the order of these; what is to be kept goes first. Does not know: turns. Each `step` is
short, so that real work waits for one of them at most.
"""

import logging
from concurrent.futures import Future
from dataclasses import dataclass

from engine.conversations import Branch, Session
from engine.errors import EngineError
from engine.model import WarmUp
from engine.text import Ledger, Message, Setting
from engine.tiers import Prefixes, Shift, Snapshot, SnapshotRefused, Tiers
from engine.turns.ahead import Ahead
from engine.turns.beginning import Beginning
from engine.turns.prompt import Prompt, PromptBuilder
from engine.turns.titles import Titles

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A session whose KV is being read from disk, and what is to be prefilled behind it."""

    loading: Future[Snapshot]
    setting: Setting
    draft: str


class Idle:
    """Work that waits for a quiet moment."""

    def __init__(
        self,
        *,
        warm_up: WarmUp,
        ahead: Ahead,
        tiers: Tiers,
        prompts: PromptBuilder,
        prefixes: Prefixes,
        shift: Shift,
        titles: Titles,
        beginning: Beginning,
    ) -> None:
        self._warm_up = warm_up
        self._ahead = ahead
        self._tiers = tiers
        self._prompts = prompts
        self._prefixes = prefixes
        self._shift = shift
        self.titles = titles
        self.beginning = beginning
        self._arriving: dict[Session, _Arrival] = {}

    @property
    def is_warm(self) -> bool:
        """Whether all likely shapes were run, and nothing is left to prefill ahead or to name."""
        works = (self._warm_up, self._ahead, self.titles, self.beginning)
        return not any(work.has_work for work in works)

    def wait_s(self) -> float | None:
        """How long to wait for requests before the next `step`; None: there is nothing to do."""
        if not self.is_warm or self._arrived() is not None:
            return 0.0
        waits = (self._tiers.saving.wait_s(), self.beginning.wait_s())
        return min((wait for wait in waits if wait is not None), default=None)

    def step(self) -> None:
        """One short piece of work, the most useful first. What fails is logged and left."""
        try:
            self._step()
        except Exception:
            log.exception("Work ahead failed")

    def _step(self) -> None:
        if (session := self._arrived()) is not None:
            self._arrive(session)
        elif self._tiers.saving.wait_s() == 0.0:
            self._tiers.saving.step()
        elif self._ahead.has_work:
            self._ahead.step()
        elif self.beginning.has_work:
            self.beginning.step()
        elif self.titles.has_work:
            self.titles.step()
        elif self._warm_up.has_work:
            self._warm_up.step()
            if not self._warm_up.has_work:
                self._tiers.measure_restore()

    def give_way(self, session: Session) -> None:
        """A turn of the session begins: it fetches what it needs itself, and finds all blocks."""
        self._arriving.pop(session, None)
        self.titles.interrupt()
        self.beginning.interrupt()

    def forget(self, session: Session) -> None:
        """The session leaves memory: nothing is done for it any more."""
        self._arriving.pop(session, None)
        self.titles.forget(session)
        for branch in session.branches.values():
            self._ahead.forget(branch)

    def prefill_ahead(self, session: Session, setting: Setting, draft: str = "") -> None:
        """Compute what is certain of the session's next prompt: scaffolding, and the draft."""
        self._prefill_ahead(session, setting, draft, may_restore=True)

    def _prefill_ahead(
        self, session: Session, setting: Setting, draft: str, *, may_restore: bool
    ) -> None:
        head = session.conversation.head
        if session.id is None or not session.active.is_idle:
            return
        branch = session.branches[head] = session.take(head, self._shift.pool)
        before = [Message(e.node.role, e.node.content) for e in session.transcript]
        try:
            prompt = self._prompts.ahead(branch, before, draft, session.dated(setting))
        except EngineError as error:
            log.info("Nothing is prefilled ahead: %s", error)
            return
        if prompt is None:
            return
        if may_restore and self._is_restored_first(session, branch, prompt, (setting, draft)):
            return
        self._shift.take(branch, prompt.plan)
        branch.ledger = Ledger(prompt.plan.kept)
        branch.num_hidden = prompt.num_hidden
        self._prefixes.share(session.id.owner, branch.sequence)
        # A reply that was cut off may go on, for which its last token is computed again.
        is_cut_off = bool(before) and session.transcript[-1].node.is_unfinished
        branch.sequence.wish_states(self._shift.pool, branch.ledger.num_tokens - is_cut_off)
        self._ahead.want(branch)

    def _is_restored_first(
        self, session: Session, branch: Branch, prompt: Prompt, wish: tuple[Setting, str]
    ) -> bool:
        """Whether the session's KV comes from disk now; the wish is remembered until it is there."""
        if arriving := self._arriving.get(session):
            self._arriving[session] = _Arrival(arriving.loading, *wish)
            return True
        loading = self._tiers.fetch(session, branch, prompt.plan.num_kept)
        if loading is None:
            return False
        self._arriving[session] = _Arrival(loading, *wish)
        return True

    def _arrived(self) -> Session | None:
        return next((s for s, arrival in self._arriving.items() if arrival.loading.done()), None)

    def _arrive(self, session: Session) -> None:
        """Place KV that came from disk, unless a turn was quicker or the session is gone."""
        arrival = self._arriving.pop(session)
        self.titles.interrupt()
        if not session.branches or not session.active.is_idle:
            return
        try:
            self._tiers.adopt(session.active.sequence, arrival.loading.result())
        except SnapshotRefused as refusal:
            log.warning("The conversation is prefilled again: %s", refusal)
        self._prefill_ahead(session, arrival.setting, arrival.draft, may_restore=False)
