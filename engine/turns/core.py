"""The engine's single-threaded heart: turns begin, advance by one step at a time, and end.

Owns: the turns under way, and the order in which a turn's blocks, ledger and messages
change. Does not know: threads, event loops, files. `step()` is the whole algorithm.
Invariants: every turn that begins ends exactly once, with one Finished event; a turn that is
cancelled or fails gives nothing away of its neighbours'.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from engine.conversations import Journal, Node, Session, SessionTable, Stored
from engine.errors import QueueFull, SessionBusy
from engine.events import Finished, FinishReason, Prefilling, Queued, Thinking
from engine.faults import Survived
from engine.grammars import GrammarCompiler
from engine.model import Runner
from engine.scheduling import BEGINNING, Batch, BlockPool, Scheduler, StepCosts
from engine.scheduling import Sequence as TokenSequence
from engine.text import Setting, Tokenizer
from engine.tiers import Tiers
from engine.turns.editing import Editing
from engine.turns.idle import Idle
from engine.turns.opening import Opening
from engine.turns.parking import Parked, Parking
from engine.turns.placing import place_of
from engine.turns.prompt import Prompt
from engine.turns.replies import Replies
from engine.turns.sharing import Sharing
from engine.turns.telling import Telling
from engine.turns.turn import Turn, TurnRequest

log = logging.getLogger(__name__)

QUEUE_FULL = "Too many others are waiting for an answer; try again in a moment."
BUSY = "An answer is still being written here; stop it or wait for its end."
NOT_BEGUN = "This answer could not begin; the conversation is kept. Try again."
STEP_FAILED = "The model failed at this step; the conversation is kept. Try again."


@dataclass(frozen=True, kw_only=True, slots=True)
class CoreParts:
    """What a core is put together from. context_length: tokens of one conversation.

    wake: lets the engine's thread look around; from any thread.
    """

    runner: Runner
    pool: BlockPool
    scheduler: Scheduler
    sessions: SessionTable
    opening: Opening
    editing: Editing
    tiers: Tiers
    idle: Idle
    journal: Journal
    sharing: Sharing
    costs: StepCosts
    tokenizer: Tokenizer
    grammars: GrammarCompiler
    eos_token_ids: frozenset[int]
    context_length: int
    wake: Callable[[], object]


class EngineCore:
    """Turns, advanced by `step`."""

    def __init__(self, parts: CoreParts) -> None:
        self.parts = parts
        self._turns: dict[TokenSequence, Turn] = {}
        self._parking = Parking(parts.tiers)
        self.replies = Replies(
            parts.scheduler,
            parts.costs,
            Telling(parts.tokenizer, parts.journal, parts.pool),
            parts.eos_token_ids,
            parts.context_length,
        )

    @property
    def has_work(self) -> bool:
        """Whether `step` would do something now."""
        return bool(self._turns) or self._parking.has_work

    def begin(self, request: TurnRequest) -> None:
        """Take a request. Raises RequestError or StoreError, with nothing changed."""
        sessions = self.parts.sessions
        session = sessions.find(request.session_id) if request.session_id else Session()
        self._end_cancelled()
        self._refuse_if_busy(session)
        self.parts.idle.give_way(session)
        if not self.parts.scheduler.has_room(len(self._parking)):
            raise QueueFull(QUEUE_FULL)
        place = place_of(session, request)
        prompt = self.parts.opening.plan(session, request, place)
        branch = session.nearest(place.leaf)
        loading = self.parts.tiers.fetch(session, branch, prompt.plan.num_kept)
        reply = self.parts.opening.take(session, request, place)
        stored = self.parts.journal.stored(session)
        if loading is None and stored.done():
            self._launch(session, request, prompt, reply)
        else:
            self._parking.add(session, Parked(request, prompt, reply, loading, stored))
            stored.add_done_callback(lambda _stored: self.parts.wake())

    def step(self) -> None:
        """One forward, and what follows from it. A fault ends turns, never the engine."""
        with Survived(log, "A step failed") as step:
            self._step()
        if step.failed:
            for turn in list(self._turns.values()):
                self._end(turn, FinishReason.ERROR, error=STEP_FAILED)
        with Survived(log, "KV could not be copied out"):
            if self.parts.tiers.saving.is_overdue:
                self.parts.tiers.saving.step()

    def _step(self) -> None:
        """One forward over whatever the scheduler puts together, and what follows from it."""
        self._end_cancelled()
        self._unpark()
        self.replies.guess([*self._turns.values()])
        batch = self.parts.scheduler.schedule()
        if batch is None:
            return
        self._announce(batch)
        sampled = [self._turns[sequence] for sequence in batch.sampled]
        with Survived(log, "A step failed") as forward:
            logits = self.parts.runner.run(batch)
            self.parts.scheduler.commit(batch)
            self._advance(sampled, self.replies.sample(sampled, logits))
        if forward.failed:
            self._fail(batch)
        self._report_prefill(batch)

    def show(self, session: Session, head: int | None) -> None:
        """Go to another message of the conversation: what was said behind it stays, as a branch."""
        self._end_cancelled()
        self._refuse_if_busy(session)
        self.parts.journal.move_head(session, head)
        session.branches[head] = session.take(head, self.parts.pool)
        self.parts.tiers.saving.changed(session)
        session.publish()

    def edit(self, session: Session, node_id: int, text: str) -> None:
        """A person edits a reply: `text` is shown as another version of it, from which the talk goes on."""
        self._end_cancelled()
        self._refuse_if_busy(session)
        self.parts.editing.edit(session, node_id, text)

    def draft(self, session: Session, text: str, setting: Setting) -> None:
        """Somebody is writing `text` in the session; prefill it when there is time."""
        if not self._is_busy(session):
            self.parts.idle.prefill_ahead(session, setting, text)

    def export(self, session: Session) -> bytes:
        """The conversation as a portable file. Raises RequestError."""
        self._end_cancelled()
        self._refuse_if_busy(session)
        return self.parts.sharing.export(session)

    def evict(self, session: Session) -> None:
        """Drop an idle session's KV from memory; what is on disk stays."""
        self.parts.idle.titles.forget(session)
        for branch in session.branches.values():
            if branch.is_idle:
                branch.drop_kv(self.parts.pool)

    def release(self, session: Session) -> None:
        """The session leaves memory: end its turn, if any, and give back its blocks."""
        if session in self._parking:
            self._end_parked(session)
        for turn in [turn for turn in self._turns.values() if turn.session is session]:
            self._end(turn, FinishReason.CANCELLED)
        self.parts.idle.forget(session)  # behind the end of its turn, which has wishes
        for branch in session.branches.values():
            branch.sequence.truncate(0, self.parts.pool)
        session.branches.clear()

    def forget(self, session: Session) -> None:
        """The session is deleted: as `release`, and nothing of it stays on disk."""
        self.release(session)
        self.parts.tiers.forget(session)

    def cancel_all(self) -> None:
        """End every turn as cancelled."""
        for turn in list(self._turns.values()):
            turn.request.cancelled = True
        self._parking.cancel_all()
        self._end_cancelled()

    def check_integrity(self) -> None:
        """Assert that the blocks of all sequences and the pool agree."""
        parts = self.parts
        sequences = {branch.sequence for _, _, branch in parts.sessions.branches()}
        sequences |= {*self._turns, parts.opening.prefixes.operator}
        tables = [sequence.block_table for sequence in sequences]
        idle = parts.idle
        own = [*parts.tiers.own_tables, *idle.titles.own_tables, *idle.beginning.own_tables]
        parts.pool.check_integrity([*tables, *own])
        if parts.pool.states is not None:
            held = [sequence.states.table for sequence in sequences]
            own = [*parts.tiers.own_states, *idle.titles.own_states, *idle.beginning.own_states]
            parts.pool.states.check_integrity([[BEGINNING], *held, *own])
        for sequence in sequences:
            covered = len(sequence.block_table) * parts.pool.block_size
            assert sequence.num_cached_tokens <= min(covered, len(sequence.tokens))
            if parts.pool.states is not None:
                assert sequence.states.num_tokens == sequence.num_cached_tokens

    def _is_busy(self, session: Session) -> bool:
        return session in self._parking or any(t.session is session for t in self._turns.values())

    def _refuse_if_busy(self, session: Session) -> None:
        if self._is_busy(session):
            raise SessionBusy(BUSY)

    def _launch(self, session: Session, request: TurnRequest, prompt: Prompt, reply: Node) -> None:
        with Survived(log, "A turn could not begin") as opening:
            turn = self.parts.opening.open(session, request, prompt, reply)
            self.parts.scheduler.add(turn.sequence)
            self._turns[turn.sequence] = turn
            if prompt.opens_thoughts:
                request.emit(Thinking())
            if request.continues:
                self.parts.tiers.rewritten(session, turn.node_id)
        if opening.failed:
            self._end_unbegun(session, request, reply, FinishReason.ERROR, NOT_BEGUN)

    def _unpark(self) -> None:
        """Start the requests that are stored, and whose KV has come from disk, or could not."""
        for session, parked in self._parking.arrived():
            self._launch(session, parked.request, parked.prompt, parked.reply)

    def _announce(self, batch: Batch) -> None:
        """Before a step: start clocks, count prefilled tokens, tell the others their place."""
        for sequence in batch.sequences:
            turn = self._turns[sequence]
            turn.clock.start()
            if sequence.num_cached_tokens < turn.num_prompt or sequence.num_certain_tokens > 1:
                turn.clock.prefill(sequence.num_cached_tokens, sequence.num_certain_tokens)
        self._tell_places()

    def _tell_places(self) -> None:
        for position, sequence in enumerate(self.parts.scheduler.waiting):
            turn = self._turns[sequence]
            if turn.queue_position != position:
                turn.queue_position = position
                turn.request.emit(Queued(position))

    def _report_prefill(self, batch: Batch) -> None:
        for sequence in batch.sequences:
            turn = self._turns.get(sequence)
            if turn and sequence.num_cached_tokens < turn.num_prompt:
                left = turn.num_prompt - sequence.num_cached_tokens
                done = max(turn.prefill_total - left, 0)
                turn.request.emit(Prefilling(done, turn.prefill_total))

    def _advance(self, turns: Sequence[Turn], said: Sequence[Sequence[int]]) -> None:
        """Give each turn its next tokens, one after another; one without any has failed."""
        for turn, new in zip(turns, said, strict=True):
            if not new:
                self._end(turn, FinishReason.ERROR, error=STEP_FAILED)
        for i in range(max(map(len, said), default=0)):
            pairs = zip(turns, said, strict=True)
            going_on = [
                (t, new[i]) for t, new in pairs if i < len(new) and t.sequence in self._turns
            ]
            for turn, reason in self.replies.take(going_on):
                self._end(turn, reason)

    def _end_cancelled(self) -> None:
        for turn in [turn for turn in self._turns.values() if turn.request.cancelled]:
            self._end(turn, FinishReason.CANCELLED)
        for session in self._parking.cancelled:
            self._end_parked(session)

    def _end_parked(self, session: Session) -> None:
        """A request ends as cancelled before its turn began."""
        parked = self._parking.leave(session)
        self._end_unbegun(session, parked.request, parked.reply, FinishReason.CANCELLED)

    def _end_unbegun(
        self,
        session: Session,
        request: TurnRequest,
        reply: Node,
        reason: FinishReason,
        error: str | None = None,
    ) -> None:
        finished = Finished(reason, request.clock.figures(), error)
        self._keep_message(session, reply.id, reply.content, finished)
        self._tell_end(session, request, finished)

    def _fail(self, batch: Batch) -> None:
        self.parts.scheduler.abort(batch)
        for turn in [self._turns[s] for s in batch.sequences if s in self._turns]:
            self._end(turn, FinishReason.ERROR, error=STEP_FAILED)

    def _end(self, turn: Turn, reason: FinishReason, *, error: str | None = None) -> None:
        """The only way in which a turn ends: the branch gets the reply, the scheduler lets go."""
        del self._turns[turn.sequence]
        self.parts.scheduler.remove(turn.sequence)
        self.replies.end(turn)
        finished = Finished(reason, turn.clock.figures(), error)
        self._keep_message(turn.session, turn.node_id, turn.text, finished)
        if turn.session.id is None:
            turn.sequence.truncate(0, self.parts.pool)
        self._tell_end(turn.session, turn.request, finished)
        with Survived(log, "Nothing is done ahead for a conversation"):
            self._look_ahead(turn, reason)

    def _look_ahead(self, turn: Turn, reason: FinishReason) -> None:
        """The turn is over: what may be done for the next one while nobody waits."""
        if turn.session.id is None:
            return
        if not turn.branch.is_shifted:
            self.parts.opening.prefixes.remember(turn.session.id.owner, turn.sequence)
        self.parts.tiers.saving.changed(turn.session)
        self.parts.idle.prefill_ahead(turn.session, turn.request.setting)
        is_listed = not turn.session.id.is_programs
        if is_listed and reason in (FinishReason.STOP, FinishReason.LENGTH):
            self.parts.idle.titles.want(turn.session, turn.request.setting)

    def _keep_message(self, session: Session, node_id: int, text: str, finished: Finished) -> None:
        """The reply is said, as far as it came."""
        is_whole = finished.reason in (FinishReason.STOP, FinishReason.LENGTH)
        status = "complete" if is_whole else "interrupted"
        session.conversation.end(node_id, text, status, finished)
        session.publish()
        self.parts.journal.finish(session, node_id, session.branches[node_id])

    def _tell_end(self, session: Session, request: TurnRequest, finished: Finished) -> None:
        """Tell the end once it is committed, or that it is not yet."""

        def tell(stored: Stored) -> None:
            request.emit(replace(finished, is_stored=stored.result()))

        self.parts.journal.stored(session).add_done_callback(tell)
