"""What the owner thread tells an event loop, without waking it for every token.

Owns: the items on their way from one thread to one loop. Does not know what they mean. The loop is
woken only while somebody waits in `take`, and, while that gathers, only by what is urgent: with many
readers a wake for each token would cost more than the reading. A loop that is closed is told to
nobody: `put` raises RuntimeError.
"""

import asyncio
import contextlib
from collections import deque
from typing import Generic, Literal, TypeVar

Item = TypeVar("Item")


class Mailbox(Generic[Item]):
    """Items for the running loop, in order. `put` from any one thread, `take` from one task."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._items: deque[Item] = deque()
        self._is_urgent = False
        self._wants: Literal["nothing", "urgent", "anything"] = "nothing"
        self._woken = asyncio.Event()

    def put(self, item: Item, *, urgent: bool = True) -> None:
        """Add an item. urgent: who gathers is not to wait for more."""
        self._items.append(item)
        self._is_urgent = self._is_urgent or urgent
        # Only after that: `take` first says what it wants, and then looks whether it is there.
        if self._wants == "anything" or (urgent and self._wants == "urgent"):
            self._wants = "nothing"
            self._loop.call_soon_threadsafe(self._woken.set)
        elif self._loop.is_closed():
            raise RuntimeError("nobody listens any more")

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to take now."""
        return not self._items

    async def take(self, gather_s: float = 0.0, patience_s: float | None = None) -> list[Item]:
        """All that there is once `gather_s` are over, or something urgent has come.

        Then, if that is nothing, what comes first within `patience_s`; empty if nothing does.
        """
        if gather_s > 0 and not self._is_urgent:
            await self._wait("urgent", gather_s)
        if not self._items:
            await self._wait("anything", patience_s)
        self._is_urgent = False  # before the items: one that comes meanwhile is urgent for nothing
        return [self._items.popleft() for _ in range(len(self._items))]

    async def _wait(self, wanted: Literal["urgent", "anything"], seconds: float | None) -> None:
        self._woken.clear()
        self._wants = wanted
        try:
            if not (self._is_urgent if wanted == "urgent" else self._items):
                # Not wait_for: in Python 3.11 it swallows a cancellation that comes with an answer.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await self._woken.wait()
        finally:
            self._wants = "nothing"
