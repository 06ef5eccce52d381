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


def test_who_waits_gets_what_comes_and_nothing_when_patience_ends() -> None:
    async def main() -> None:
        mailbox: Mailbox[str] = Mailbox()
        taking = asyncio.create_task(mailbox.take(LONG_S))
        await settle()
        mailbox.put("a")
        assert await taking == ["a"]
        assert await mailbox.take(0.01) == []
        mailbox.put("b")
        assert await mailbox.take(0.0) == ["b"]

    run(main())


def test_the_loop_is_woken_only_where_somebody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        mailbox: Mailbox[int] = Mailbox()
        loop = asyncio.get_running_loop()
        wake, wakes = loop.call_soon_threadsafe, list[Any]()

        def counted(callback: Any) -> None:
            wakes.append(callback)
            wake(callback)

        monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
        mailbox.put(0)
        assert wakes == []
        assert await mailbox.take() == [0]
        taking = asyncio.create_task(mailbox.take())
        await settle()
        for i in range(9):
            mailbox.put(i)
        assert len(wakes) == 1
        assert await taking == list(range(9))

    run(main())


def test_who_sends_to_a_closed_loop_is_told() -> None:
    async def main() -> Mailbox[int]:
        return Mailbox()

    mailbox = asyncio.run(main())
    with pytest.raises(RuntimeError):
        mailbox.put(1)
