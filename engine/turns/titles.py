"""Titles of conversations, made by the model while nobody waits.

Owns: the fork of a conversation's branch that is asked for a title, one token at a time, and what
of its answer is good enough. Does not know: turns. The fork shares the branch's blocks and goes
when the title is there or real work comes, so the conversation pays nothing: its tokens, ledger,
KV and snapshots stay as they are. Takes only free blocks, evicts nobody.
"""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.conversations import MAX_TITLE_LENGTH, Branch, Journal, Session
from engine.errors import EngineError
from engine.model import Runner
from engine.scheduling import BlockPool, Scheduler
from engine.text import Message, Setting, Tokenizer
from engine.turns.prompt import PromptBuilder

log = logging.getLogger(__name__)

TITLE_TOKENS = 20
_CHUNK_TOKENS = 64
_ROOM_TOKENS = 48  # for the opening and the title
_STEM_LENGTH = 5
_TRIED_MESSAGES = 6  # a conversation that has none by then keeps its first words

_HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff]")
_THOUGHT = re.compile(r"<think>.*?(</think>|$)", re.DOTALL)
_LABEL = re.compile(r"^(title|headline|topic|标题|標題|主题|主題)\s*[:：]\s*", re.IGNORECASE)
_FRAME = " \t#*_`\"'“”‘’「」『』《》【】"
_END = ".。!！,，;；:：…-–—"
_NO_TITLE = re.compile(
    r"^(here|sure|okay|certainly|of course|sorry|i\b|i'm|i am|as an|this (is|conversation)\b"
    r"|the (title|conversation|topic)\b|(a )?title\b|好的|当然|抱歉|对不起|對不起|這段|这段|作为|作為)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Wording:
    """How a title is asked for. opening: what the reply begins with, so that a title follows."""

    instruction: str
    opening: str


ENGLISH = Wording(
    "Give this conversation a title of at most six words.",
    'Title: "',
)
SIMPLIFIED = Wording("给我们这段对话起一个标题，最多十二个字，只写标题。", "标题：《")
TRADITIONAL = Wording("給我們這段對話起一個標題，最多十二個字，只寫標題。", "標題：《")


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
            return self._asked(fork, before, wording, setting)
        except EngineError as error:
            log.info("No title is made: %s", error)
        fork.sequence.truncate(0, self._pool)
        return None

    def _asked(
        self, fork: Branch, before: list[Message], wording: Wording, setting: Setting
    ) -> _Draft | None:
        # Where a template knows it, thinking is off: a title is not worth that long.
        unthinking = Setting(setting.system, setting.template_options | {"enable_thinking": False})
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


def wording_for(message: str) -> Wording:
    """How to ask in the language of a conversation that begins with `message`."""
    han = "".join(_HAN.findall(message))
    if not han:
        return ENGLISH
    return SIMPLIFIED if _fits(han, "gb2312") or not _fits(han, "big5") else TRADITIONAL


def closing(said: str, wording: Wording) -> int | None:
    """Where in `said` the title ends: at its closing quotation mark, or at the end of its line."""
    marks = '"”\n' if wording is ENGLISH else "》」\n"
    begin = len(said) - len(said.lstrip())
    return min((i for m in marks if (i := said.find(m, begin)) >= 0), default=None)


def title_of(said: str, wording: Wording) -> str | None:
    """The title that the model's words hold, or None if they are not good enough for one."""
    text = _THOUGHT.sub("", said)
    end = closing(text, wording)
    line = _LABEL.sub("", " ".join(text[:end].split()).strip(_FRAME))
    title = line.strip(_FRAME).rstrip(_END).strip(_FRAME)
    return None if _is_silly(title, is_whole=end is not None) else title


def is_about(title: str, messages: Sequence[Message]) -> bool:
    """Whether a word of the title, or its beginning, stands in the talk: small models make things up."""
    talk = " ".join(message.content for message in messages).lower()
    words = [word for word in re.findall(r"[^\W_]+", title.lower()) if not _HAN.search(word)]
    stems = [word[:_STEM_LENGTH] for word in words if len(word) >= 4 or word.isdigit()]
    spoken = {word[:_STEM_LENGTH] for word in re.findall(r"[^\W_]+", talk)}
    is_told = any(stem in spoken for stem in stems)
    return is_told or len(set(_HAN.findall(title)) & set(_HAN.findall(talk))) >= 2


def _is_silly(title: str, *, is_whole: bool) -> bool:
    words = title.lower().split()
    return (
        len(title) > MAX_TITLE_LENGTH
        or len(re.findall(r"[^\W_]", title)) < 2
        or "\ufffd" in title
        or _NO_TITLE.match(title) is not None
        or len(words) > 2 * len(set(words))
        or not is_whole
    )


def _fits(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
