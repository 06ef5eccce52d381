"""How far apart the updates of running answers are.

Owns: how many answers are being shown, and what an update costs the server, measured: what the event
loop's thread works from one update to the next, be they of one answer or of many. Updates share the
processor with the model, so all together they get a small part of it: with many readers, or long
conversations, they become rarer before tokens do. Does not know what an update is.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

FASTEST_S = 0.1
SLOWEST_S = 0.5
SHARE = 0.05  # of one processor, for all that updates cost the loop
_FIRST_GUESS_S = 0.0015
_WEIGHT = 0.05  # of the newest update in the mean


class Pace:
    """The pace of one event loop's updates. clock: seconds of processor time of its thread."""

    def __init__(self, clock: Callable[[], float] = time.thread_time) -> None:
        self._clock = clock
        self._num_shown = 0
        self._cost_s = _FIRST_GUESS_S
        self._worked_s = 0.0  # what the clock said at the last update

    def interval_s(self) -> float:
        """Seconds from one update of an answer to its next, as things are now."""
        return min(max(self._num_shown * self._cost_s / SHARE, FASTEST_S), SLOWEST_S)

    def gather_s(self) -> float:
        """Seconds for which the engine may hold text back: half an interval, since News waits as well."""
        return self.interval_s() / 2

    @contextmanager
    def shown(self) -> Iterator[None]:
        """While an answer is being shown."""
        if not self._num_shown:
            self._worked_s = self._clock()  # what came before was no update's
        self._num_shown += 1
        try:
            yield
        finally:
            self._num_shown -= 1

    def updated(self) -> None:
        """An answer was updated."""
        worked_s = self._clock()
        self._cost_s += _WEIGHT * (worked_s - self._worked_s - self._cost_s)
        self._worked_s = worked_s
