"""Who waits for a model that is not there yet, and who is told to come later."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace

from web.crowd import ANSWERS_AT_ONCE
from web.options import Options
from web.startup import Startup
from web.turns.frames import Frame, Preparing
from web.turns.preparing import preparing


def test_no_more_wait_for_the_model_than_it_takes_at_once(options: Options) -> None:
    startup = Startup(replace(options, max_queue=1))
    waiting: list[AsyncGenerator[Frame, None]] = []

    async def come() -> Frame:
        waiting.append(preparing(startup, "Hello"))
        return await anext(waiting[-1])

    async def all_of_them() -> None:
        for _ in range(ANSWERS_AT_ONCE + 1):
            assert (await come()).progress == Preparing()
        refused = await come()
        assert (refused.is_busy, refused.is_last) == (True, True)
        assert await anext(waiting[-1], None) is None
        await waiting[0].aclose()  # Stop, or the page is closed
        assert not (await come()).is_busy
        assert (await come()).is_busy
        startup._ready.set()
        assert [await anext(each, None) for each in waiting] == [None] * len(waiting)
        assert [frame async for frame in preparing(startup, "Hello")] == []

    asyncio.run(all_of_them())
