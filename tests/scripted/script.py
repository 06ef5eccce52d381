"""What a test says that turns do: text, places in the queue, a prefill, an end, and waiting.

Values, and the list of them that the test and the engine's thread share. Nothing here waits for time:
a turn that holds does so until it is told more, or is cancelled.
"""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from engine.errors import EngineError
from engine.events import FinishReason, Prefilling, Queued
from engine.metrics import KVSource
from engine.text import Setting
from engine.turns import TurnRequest


@dataclass(frozen=True, slots=True)
class Say:
    """The reply goes on with this text, which is told at once."""

    text: str


@dataclass(frozen=True, slots=True)
class Tell:
    """The turn tells of its place in the queue, or of its prefill."""

    event: Queued | Prefilling


@dataclass(frozen=True, slots=True)
class Cost:
    """What the turn's figures will say, beside its real times; None leaves what the engine counted."""

    reused: int | None = None
    prefilled: int | None = None
    source: KVSource | None = None
    saved_s: float | None = None
    first_visible: int | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class End:
    """The turn is over. error: a sentence for people, when the reason is ERROR."""

    reason: FinishReason = FinishReason.STOP
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """The turn waits until it is told more; from then on it ends only when it is told to."""


HOLD = Hold()
Step = Say | Tell | Cost | End | Hold


@dataclass(slots=True, eq=False)
class Role:
    """What one turn has still to do."""

    steps: deque[Step]
    holds: bool = False

    @property
    def is_waiting(self) -> bool:
        """Whether there is nothing to do until more is told."""
        return self.holds and not self.steps

    def next(self) -> Step | None:
        """The next step; None while the turn waits. Behind the last one of a turn comes its end."""
        if self.steps:
            return self.steps.popleft()
        return None if self.holds else End()


@dataclass
class Script:
    """The test's side; any thread may call. wake: lets the engine look at what is new.

    answer: what a turn says that nothing was written for, from its message.
    holds: whether it then waits until it is told more.
    refusal: raised, once, when the next request comes.
    drafts: what was typed, as it came to be read ahead.
    """

    wake: Callable[[], None]
    answer: Callable[[str], str] = "You said: {}".format
    holds: bool = False
    refusal: EngineError | None = None
    requests: list[TurnRequest] = field(default_factory=list)
    drafts: list[tuple[str, Setting]] = field(default_factory=list)
    _written: deque[tuple[Step, ...]] = field(default_factory=deque)
    _roles: list[Role] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def write(self, *steps: Step) -> None:
        """The next turn that nothing is written for yet does this, and then ends."""
        with self._lock:
            self._written.append(steps)

    def tell(self, *steps: Step, first: int | None = None) -> None:
        """All turns under way do this next, or only so many, of those that came first."""
        with self._lock:
            for role in self._roles[:first]:
                role.steps.extend(steps)
        self.wake()

    def reset(self) -> None:
        """Forget what is written and was asked; what holds ends."""
        with self._lock:
            self._written.clear()
            self.requests.clear()
            self.drafts.clear()
            self.refusal, self.holds = None, False
        self.tell(End())

    @property
    def asked(self) -> list[str]:
        """The messages of all requests so far."""
        return [request.message for request in self.requests]

    @property
    def options(self) -> dict[str, Any]:
        """The template options of the last request."""
        return dict(self.requests[-1].setting.template_options)

    def arrives(self, request: TurnRequest) -> None:
        """In the engine's thread: a request comes. Raises the refusal, if one is written."""
        self.requests.append(request)
        refusal, self.refusal = self.refusal, None
        if refusal is not None:
            raise refusal

    def begins(self, request: TurnRequest) -> Role:
        """In the engine's thread: the request's turn begins."""
        with self._lock:
            said = Say(" more" if request.continues else self.answer(request.message))
            default: tuple[Step, ...] = (said, HOLD) if self.holds else (said,)
            role = Role(deque(self._written.popleft() if self._written else default))
            self._roles.append(role)
            return role

    def is_over(self, role: Role) -> None:
        """In the engine's thread: its turn is."""
        with self._lock:
            self._roles.remove(role)
