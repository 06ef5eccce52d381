"""The engine's single-threaded heart: turns begin, advance by one step at a time, and end.

Owns: the turns under way, and with them the only place where a turn's blocks, ledger and messages
change. Does not know: threads, event loops, files. `step()` is the whole algorithm.
Invariants: every turn that begins ends exactly once, with one Finished event; a turn that is
cancelled or fails gives nothing away of its neighbours'.
"""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from engine.batch import Inputs, build_inputs
from engine.block_pool import BlockPool
from engine.chat_template import Message
from engine.errors import SessionBusy
from engine.events import Finished, FinishReason, Prefilling, Queued, Text
from engine.ledger import Ledger
from engine.prompt import Prompt, PromptBuilder
from engine.sampling import Sampler, sample
from engine.scheduler import Scheduler
from engine.sequence import Batch
from engine.sequence import Sequence as TokenSequence
from engine.session import Session, SessionTable
from engine.special_tokens import escaped_offsets
from engine.streaming import ReplyText
from engine.tokenizer import Tokenizer
from engine.turn import Turn, TurnRequest
from engine.warm_up import Shape, WarmUp

log = logging.getLogger(__name__)

CONTEXT_FULL = (
    "The model's context ({limit:,} tokens) is full; start a new conversation, or edit or undo an "
    "earlier message."
)


class ForwardModel(Protocol):
    """What the core needs of a model: one step over named inputs."""

    vocab_size: int

    def forward(self, inputs: Inputs) -> npt.NDArray[np.float32]:
        """Logits [rows, vocab] of the rows in inputs["logit_indices"]."""


class EngineCore:
    """Sessions, scheduler and model, advanced by `step`."""

    def __init__(
        self,
        *,
        model: ForwardModel,
        copy_block: Callable[[int, int], None],
        pool: BlockPool,
        scheduler: Scheduler,
        sessions: SessionTable,
        prompts: PromptBuilder,
        tokenizer: Tokenizer,
        eos_token_ids: frozenset[int],
        context_length: int,
        warm_up_shapes: Iterable[Shape] = (),
    ) -> None:
        self._model = model
        self._copy_block = copy_block
        self._pool = pool
        self._scheduler = scheduler
        self._sessions = sessions
        self._prompts = prompts
        self._tokenizer = tokenizer
        self._eos_token_ids = eos_token_ids
        self._context_length = context_length
        self._turns: dict[TokenSequence, Turn] = {}
        self._warm_up = WarmUp(self._forward, pool, warm_up_shapes)
        self.tokens_generated = 0
        self.forward_s = 0.0

    @property
    def has_work(self) -> bool:
        """Whether `step` would do something."""
        return bool(self._turns)

    @property
    def has_idle_work(self) -> bool:
        """Whether `idle_step` would do something."""
        return self._warm_up.has_work

    @property
    def num_running(self) -> int:
        """Turns that take part in steps."""
        return len(self._scheduler.running)

    @property
    def num_waiting(self) -> int:
        """Turns that wait for a place."""
        return len(self._scheduler.waiting)

    @property
    def kv_blocks_used(self) -> int:
        """Blocks of the pool that hold somebody's KV."""
        return self._pool.num_used

    def begin(self, request: TurnRequest) -> None:
        """Take a request. Raises RequestError, with nothing changed."""
        session = self._sessions.find(request.session_id) if request.session_id else Session()
        self._end_cancelled()
        if session.sequence in self._turns:
            raise SessionBusy("An answer is still being written here; stop it or wait for its end.")
        prompt = self._prompts.build(session, request)
        if self._prompts.fits(prompt):
            self._begin(session, request, prompt)
        else:
            note = CONTEXT_FULL.format(limit=self._context_length)
            request.emit(Finished(FinishReason.LENGTH, request.clock.figures(note)))

    def step(self) -> None:
        """One forward over whatever the scheduler puts together, and what follows from it."""
        self._end_cancelled()
        batch = self._scheduler.schedule()
        if batch is None:
            return
        self._announce(batch)
        sampled = [self._turns[sequence] for sequence in batch.sampled]
        try:
            logits = self._forward(batch)
            self._scheduler.commit(batch)
            self._advance(sampled, sample(logits, [turn.sampler for turn in sampled]))
        except Exception:
            log.exception("A step failed")
            self._fail(batch)
        self._report_prefill(batch)

    def idle_step(self) -> None:
        """A short piece of work that may as well be done while nobody waits."""
        try:
            self._warm_up.step()
        except Exception:
            log.exception("Warming up failed")

    def truncate(self, session: Session, keep: int) -> None:
        """Drop the messages beyond the first `keep`. Their tokens go when the next turn says so."""
        self._end_cancelled()
        if session.sequence in self._turns:
            raise SessionBusy("An answer is still being written here; stop it or wait for its end.")
        session.messages = session.messages[:keep]

    def evict(self, session: Session) -> None:
        """Drop an idle session's KV; its next turn re-prefills."""
        if session.sequence not in self._turns:
            session.sequence.truncate_kv(0, self._pool)

    def release(self, session: Session) -> None:
        """The session is gone: end its turn, if any, and give back its blocks."""
        if turn := self._turns.get(session.sequence):
            self._end(turn, FinishReason.CANCELLED)
        session.sequence.truncate(0, self._pool)

    def cancel_all(self) -> None:
        """End every turn as cancelled."""
        for turn in list(self._turns.values()):
            self._end(turn, FinishReason.CANCELLED)

    def check_integrity(self) -> None:
        """Assert that the blocks of all sequences and the pool agree."""
        sequences = {session.sequence for session in self._sessions} | set(self._turns)
        self._pool.check_integrity(sequence.block_table for sequence in sequences)
        for sequence in sequences:
            covered = len(sequence.block_table) * self._pool.block_size
            assert sequence.num_cached_tokens <= min(covered, len(sequence.tokens))

    def _begin(self, session: Session, request: TurnRequest, prompt: Prompt) -> None:
        sequence, plan = session.sequence, prompt.plan
        sequence.truncate(plan.num_kept, self._pool)
        sequence.tokens += plan.new_tokens
        # The last token's logits are wanted even when its KV is there already.
        known = min(sequence.num_cached_tokens, prompt.num_tokens - 1)
        sequence.truncate_kv(known, self._pool)
        session.messages = prompt.messages
        session.ledger = Ledger(plan.segments)
        request.clock.reused_tokens = known
        turn = Turn(
            request=request,
            session=session,
            sampler=Sampler(request.params, sequence.tokens, self._model.vocab_size),
            reply=ReplyText(sequence.tokens, request.params.stop),
            num_prompt=prompt.num_tokens,
            prefill_total=prompt.num_tokens - known,
        )
        self._turns[sequence] = turn
        self._scheduler.add(sequence)

    def _forward(self, batch: Batch) -> npt.NDArray[np.float32]:
        for source, target in batch.copies:
            self._copy_block(source, target)
        inputs = build_inputs(batch)
        began_at = time.perf_counter()
        logits = self._model.forward(inputs)
        self.forward_s += time.perf_counter() - began_at
        return logits

    def _announce(self, batch: Batch) -> None:
        """Before a step: start clocks, count prefilled tokens, tell the others their place."""
        for sequence in batch.sequences:
            turn = self._turns[sequence]
            turn.clock.start()
            if sequence.num_cached_tokens < turn.num_prompt or sequence.num_scheduled_tokens > 1:
                turn.clock.prefilled_tokens += sequence.num_scheduled_tokens
        for position, sequence in enumerate(self._scheduler.waiting):
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

    def _advance(self, turns: Sequence[Turn], tokens: Sequence[int]) -> None:
        """Give each turn its next token, and people the text that it makes."""
        self.tokens_generated += len(tokens)
        going_on = []
        for turn, token in zip(turns, tokens, strict=True):
            turn.clock.token()
            if token in self._eos_token_ids:
                self._end(turn, FinishReason.STOP)
            else:
                turn.sequence.tokens.append(token)
                turn.reply.add(token)
                going_on.append(turn)
        windows = [window for turn in going_on for window in turn.reply.windows()]
        texts = self._tokenizer.decode_batch(windows)
        for turn, before, now in zip(going_on, texts[::2], texts[1::2], strict=True):
            turn.reply.advance(before, now)
            self._show(turn)
            self._end_if_over(turn)

    def _show(self, turn: Turn, *, final: bool = False) -> None:
        if piece := turn.reply.take(final=final):
            turn.request.emit(Text(piece))

    def _end_if_over(self, turn: Turn) -> None:
        if turn.reply.stopped:
            self._end(turn, FinishReason.STOP)
        elif turn.num_generated >= turn.request.params.max_tokens:
            self._end(turn, FinishReason.LENGTH)
        elif len(turn.sequence.tokens) >= self._context_length:
            note = CONTEXT_FULL.format(limit=self._context_length)
            self._end(turn, FinishReason.LENGTH, note=note)

    def _end_cancelled(self) -> None:
        for turn in [turn for turn in self._turns.values() if turn.request.cancelled]:
            self._end(turn, FinishReason.CANCELLED)

    def _fail(self, batch: Batch) -> None:
        self._scheduler.abort(batch)
        error = "The model failed at this step; the conversation is kept. Try again."
        for turn in [self._turns[s] for s in batch.sequences if s in self._turns]:
            self._end(turn, FinishReason.ERROR, error=error)

    def _end(
        self,
        turn: Turn,
        reason: FinishReason,
        *,
        error: str | None = None,
        note: str | None = None,
    ) -> None:
        """The only way in which a turn ends: the ledger gets the reply, the scheduler lets go."""
        sequence, session, reply = turn.sequence, turn.session, turn.reply
        del self._turns[sequence]
        self._scheduler.remove(sequence)
        self._show(turn, final=True)
        ends = reply.kept()
        sequence.truncate(turn.num_prompt + len(ends), self._pool)
        escaped = self._tokenizer.escape(reply.text)
        session.ledger = session.ledger.with_reply(escaped, escaped_offsets(escaped, ends))
        session.messages = (*session.messages, Message("assistant", reply.text))
        session.last_used_at = time.monotonic()
        if turn.request.session_id is None:
            self.release(session)
        turn.request.emit(Finished(reason, turn.clock.figures(note), error))
