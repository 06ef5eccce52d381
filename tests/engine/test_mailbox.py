"""Items from one thread to an event loop: all arrive, and nobody is woken in vain."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import pytest

from engine.mailbox import Mailbox

LONG_S = 60.0


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 15))


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_items_come_in_order_from_another_thread() -> None:
    async def main() -> None:
        mailbox: Mailbox[int] = Mailbox()

        def send() -> None:
            for i in range(20_000):
                mailbox.put(i)

        thread = threading.Thread(target=send)
        thread.start()
        taken: list[int] = []
        while len(taken) < 20_000:
            taken += await mailbox.take()
        thread.join()
        assert taken == list(range(20_000))

    run(main())


def test_what_is_not_urgent_gathers() -> None:
    async def main() -> None:
        mailbox: Mailbox[str] = Mailbox()
        taking = asyncio.create_task(mailbox.take(gather_s=LONG_S))
        await settle()
        mailbox.put("a", urgent=False)
        mailbox.put("b", urgent=False)
        await settle()
        assert not taking.done()
        mailbox.put("end")
        assert await taking == ["a", "b", "end"]

    run(main())


def test_what_was_urgent_before_is_taken_at_once() -> None:
    async def main() -> None:
        mailbox: Mailbox[str] = Mailbox()
        mailbox.put("first")
        assert await mailbox.take(gather_s=LONG_S) == ["first"]
        taking = asyncio.create_task(mailbox.take(gather_s=LONG_S))
        await settle()
        assert not taking.done(), "what was urgent is taken"
        taking.cancel()

    run(main())


def test_gathering_ends_with_what_has_come() -> None:
    async def main() -> None:
        mailbox: Mailbox[str] = Mailbox()
        mailbox.put("a", urgent=False)
        assert await mailbox.take(gather_s=0.01) == ["a"]
        assert await mailbox.take(gather_s=0.01, patience_s=0.01) == []

    run(main())


def test_the_loop_is_not_woken_for_what_gathers(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        mailbox: Mailbox[int] = Mailbox()
        loop = asyncio.get_running_loop()
        wake, wakes = loop.call_soon_threadsafe, list[Any]()

        def counted(callback: Any) -> None:
            wakes.append(callback)
            wake(callback)

        monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
        for gather_s, expected in ((LONG_S, 1), (0.0, 2)):
            taking = asyncio.create_task(mailbox.take(gather_s))
            await settle()
            for i in range(9):
                mailbox.put(i, urgent=i == 8)
            assert len(wakes) == expected
            assert await taking == list(range(9))

    run(main())


def test_who_sends_to_a_closed_loop_is_told() -> None:
    async def main() -> Mailbox[int]:
        return Mailbox()

    mailbox = asyncio.run(main())
    with pytest.raises(RuntimeError):
        mailbox.put(1)
