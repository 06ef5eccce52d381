"""Changes on their way to the store: in order, by a thread of their own, tried again until they are there.

Owns: the queue of changes, the pauses between tries, and who waits to hear how it went. Does not know
what a change is. Nobody who puts a change in waits for the disk.
Invariants: a change is written after all that came before it, and none is given up while the program
runs because the store cannot be written.
"""

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from engine.conversations.session import Session, SessionId
from engine.conversations.store import ConversationNotFound, StoreError, Trouble, Unstorable

log = logging.getLogger(__name__)

# True: committed. False: not yet, and tried again; said once PATIENCE_S have passed, or at once while
# earlier changes cannot be written.
Stored = Future[bool]

PATIENCE_S = 2.0
FIRST_PAUSE_S, LONGEST_PAUSE_S, LAST_PAUSE_S = 0.05, 2.0, 0.05  # the last: while it closes
MAX_WAITING_BYTES = 64 << 20


def stored_already(is_stored: bool = True) -> Stored:
    """Nothing is to be written."""
    stored = Stored()
    stored.set_result(is_stored)
    return stored


@dataclass(slots=True, eq=False)
class _Change:
    """What is to be written. once: it is not tried again; who asked for it waits, and is told why."""

    act: Callable[[], object]
    num_bytes: int = 0
    session: Session | None = None
    once: bool = False
    stored: Stored = field(default_factory=Stored)
    due_at: float = field(default_factory=lambda: time.monotonic() + PATIENCE_S)

    def tell(self, outcome: bool | StoreError) -> None:
        """The first outcome counts."""
        with suppress(InvalidStateError):
            if self.once and isinstance(outcome, StoreError):
                self.stored.set_exception(outcome)
            else:
                self.stored.set_result(outcome is True)


class Writer:
    """Writes changes. Any thread may call.

    check: is called before each change, and raises StoreError if nothing can be written now.
    relieve: is called when the disk is full, and says whether it has made room.
    """

    def __init__(self, check: Callable[[], object] = lambda: None) -> None:
        self._check = check
        self.relieve: Callable[[], bool] = lambda: False
        self._waiting: deque[_Change] = deque()
        self._num_bytes = 0
        self._changed = threading.Condition()
        self._error: StoreError | None = None
        self._pause_s = self._tried_at = 0.0
        self._closes_at: float | None = None
        self._promised: queue.SimpleQueue[_Change | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=work, name=name, daemon=True)
            for work, name in ((self._write, "journal"), (self._keep_promises, "journal-patience"))
        ]
        for thread in self._threads:
            thread.start()

    @property
    def error(self) -> StoreError | None:
        """Why the oldest change could not be written when it was last tried; None if all goes well."""
        return self._error

    @property
    def num_waiting(self) -> int:
        """Changes that are not written yet."""
        return len(self._waiting)

    @property
    def is_full(self) -> bool:
        """Whether so much waits that nothing new should be begun."""
        return self._num_bytes >= MAX_WAITING_BYTES

    def put(
        self, act: Callable[[], object], num_bytes: int = 0, session: Session | None = None
    ) -> Stored:
        """Write this soon. act: raises StoreError. session: what it is a change of."""
        return self._put(_Change(act, num_bytes, session)).stored

    def ask(self, act: Callable[[], object]) -> None:
        """Write this behind all that waits; once it is committed this returns. Raises StoreError.

        It is tried once, and not at all while earlier changes cannot be written.
        """
        change = _Change(act, once=True)
        with self._changed:
            if self._error is not None:
                raise StoreError(str(self._error), self._error.trouble)
            self._put(change)
        if not change.stored.result():
            raise StoreError("The disk is slow; look in a moment whether this was done.")

    def newest_of(self, session_id: SessionId | None) -> tuple[Session, Stored] | None:
        """The session as the last change that waits for it has it; None if all is written."""
        with self._changed:
            for change in reversed(self._waiting):
                if change.session is not None and change.session.id == session_id:
                    return change.session, change.stored
        return None

    def flush(self, timeout_s: float) -> None:
        """Wait until all that waits now is written. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: not self._waiting, timeout_s):
                raise TimeoutError("The conversations are not stored yet.")

    def close(self, timeout_s: float) -> int:
        """Try once more, for so long; returns how many changes are lost."""
        with self._changed:
            self._closes_at = time.monotonic() + timeout_s
            self._changed.notify_all()
        self._threads[0].join(timeout_s + PATIENCE_S)
        with self._changed:
            lost = list(self._waiting)
        for change in lost:
            change.tell(self._error or False)
        self._promised.put(None)
        return len(lost)

    def _put(self, change: _Change) -> _Change:
        with self._changed:
            is_late = self._error is not None or self._closes_at is not None
            if not self._threads[0].is_alive():
                change.tell(False)
                return change
            self._waiting.append(change)
            self._num_bytes += change.num_bytes
            self._changed.notify_all()
        if is_late:
            change.tell(False)
        else:
            self._promised.put(change)
        return change

    def _write(self) -> None:
        while (change := self._next()) is not None:
            try:
                self._check()
                change.act()
            except (ConversationNotFound, Unstorable) as error:
                log.warning("A change is left out: %s", error)
                self._done(change, error)
            except StoreError as error:
                if error.trouble is not Trouble.FULL or not self.relieve():
                    self._failed(error)
            except Exception as error:
                log.exception("A change is left out")
                self._done(change, StoreError(str(error)))
            else:
                self._done(change, True)

    def _next(self) -> _Change | None:
        """The oldest change, when it is time to try it; None at the end."""
        with self._changed:
            while not self._is_over:
                wait_s = self._wait_s()
                if wait_s == 0.0:
                    return self._waiting[0]
                self._changed.wait(wait_s)
            return None

    @property
    def _is_over(self) -> bool:
        if self._closes_at is None:
            return False
        return not self._waiting or time.monotonic() >= self._closes_at

    def _wait_s(self) -> float | None:
        """Until the oldest change is to be tried; None: there is none."""
        if not self._waiting:
            return None
        pause_s = self._pause_s if self._closes_at is None else min(self._pause_s, LAST_PAUSE_S)
        return max(self._tried_at + pause_s - time.monotonic(), 0.0)

    def _failed(self, error: StoreError) -> None:
        """The oldest change stays; those that are not tried again are refused."""
        with self._changed:
            refused = [change for change in self._waiting if change.once]
            self._waiting = deque(change for change in self._waiting if not change.once)
            if self._waiting:
                if self._error is None:
                    log.warning("Conversations are not stored now; tried again: %s", error)
                self._error = error
                self._pause_s = min(max(2 * self._pause_s, FIRST_PAUSE_S), LONGEST_PAUSE_S)
                self._tried_at = time.monotonic()
            self._changed.notify_all()
        for change in refused:
            change.tell(error)

    def _done(self, change: _Change, outcome: Literal[True] | StoreError) -> None:
        with self._changed:
            if self._error is not None:
                log.warning("Conversations are stored again")
            self._error, self._pause_s = None, 0.0
        change.tell(outcome)
        with self._changed:  # only now, for `flush`: whoever waits for it has been told
            self._waiting.popleft()
            self._num_bytes -= change.num_bytes
            self._changed.notify_all()

    def _keep_promises(self) -> None:
        """Tell who has waited long enough; all wait equally long, so the first is due first."""
        while (change := self._promised.get()) is not None:
            with suppress(Exception):
                change.stored.exception(max(change.due_at - time.monotonic(), 0.0))
            change.tell(False)
