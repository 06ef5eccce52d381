"""The pace of updates, as arithmetic over costs that the test decides; and what does not wait for it."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import ExitStack
from typing import Any

import pytest

from engine.events import Event, Finished, FinishReason, Prefilling, Text
from tests.web.figures import figures
from web.turns.news import Failure, News
from web.turns.pace import FASTEST_S, SHARE, SLOWEST_S, Pace

LONG_S = 60.0
END = Finished(FinishReason.STOP, figures())


class Processor:
    """A thread's clock that goes on only while it works."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def paced(num_readers: int, cost_s: float) -> float:
    """The interval after many updates at that cost."""
    clock = Processor()
    pace = Pace(clock)
    with ExitStack() as stack:
        for _ in range(num_readers):
            stack.enter_context(pace.shown())
        for _ in range(200):
            clock.seconds += cost_s
            pace.updated()
        return pace.interval_s()


def test_a_single_reader_sees_ten_updates_a_second() -> None:
    assert paced(1, 0.0025) == FASTEST_S <= 0.1


def test_what_the_engine_holds_back_is_there_before_the_next_update() -> None:
    pace = Pace(Processor())
    assert 0 < pace.gather_s() < pace.interval_s()


def test_updates_of_all_readers_keep_to_their_share() -> None:
    for num_readers in (4, 8, 16):
        interval_s = paced(num_readers, 0.0015)
        assert num_readers * 0.0015 / interval_s <= SHARE * 1.01
    assert paced(16, 0.0015) > paced(8, 0.0015) > paced(4, 0.0015) > FASTEST_S


def test_dear_updates_become_rarer_up_to_a_limit() -> None:
    assert paced(1, 0.01) == pytest.approx(0.2, rel=0.01)
    assert paced(64, 0.01) == SLOWEST_S < 1


def test_work_while_nothing_is_shown_is_no_updates() -> None:
    clock = Processor()
    pace = Pace(clock)
    clock.seconds += 1000
    with pace.shown():
        clock.seconds += 0.0015
        pace.updated()
        assert pace.interval_s() == FASTEST_S


def test_readers_who_are_gone_count_no_more() -> None:
    pace = Pace(Processor())
    with ExitStack() as stack:
        for _ in range(16):
            stack.enter_context(pace.shown())
        assert pace.interval_s() > FASTEST_S
    assert pace.interval_s() == FASTEST_S


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 15))


class Told:
    """A turn's news, whose events the test sends; portions are far apart."""

    def __init__(self) -> None:
        self._items: asyncio.Queue[Event | Exception] = asyncio.Queue()
        self.news = News(self._stream(), lambda: LONG_S)

    async def __call__(self, *items: Event | Exception) -> None:
        """Send, and let the news take it."""
        for item in items:
            self._items.put_nowait(item)
        for _ in range(20):
            await asyncio.sleep(0)

    async def _stream(self) -> AsyncGenerator[Event, None]:
        while True:
            item = await self._items.get()
            if isinstance(item, Exception):
                raise item
            yield item


@pytest.mark.parametrize("last", [END, ValueError("no")])
def test_the_first_text_and_the_end_do_not_wait(last: Event | Exception) -> None:
    async def scenario() -> None:
        told = Told()
        await told(Prefilling(1, 2))
        assert await told.news.recent() == [Prefilling(1, 2)]
        await told(Prefilling(2, 2), Text("a"))
        assert await told.news.recent() == [Prefilling(2, 2), Text("a")]
        await told(Text("b"), last)
        ending = Failure(last) if isinstance(last, Exception) else last
        assert await told.news.recent() == [Text("b"), ending]

    run(scenario())


@pytest.mark.parametrize("first", [Prefilling(1, 2), Text("a")])
def test_progress_and_more_text_wait_for_their_time(first: Event) -> None:
    async def scenario() -> None:
        told = Told()
        await told(first)
        assert await told.news.recent() == [first]
        more = asyncio.create_task(told.news.recent())
        await told(Prefilling(2, 2) if isinstance(first, Prefilling) else Text("b"))
        assert not more.done()
        await told(END)
        assert (await more)[-1] == END

    run(scenario())
