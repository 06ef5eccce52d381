"""The engine's events of one turn, in portions that can be waited for with a time limit.

Owns: the task that carries the events over, so that a wait that times out loses none of them. Does
not know what the events mean.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from engine.events import Event

IDLE_INTERVAL_S = 0.4  # a closed tab is noticed at the next frame, so one comes even without news


@dataclass(frozen=True, slots=True)
class Failure:
    """The end of a stream that raised."""

    error: Exception


class News:
    """One turn's events, and a Failure in place of the last if the stream raised."""

    def __init__(self, stream: AsyncGenerator[Event, None]) -> None:
        self._queue: asyncio.Queue[Event | Failure] = asyncio.Queue()
        self._task = asyncio.create_task(self._carry(stream))

    async def recent(self) -> list[Event | Failure]:
        """All there is, after waiting a moment for the first."""
        try:
            first = await asyncio.wait_for(self._queue.get(), IDLE_INTERVAL_S)
        except TimeoutError:
            return []
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
                    self._queue.put_nowait(event)
        except Exception as error:  # noqa: BLE001  (whoever reads the news tells and logs it)
            self._queue.put_nowait(Failure(error))

    def _rest(self) -> list[Event | Failure]:
        return [self._queue.get_nowait() for _ in range(self._queue.qsize())]
