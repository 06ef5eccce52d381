"""A stream that a test reads while it does something else, and can wait on until it brings something."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Watched(Generic[Item]):
    """What a stream has brought so far. For the running loop."""

    def __init__(self, stream: AsyncGenerator[Item, None]) -> None:
        self._seen: list[Item] = []
        self._news = asyncio.Event()
        self._task = asyncio.create_task(self._watch(stream))

    async def until(self, is_meant: Callable[[Item], bool]) -> Item:
        """The first item of which this holds."""
        while not (found := [item for item in self._seen if is_meant(item)]):
            assert not self._task.done(), f"it is over, and brought only {self._seen}"
            self._news.clear()
            await self._news.wait()
        return found[0]

    async def end(self) -> list[Item]:
        """All items, once the stream is over."""
        await self._task
        return self._seen

    async def _watch(self, stream: AsyncGenerator[Item, None]) -> None:
        try:
            async for item in stream:
                self._seen.append(item)
                self._news.set()
        finally:
            self._news.set()
