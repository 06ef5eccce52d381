"""One turn: the request, and the state that its reply needs until it ends.

Owns: sampler, reply text, clock. Does not know: the scheduler, the model. A request is made in any
thread; everything else lives in the engine's own thread.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from engine.conversations import Branch, Session, SessionId
from engine.errors import EngineError
from engine.events import Event, Text
from engine.grammars import Grammar, GrammarConstraint
from engine.metrics import TurnClock
from engine.scheduling import Guesses, Sampler, SamplingParams, Sequence
from engine.text import CLOSE_THOUGHTS, OPEN_THOUGHTS, Message, ReplyText, Setting

Gather = Callable[[], float]


def at_once() -> float:
    """Text does not gather."""
    return 0.0


@dataclass(slots=True, eq=False)
class TurnRequest:
    """What somebody asks for. `cancelled` may be set from any thread, at any time.

    session_id: None completes `message` as raw text, without a template or a session.
    keep: messages of the session that stay in front of the new one; None: all.
    behind: what stands in front of it, in place of what the session shows.
    continues: there is no message; the session's last reply, which is unfinished, goes on.
    name: of a completion, to cancel it by.
    emit: is called in the engine's thread with each event, or with what refused the request late.
    grammar: what the reply has to keep to; constraint: that, made for this model.
    gather: for how many seconds text may gather before it is told, asked anew each time.
    """

    session_id: SessionId | None
    message: str
    params: SamplingParams
    emit: Callable[[Event | EngineError], None]
    keep: int | None = None
    setting: Setting = field(default_factory=Setting)
    continues: bool = False
    name: str | None = None
    gather: Gather = at_once
    behind: tuple[Message, ...] | None = None
    grammar: Grammar | None = None
    constraint: GrammarConstraint | None = None
    cancelled: bool = False
    clock: TurnClock = field(default_factory=TurnClock)


@dataclass(frozen=True, slots=True)
class Earlier:
    """What there was of a reply before its turn.

    ends: where in `spoken`, the text as its tokens say it, they end, as far as the ledger is to keep
    them with the new ones.
    """

    text: str = ""
    ends: tuple[int, ...] = ()
    spoken: str = ""

    def with_more(self, text: str, ends: list[int]) -> tuple[str, list[int]]:
        """The text that the ledger keeps as one reply, and where each of its tokens ends."""
        if not self.ends:
            return text, ends
        return self.spoken + text, [*self.ends, *(len(self.spoken) + end for end in ends)]


@dataclass(slots=True, eq=False)
class Turn:
    """A turn whose sequence the scheduler has.

    `num_prompt` tokens come before those of this turn's reply, which goes on from `earlier`.
    text_due_at: when the reply's new tokens are to be read as text, by time.monotonic. may_think: what
    comes next may be thoughts; once it is not, it never is.
    """

    request: TurnRequest
    session: Session
    branch: Branch
    node_id: int
    sampler: Sampler
    reply: ReplyText
    num_prompt: int
    prefill_total: int
    guesses: Guesses
    earlier: Earlier = field(default_factory=Earlier)
    queue_position: int | None = None
    text_due_at: float = 0.0
    may_think: bool = True

    @property
    def sequence(self) -> Sequence:
        """The branch's sequence."""
        return self.branch.sequence

    def is_text_due(self, now: float) -> bool:
        """Whether new tokens are to be read now: those that may end the reply are, at once."""
        return self.text_due_at <= now or self.reply.can_stop

    def tell(self, piece: str) -> None:
        """Tell new text; what follows gathers."""
        self.request.emit(Text(piece))
        if self.may_think:
            self._follow_thoughts()
        self.text_due_at = time.monotonic() + self.request.gather()

    def _follow_thoughts(self) -> None:
        start = self.text.lstrip()
        if CLOSE_THOUGHTS in self.earlier.text:
            self.may_think = False
        elif self.clock.opens_thinking or start.startswith(OPEN_THOUGHTS):
            self.clock.thinks()
            self.may_think = CLOSE_THOUGHTS not in start
        else:
            self.may_think = OPEN_THOUGHTS.startswith(start)

    @property
    def text(self) -> str:
        """The whole reply so far."""
        return self.earlier.text + self.reply.text

    @property
    def clock(self) -> TurnClock:
        """The request's clock."""
        return self.request.clock

    @property
    def num_generated(self) -> int:
        """Tokens of the reply so far."""
        return len(self.sequence.tokens) - self.num_prompt
