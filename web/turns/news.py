"""The engine's events of one turn, in portions that can be waited for with a time limit.

Owns: the task that carries the events over, so that a wait that times out loses none of them, and
that portions keep their distance; only the first text and the end come at once.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from engine.events import Event, Finished, Text
from web.turns.pace import FASTEST_S

IDLE_INTERVAL_S = 0.4  # a closed tab is noticed at the next frame, so one comes even without news


@dataclass(frozen=True, slots=True)
class Failure:
    """The end of a stream that raised."""

    error: Exception


class News:
    """One turn's events, and a Failure in place of the last if the stream raised.

    interval_s: how long after one portion the next comes, asked each time.
    """

    def __init__(
        self,
        stream: AsyncGenerator[Event, None],
        interval_s: Callable[[], float] = lambda: FASTEST_S,
    ) -> None:
        self._queue: asyncio.Queue[Event | Failure] = asyncio.Queue()
        self._interval_s = interval_s
        self._has_begun = False
        self._urgent = asyncio.Event()
        self._portion_at: float | None = None
        self._task = asyncio.create_task(self._carry(stream))

    async def recent(self) -> list[Event | Failure]:
        """All there is, once it is time and after waiting a moment for the first."""
        await self._keep_distance()
        try:
            first = await asyncio.wait_for(self._queue.get(), IDLE_INTERVAL_S)
        except TimeoutError:
            return []
        finally:
            self._portion_at = asyncio.get_running_loop().time()
        self._urgent.clear()
        return [first, *self._rest()]

    async def close(self, patience_s: float) -> list[Event | Failure]:
        """What still comes within `patience_s`; then the stream is closed."""
        await asyncio.wait([self._task], timeout=patience_s)
        self._task.cancel()
        return self._rest()

    async def _carry(self, stream: AsyncGenerator[Event, None]) -> None:
        try:
            async with aclosing(stream):
                async for event in stream:
                    self._put(event)
        except Exception as error:  # noqa: BLE001  (whoever reads the news tells and logs it)
            self._put(Failure(error))

    def _put(self, item: Event | Failure) -> None:
        self._queue.put_nowait(item)
        is_text = isinstance(item, Text)
        if isinstance(item, Finished | Failure) or (is_text and not self._has_begun):
            self._urgent.set()
        self._has_begun = self._has_begun or is_text

    async def _keep_distance(self) -> None:
        """Wait until it is time for the next portion, or something does not wait."""
        if self._portion_at is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._portion_at + self._interval_s()):
                    await self._urgent.wait()

    def _rest(self) -> list[Event | Failure]:
        return [self._queue.get_nowait() for _ in range(self._queue.qsize())]
