"""Titles of conversations, made by the model while nobody waits.

Owns: the fork of a conversation's branch that is asked for a title, one token at a time. Does not
know: turns, or what makes a good title (engine.turns.title_words). The fork shares the branch's blocks and goes
when the title is there or real work comes, so the conversation pays nothing: its tokens, ledger,
KV and snapshots stay as they are. Takes only free blocks, evicts nobody.
"""

import logging
from dataclasses import dataclass, replace

import numpy as np

from engine.conversations import Branch, Journal, Session
from engine.errors import EngineError
from engine.model import Runner
from engine.scheduling import BlockPool, Scheduler
from engine.text import Message, Setting, Tokenizer
from engine.turns.prompt import PromptBuilder
from engine.turns.title_words import Wording, closing, is_about, title_of, wording_for

log = logging.getLogger(__name__)

TITLE_TOKENS = 20
_CHUNK_TOKENS = 64
_ROOM_TOKENS = 48  # for the opening and the title
_TRIED_MESSAGES = 6  # a conversation that has none by then keeps its first words


@dataclass(slots=True, eq=False)
class _Draft:
    """A title being written, on a fork of the session's branch."""

    fork: Branch
    wording: Wording
    num_prompt: int


class Titles:
    """Conversations that want a title, the newest wish first."""

    def __init__(
        self,
        *,
        scheduler: Scheduler,
        runner: Runner,
        prompts: PromptBuilder,
        tokenizer: Tokenizer,
        eos_token_ids: frozenset[int],
        journal: Journal,
        pool: BlockPool,
        is_on: bool = True,
    ) -> None:
        self._scheduler = scheduler
        self._runner = runner
        self._prompts = prompts
        self._tokenizer = tokenizer
        self._eos_token_ids = eos_token_ids
        self._journal = journal
        self._pool = pool
        self._is_on = is_on
        self._wanted: dict[Session, Setting] = {}
        self._draft: _Draft | None = None

    @property
    def has_work(self) -> bool:
        """Whether `step` would do something."""
        return bool(self._wanted)

    @property
    def own_tables(self) -> list[list[int]]:
        """Blocks of the fork, which is no session's."""
        return [self._draft.fork.sequence.block_table] if self._draft else []

    @property
    def own_states(self) -> list[list[int]]:
        """As `own_tables`."""
        return [self._draft.fork.sequence.states.table] if self._draft else []

    def want(self, session: Session, setting: Setting) -> None:
        """An answer of the session is whole: a title is welcome unless there is one."""
        self.forget(session)
        if self._is_on and session.id is not None and len(session.transcript) <= _TRIED_MESSAGES:
            self.interrupt()
            self._wanted[session] = setting

    def forget(self, session: Session) -> None:
        """The session wants no title any more."""
        if session in self._wanted:
            self.interrupt()
            del self._wanted[session]

    def interrupt(self) -> None:
        """Real work has come: give all blocks back; the title is begun anew afterwards."""
        if self._draft is not None:
            self._draft.fork.sequence.truncate(0, self._pool)
            self._draft = None

    def step(self) -> None:
        """One forward for the newest wish. What fails is given up."""
        session, setting = next(reversed(self._wanted.items()))
        is_going_on = False
        try:
            self._draft = self._draft or self._begun(session, setting)
            is_going_on = self._draft is not None and self._advance(session, self._draft)
        finally:
            if not is_going_on:
                self.forget(session)

    def _begun(self, session: Session, setting: Setting) -> _Draft | None:
        """A fork with the prompt's tokens; None where the session cannot be asked cheaply now."""
        if not session.branches or not session.active.is_idle or not session.transcript:
            return None
        if not self._journal.is_untitled(session):
            return None
        before = [Message(e.node.role, e.node.content) for e in session.transcript]
        wording = wording_for(before[0].content)
        fork = session.active.fork(self._pool)
        try:
            return self._asked(fork, before, wording, session.dated(setting))
        except EngineError as error:
            log.info("No title is made: %s", error)
        fork.sequence.truncate(0, self._pool)
        return None

    def _asked(
        self, fork: Branch, before: list[Message], wording: Wording, setting: Setting
    ) -> _Draft | None:
        # Where a template knows it, thinking is off: a title is not worth that long.
        options = setting.template_options | {"enable_thinking": False}
        unthinking = replace(setting, template_options=options)
        prompt = self._prompts.chat(fork, before, wording.instruction, unthinking, _ROOM_TOKENS)
        sequence, plan = fork.sequence, prompt.plan
        is_warm = sequence.num_cached_tokens >= plan.num_kept - 1
        if not is_warm or prompt.num_hidden != fork.num_hidden:
            sequence.truncate(0, self._pool)
            return None
        sequence.truncate(plan.num_kept, self._pool)
        sequence.tokens += plan.new_tokens
        continues = sequence.tokens[-1] not in self._tokenizer.special_tokens.values()
        sequence.tokens += self._tokenizer.encode(wording.opening, continues=continues)
        sequence.truncate_kv(min(sequence.num_cached_tokens, len(sequence.tokens) - 1), self._pool)
        return _Draft(fork, wording, len(sequence.tokens))

    def _advance(self, session: Session, draft: _Draft) -> bool:
        """One step of the fork; whether the title is still to go on."""
        sequence = draft.fork.sequence
        batch = self._scheduler.idle_batch(sequence, _CHUNK_TOKENS)
        if batch is None:
            return False
        is_sampled = bool(batch.sampled)
        try:
            logits = self._runner.run(batch)
        except Exception:
            self._scheduler.abort(batch)
            raise
        self._scheduler.commit(batch)
        if not is_sampled:
            return True
        return not self._is_over(session, draft, int(np.argmax(logits[0])))

    def _is_over(self, session: Session, draft: _Draft, token: int) -> bool:
        """Take the next token; at the end of the title, keep it."""
        tokens = draft.fork.sequence.tokens
        is_end = token in self._eos_token_ids
        if not is_end:
            tokens.append(token)
        said = self._tokenizer.decode(tokens[draft.num_prompt :])
        said += "\n" if is_end else ""
        is_closed = closing(said, draft.wording) is not None
        if not is_closed and len(tokens) - draft.num_prompt < TITLE_TOKENS:
            return False
        title = title_of(said, draft.wording)
        if title is not None and is_about(title, session.messages):
            self._journal.suggest_title(session, title)
        return True
