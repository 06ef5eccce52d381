"""What the owner thread tells an event loop.

Owns: the items on their way from one thread to one loop. Does not know what they mean. The loop is
woken only while somebody waits in `take`. A loop that is closed is told to nobody: `put` raises
RuntimeError.
"""

import asyncio
import contextlib
from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Mailbox(Generic[Item]):
    """Items for the running loop, in order. `put` from any one thread, `take` from one task."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._items: deque[Item] = deque()
        self._is_awaited = False
        self._woken = asyncio.Event()

    def put(self, item: Item) -> None:
        """Add an item."""
        self._items.append(item)
        # Only after that: `take` first says that it waits, and then looks whether something is there.
        if self._is_awaited:
            self._is_awaited = False
            self._loop.call_soon_threadsafe(self._woken.set)
        elif self._loop.is_closed():
            raise RuntimeError("nobody listens any more")

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to take now."""
        return not self._items

    async def take(self, patience_s: float | None = None) -> list[Item]:
        """All that there is, or what comes first within `patience_s`; empty if nothing does."""
        if not self._items:
            await self._wait(patience_s)
        return [self._items.popleft() for _ in range(len(self._items))]

    async def _wait(self, seconds: float | None) -> None:
        self._woken.clear()
        self._is_awaited = True
        try:
            if not self._items:
                # Not wait_for: in Python 3.11 it swallows a cancellation that comes with an answer.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await self._woken.wait()
        finally:
            self._is_awaited = False
