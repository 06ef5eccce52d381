"""The owner thread, in which everything that changes lives, and the ways into it.

Owns: the thread, the queue of commands, and how answers come back to event loops. Does not know:
what a command or a step does. Commands posted while the model loads wait for it; after `close` each
gets EngineClosed.
"""

import atexit
import contextlib
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Literal, TypeVar

from engine.config import EngineConfig
from engine.conversations import Home
from engine.errors import (
    EngineClosed,
    EngineError,
    EngineFault,
    ModelUnsupported,
    RequestError,
)
from engine.events import Event, Finished
from engine.faults import Survived
from engine.loading import ModelInfo
from engine.mailbox import Mailbox
from engine.turns import EngineCore, TurnRequest

log = logging.getLogger(__name__)

Command = Callable[[EngineCore], object]
Answer = TypeVar("Answer")
Loader = Callable[[EngineConfig, Home], tuple[EngineCore, ModelInfo]]

UNREADABLE = "This message could not be read; the log says more. Write it in another way."
FAULT = "Something went wrong in the engine; its log says more. Nothing else was changed."
STOPPED = (
    "The engine stopped because of a fault and starts again; the conversation is kept. Try again."
)
MAX_RESTARTS, WINDOW_S = 3, 600.0  # one that stops more often is not started again
SAVE_AT_END_S = 3.5
CLOSE_AT_EXIT_S = 5.0
PATIENCE_S = 2.0


class Owner:
    """Loads a model and runs its core. `core` and `info` are None until it is loaded.

    An engine that a fault has ended all the same saves what it can and is loaded again, with the
    conversations as they were; restarts: how often. One that keeps failing stays ended (`error`).
    """

    def __init__(self, config: EngineConfig, loader: Loader) -> None:
        self.config = config
        self.core: EngineCore | None = None
        self.info: ModelInfo | None = None
        self.error: EngineError | None = None
        self.settled = threading.Event()
        self.closing = threading.Event()
        self.restarts = 0
        self._loader = loader
        self._at_work_since: float | None = None
        self._restarted_at: deque[float] = deque(maxlen=MAX_RESTARTS)
        self._listening: set[Callable[[EngineError], None]] = set()
        self._commands: queue.SimpleQueue[Command | None] = queue.SimpleQueue()
        self.thread = threading.Thread(name="engine", daemon=True)

    @property
    def stands_still_s(self) -> float:
        """For how long the thread has been at one step or command; 0 while it waits or loads."""
        since = self._at_work_since
        return 0.0 if since is None else time.monotonic() - since

    def start(self, home: Home) -> None:
        """Begin to load the model, in the thread. A program that ends without `close` closes it then."""
        atexit.register(self.close, CLOSE_AT_EXIT_S)
        self.thread = threading.Thread(target=self._run, args=(home,), name="engine", daemon=True)
        self.thread.start()

    def close(self, timeout_s: float) -> None:
        """Cancel all turns and end the thread; waits at most `timeout_s`."""
        atexit.unregister(self.close)
        self.closing.set()
        self.wake()
        if self.thread.is_alive():
            self.thread.join(timeout_s)

    async def stream(self, request: TurnRequest) -> AsyncGenerator[Event, None]:
        """The events of a request, up to its end; closing the generator cancels it."""
        events: Mailbox[Event | EngineError] = Mailbox()

        def emit(event: Event | EngineError) -> None:
            try:
                events.put(event)
            except RuntimeError:  # the loop is closed: nobody listens any more
                request.cancelled = True

        def begin(core: EngineCore) -> None:
            self._listening.add(emit)
            with Survived(log, "A request could not be read") as beginning:
                if (answer := _answer(core, lambda core: core.begin(request))) is not True:
                    emit(answer)
            if beginning.failed:  # a template or tokenizer that chokes on this text
                emit(RequestError(UNREADABLE))

        request.emit = emit
        try:
            self.post(begin)
            while True:
                for event in await self._next(events):
                    if isinstance(event, EngineError):
                        raise event
                    yield event
                    if isinstance(event, Finished):
                        return
        finally:
            self._listening.discard(emit)
            request.cancelled = True
            self.wake()

    async def _next(self, answers: Mailbox[Answer]) -> list[Answer] | list[EngineError]:
        """The owner thread's next answers; EngineClosed if it ended without one."""
        while True:
            if taken := await answers.take(1.0):
                return taken
            if not self.thread.is_alive() and answers.is_empty:
                return [self.error or EngineClosed("The engine has stopped.")]

    async def call(self, command: Command) -> None:
        """Run a command in the owner thread and wait for it; what it raises is raised here."""
        answers: Mailbox[bool | EngineError] = Mailbox()

        def run(core: EngineCore) -> None:
            answer: bool | EngineError = EngineFault(FAULT)
            with Survived(log, "A command failed"):
                answer = _answer(core, command)
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
                answers.put(answer)

        self.post(run)
        answer = (await self._next(answers))[0]
        if isinstance(answer, EngineError):
            raise answer

    def post(self, command: Command) -> None:
        """Run a command in the thread, soon. Raises EngineClosed or what loading failed with."""
        if self.closing.is_set() or self.error:
            raise self.error or EngineClosed("The engine is stopping.")
        self._commands.put(command)

    def wake(self) -> None:
        """Let the thread look around; from any thread."""
        self._commands.put(None)

    def _run(self, home: Home) -> None:
        self._load(home)
        self.settled.set()
        while self.core is not None and not self.closing.is_set():
            with Survived(log, "The engine stopped") as life:
                self._serve(self.core)
            if life.failed:
                self._start_again(home, self.core)
        if self.core is not None:
            self._end(home, self.core)
        self.core = None  # its memory goes back now, not when cycles are collected

    def _load(self, home: Home) -> None:
        try:
            self.core, self.info = self._loader(self.config, home)
        except EngineError as error:
            self.error = error
        except Exception as error:
            log.exception("The model could not be loaded")
            self.error = ModelUnsupported(f"The model could not be loaded: {error}")

    def _serve(self, core: EngineCore) -> None:
        while not self.closing.is_set():
            self._obey(core)
            with self._at_work():
                if core.has_work:
                    core.step()
                elif core.parts.idle.wait_s() == 0.0:
                    core.parts.idle.step()

    @contextlib.contextmanager
    def _at_work(self) -> Iterator[None]:
        self._at_work_since = time.monotonic()
        try:
            yield
        finally:
            self._at_work_since = None

    def _start_again(self, home: Home, core: EngineCore) -> None:
        """Behind a fault: those who wait are told, what can be saved is, and all is loaded anew."""
        self.core = None
        with Survived(log, "Not every answer could be ended"):
            core.cancel_all()
            home.journal.flush(PATIENCE_S)  # their ends are told once they are stored
        for tell in list(self._listening):
            tell(EngineFault(STOPPED))
        with Survived(log, "Not all KV could be saved"):
            core.parts.tiers.saving.save_all(time.monotonic() + SAVE_AT_END_S)
        home.sessions.start_again()
        now = time.monotonic()
        if len(self._restarted_at) == MAX_RESTARTS and now - self._restarted_at[0] < WINDOW_S:
            self.error = EngineClosed(
                "The engine keeps stopping; its log says why. Start it again."
            )
            home.journal.close()
            return
        self._restarted_at.append(now)
        self.restarts += 1
        self._load(home)

    def _end(self, home: Home, core: EngineCore) -> None:
        """The end that was asked for; what fails of it keeps nothing else from being saved."""
        with Survived(log, "Not every answer could be ended"):
            core.cancel_all()
        with Survived(log, "Not all KV could be saved"):
            core.parts.tiers.saving.save_all(time.monotonic() + SAVE_AT_END_S)
        home.journal.close()

    def _obey(self, core: EngineCore) -> None:
        """Run the commands that have come; wait for one if there is nothing else to do."""
        wait_s = 0.0 if core.has_work else core.parts.idle.wait_s()
        if self.config.debug and wait_s != 0.0:
            core.check_integrity()
        with contextlib.suppress(queue.Empty):
            command = self._commands.get(block=wait_s != 0.0, timeout=wait_s)
            while True:
                if command is not None:
                    with self._at_work(), Survived(log, "A command failed"):  # whatever it raises
                        command(core)
                command = self._commands.get_nowait()


def _answer(core: EngineCore, command: Command) -> Literal[True] | EngineError:
    """True, or the error that the command was refused with."""
    try:
        command(core)
    except EngineError as refusal:
        return refusal
    return True
