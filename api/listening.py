"""A client that listens, or is gone.

Owns: how its going ends the work that is done for it, within a step of the engine, whether anything is sent
meanwhile or not; and what is told while nothing else is. Knows ASGI; does not know what is said.
"""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from starlette.types import Receive

Result = TypeVar("Result")
Item = TypeVar("Item")


async def while_listening(receive: Receive, work: Coroutine[Any, Any, Result]) -> Result | None:
    """What the work comes to; None if the client goes before, which ends it.

    receive: of a request whose body was read.
    """
    doing, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({doing, gone}, return_when=asyncio.FIRST_COMPLETED)
        return doing.result() if doing.done() else None
    finally:
        for task in (doing, gone):
            task.cancel()
        await asyncio.gather(doing, gone, return_exceptions=True)


async def has_begun(receive: Receive, items: AsyncGenerator[Item | None, None]) -> bool:
    """Wait for the first of the items, which tells that a request is taken; False if the client goes before.

    What is refused is raised here, before a response begins.
    """
    waiting = _first(items)
    return await while_listening(receive, waiting) is True


async def _first(items: AsyncGenerator[Item | None, None]) -> bool:
    await anext(items, None)
    return True


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def with_pauses(
    items: AsyncGenerator[Item, None], period_s: float
) -> AsyncGenerator[Item | None, None]:
    """The items, and None whenever none has come for so long. Closes `items`."""
    coming: asyncio.Future[Item] = asyncio.ensure_future(anext(items))
    try:
        while True:
            done, _ = await asyncio.wait({coming}, timeout=period_s)
            if not done:
                yield None
                continue
            try:
                item = coming.result()
            except StopAsyncIteration:
                return
            yield item
            coming = asyncio.ensure_future(anext(items))
    finally:
        coming.cancel()
        with suppress(asyncio.CancelledError, StopAsyncIteration, Exception):
            await coming
        await items.aclose()
