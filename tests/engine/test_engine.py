"""The public face: an engine with its own thread, used from event loops and other threads."""

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from engine.config import EngineConfig
from engine.engine import Engine
from engine.errors import (
    EmptyMessage,
    EngineClosed,
    EngineError,
    ModelNotFound,
    ModelUnsupported,
    RequestError,
    SessionBusy,
    SessionNotFound,
)
from engine.events import Event, Finished, FinishReason, Text
from engine.model.batch import Inputs
from engine.scheduling.sampling import SamplingParams
from tests.engine.fakes import endless, saying
from tests.engine.rig import GREEDY, Rig, assistant, config, make_loader, make_rig, session_id, user

LONG = SamplingParams(temperature=0, max_tokens=100_000)


class Engines:
    """Makes engines over fake models, and ends them."""

    def __init__(self) -> None:
        self.rigs: list[Rig] = []
        self.engines: list[Engine] = []

    def __call__(self, **options: Any) -> Engine:
        engine = self.custom(make_loader(self.rigs, **options))
        engine.wait_ready(5)
        return engine

    def custom(self, loader: Callable[..., Any]) -> Engine:
        engine = Engine(config(), loader=loader).start()
        self.engines.append(engine)
        return engine

    def close(self) -> None:
        for engine in self.engines:
            engine.close()
            assert not [t for t in threading.enumerate() if t is engine._owner.thread]
        for rig in self.rigs:
            rig.check()


@pytest.fixture
def engines() -> Iterator[Engines]:
    made = Engines()
    yield made
    made.close()


def slow(_inputs: Inputs) -> None:
    time.sleep(0.005)


def run(main: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(main, 15))


async def say(
    engine: Engine, message: str, name: str = "one", **options: Any
) -> tuple[str, Finished]:
    engine.open_session(session_id(name))
    stream = engine.chat(session_id(name), message, **({"params": GREEDY} | options))
    events = [event async for event in stream]
    assert isinstance(events[-1], Finished)
    return "".join(e.text for e in events if isinstance(e, Text)), events[-1]


async def first_text(engine: Engine, name: str = "one") -> Any:
    """A chat that never ends by itself, up to its first text."""
    engine.open_session(session_id(name))
    events = engine.chat(session_id(name), "Hi", params=LONG)
    async for event in events:
        if isinstance(event, Text):
            break
    return events


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


def test_a_chat_streams_its_reply(engines: Engines) -> None:
    engine = engines(choose=saying("Hello!"))
    text, end = run(say(engine, "Hi"))
    assert (text, end.reason) == ("Hello!", FinishReason.STOP)
    assert engine.messages(session_id()) == (user("Hi"), assistant("Hello!"))


def test_text_gathers_but_its_beginning_and_the_end_do_not_wait(engines: Engines) -> None:
    engine = engines(choose=endless)
    engines.rigs[0].model.before = slow

    async def main() -> list[tuple[str, int]]:
        engine.open_session(session_id())
        params = SamplingParams(temperature=0, max_tokens=30)
        seen = []
        async for event in engine.chat(session_id(), "Hi", params=params, gather=lambda: 60.0):
            steps = engine.stats().tokens_generated
            seen.append((type(event).__name__, steps))
        return seen

    seen = run(main())
    texts = [steps for name, steps in seen if name == "Text"]
    assert seen[-1][0] == "Finished"
    assert texts[0] < 10, "the first text came at once"
    assert len(texts) == 2, "the others came together"
    assert texts[1] >= 30


def test_concurrent_chats_get_the_replies_they_would_get_alone(engines: Engines) -> None:
    engine = engines(num_blocks=80, max_num_sequences=3)

    async def main() -> list[tuple[str, Finished]]:
        return await asyncio.gather(*(say(engine, "Hi" * i, f"{i}") for i in range(1, 9)))

    texts = [text for text, _ in run(main())]
    assert texts == [make_rig().chat("Hi" * i).text for i in range(1, 9)]


def test_one_engine_serves_several_event_loops(engines: Engines) -> None:
    engine = engines()
    texts: dict[int, str] = {}

    def chat(i: int) -> None:
        texts[i] = run(say(engine, "Hi" * i, f"{i}"))[0]

    threads = [threading.Thread(target=chat, args=(i,)) for i in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert texts == {i: make_rig().chat("Hi" * i).text for i in (1, 2, 3)}


def test_closing_the_generator_cancels_and_keeps_what_was_said(engines: Engines) -> None:
    engine = engines(choose=endless, num_blocks=5000)
    engines.rigs[0].model.before = slow

    async def main() -> None:
        events = await first_text(engine)
        await events.aclose()
        await until(lambda: engine.stats().running == 0)

    run(main())
    said = engine.messages(session_id())
    assert said[0] == user("Hi")
    assert said[1].content
    assert engine.stats().waiting == 0


def test_cancelling_the_listening_task_cancels_the_turn_whenever_it_comes(
    engines: Engines,
) -> None:
    engine = engines(choose=endless, num_blocks=5000)

    async def stop_after(num_tokens: int) -> None:
        task = asyncio.create_task(say(engine, "Hi", f"{num_tokens}", params=LONG))
        before = engine.stats().tokens_generated
        await until(lambda: engine.stats().tokens_generated >= before + num_tokens)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 5)
        await until(lambda: engine.stats().running == 0)

    async def main() -> None:
        for num_tokens in range(1, 30):
            await stop_after(num_tokens)

    run(main())


def test_cancel_from_another_thread_ends_the_stream(engines: Engines) -> None:
    engine = engines(choose=endless, num_blocks=5000)

    async def main() -> list[Event]:
        events = await first_text(engine)
        threading.Thread(target=engine.cancel, args=(session_id(),)).start()
        return [event async for event in events]

    rest = run(main())
    assert rest[-1].reason is FinishReason.CANCELLED


def test_only_an_answer_of_this_conversation_can_be_liked(engines: Engines) -> None:
    engine = engines()
    for name in ("one", "two"):
        run(say(engine, "One", name))
    question, answer = [e.node.id for e in engine.transcript(session_id("one"))]

    def rate(name: str, node_id: int) -> None:
        run(engine.rate(session_id(name), node_id, "dislike"))

    for name, node_id in (("one", question), ("one", 999)):
        with pytest.raises(RequestError, match="no such answer"):
            rate(name, node_id)
    with pytest.raises(SessionNotFound):
        rate("stranger/one", answer)
    rate("one", answer)
    assert [e.node.feedback for e in engine.transcript(session_id("one"))] == [None, "dislike"]
    assert engine.transcript(session_id("two"))[1].node.feedback is None


def test_a_cut_answer_goes_on_and_a_whole_one_does_not(engines: Engines) -> None:
    engine = engines(choose=saying("one two three"))

    async def scenario() -> None:
        cut, _ = await say(engine, "Count", params=SamplingParams(temperature=0, max_tokens=4))
        events = [event async for event in engine.continue_reply(session_id(), params=LONG)]
        assert isinstance(events[-1], Finished)
        assert events[-1].reason is FinishReason.STOP
        text = "".join(event.text for event in events if isinstance(event, Text))
        assert (cut, text) == ("one ", "two three")
        with pytest.raises(RequestError, match="nothing to continue"):
            await anext(engine.continue_reply(session_id()))

    run(scenario())


def test_cancel_leaves_the_other_conversations_alone(engines: Engines) -> None:
    engine = engines(choose=endless, num_blocks=5000)
    engines.rigs[0].model.before = slow

    async def main() -> tuple[str, Finished]:
        other = asyncio.create_task(say(engine, "Hi", "other"))
        events = await first_text(engine)
        engine.cancel(session_id())
        async for _ in events:
            pass
        return await other

    text, end = run(main())
    assert end.reason is FinishReason.LENGTH
    assert text == make_rig(choose=endless).chat("Hi").text


def test_a_busy_session_refuses_a_second_chat(engines: Engines) -> None:
    engine = engines(choose=endless, num_blocks=5000)

    async def main() -> None:
        events = await first_text(engine)
        with pytest.raises(SessionBusy):
            await say(engine, "Me too")
        with pytest.raises(SessionBusy):
            await engine.truncate(session_id(), 0)
        await events.aclose()

    run(main())


def test_an_unknown_session_is_refused(engines: Engines) -> None:
    engine = engines()

    async def chat() -> None:
        async for _ in engine.chat(session_id("nobody"), "Hi"):
            pass

    with pytest.raises(SessionNotFound):
        run(chat())
    with pytest.raises(SessionNotFound):
        engine.messages(session_id("nobody"))
    with pytest.raises(SessionNotFound):
        run(engine.truncate(session_id("nobody"), 0))


def test_closing_a_session_ends_its_turn_and_frees_its_blocks(engines: Engines) -> None:
    engine = engines(choose=endless, num_blocks=5000)

    async def main() -> None:
        events = await first_text(engine)
        engine.close_session(session_id())
        rest = [event async for event in events]
        assert rest[-1].reason is FinishReason.CANCELLED
        await until(lambda: engine.stats().kv_blocks_used == 0)

    run(main())


def test_truncate_drops_messages(engines: Engines) -> None:
    engine = engines()
    run(say(engine, "One"))
    run(engine.truncate(session_id(), 0))
    assert engine.messages(session_id()) == ()


def test_raw_text_is_completed_without_a_session(engines: Engines) -> None:
    engine = engines(choose=endless)

    async def main() -> str:
        events = [event async for event in engine.complete("Once", GREEDY)]
        return "".join(event.text for event in events if isinstance(event, Text))

    assert run(main())
    assert engine.stats().sessions == 0
    assert engine.stats().kv_blocks_used == 0


def test_requests_made_while_the_model_loads_wait_for_it(engines: Engines) -> None:
    go = threading.Event()
    load = make_loader(engines.rigs)

    def loader(*args: Any) -> Any:
        go.wait(5)
        return load(*args)

    engine = engines.custom(loader)
    assert str(engine.status) == "loading"
    assert engine.stats().kv_blocks_total == 0
    with pytest.raises(TimeoutError):
        engine.wait_ready(0.01)
    with pytest.raises(EngineClosed):
        _ = engine.info

    async def main() -> tuple[str, Finished]:
        chat = asyncio.create_task(say(engine, "Hi"))
        await asyncio.sleep(0.05)
        go.set()
        return await chat

    assert run(main())[0] == make_rig().chat("Hi").text
    assert engine.status == "ready"
    assert engine.info.name == "fake"


@pytest.mark.parametrize(
    ("failure", "seen"),
    [(ModelNotFound("not there"), ModelNotFound), (ValueError("odd"), ModelUnsupported)],
)
def test_a_loader_that_fails_tells_everyone_why(
    engines: Engines, failure: Exception, seen: type[EngineError]
) -> None:
    go = threading.Event()

    def loader(_config: EngineConfig, _sessions: object) -> Any:
        go.wait(5)
        raise failure

    engine = engines.custom(loader)
    engine.open_session(session_id())

    async def main() -> None:
        early = [asyncio.create_task(say(engine, "Hi"))]
        early.append(asyncio.create_task(engine.truncate(session_id(), 0)))  # type: ignore[arg-type]
        await asyncio.sleep(0.05)
        go.set()
        for result in await asyncio.gather(*early, return_exceptions=True):
            assert isinstance(result, seen)
        with pytest.raises(seen, match=str(failure)):
            await say(engine, "Hi")

    run(main())
    assert engine.status == "failed"
    with pytest.raises(seen):
        engine.wait_ready(1)


def test_close_mid_generation_ends_every_turn_within_five_seconds(engines: Engines) -> None:
    engine = engines(choose=endless, num_blocks=5000, max_num_sequences=2)
    engines.rigs[0].model.before = slow

    async def main() -> list[tuple[str, Finished]]:
        chats = [asyncio.create_task(say(engine, "Hi", f"{i}", params=LONG)) for i in range(4)]
        await until(lambda: engine.stats().tokens_generated > 5)
        await asyncio.to_thread(engine.close)
        return await asyncio.gather(*chats)

    begin = time.monotonic()
    ends = [end.reason for _, end in run(main())]
    assert time.monotonic() - begin < 5
    assert ends == [FinishReason.CANCELLED] * 4
    assert engine.status == "closed"


def test_a_closed_engine_refuses_everything(engines: Engines) -> None:
    engine = engines()
    engine.open_session(session_id())
    engine.close()
    with pytest.raises(EngineClosed):
        run(say(engine, "Hi"))
    with pytest.raises(EngineClosed):
        run(engine.truncate(session_id(), 0))
    engine.cancel(session_id())
    engine.close()


def test_a_truncation_that_the_engine_never_comes_to_is_refused(engines: Engines) -> None:
    engine = engines(choose=endless, num_blocks=5000)
    hold = threading.Event()
    engines.rigs[0].model.before = lambda _inputs: [hold.wait(5)].clear()

    async def main() -> None:
        chat = asyncio.create_task(say(engine, "Hi"))
        await until(lambda: engine.stats().running == 1)
        truncation = asyncio.create_task(engine.truncate(session_id(), 0))
        await asyncio.sleep(0.05)
        engine.close(0)
        hold.set()
        with pytest.raises(EngineClosed):
            await truncation
        await chat

    run(main())


def test_an_empty_message_is_refused_and_the_engine_goes_on(engines: Engines) -> None:
    engine = engines()
    with pytest.raises(EmptyMessage):
        run(say(engine, " "))
    assert run(say(engine, "Hi"))[0]


def test_a_request_that_breaks_the_template_does_not_stop_the_engine(engines: Engines) -> None:
    engine = engines(template="{{ messages[0].content + (number or '') }}")
    with pytest.raises(RequestError):
        run(say(engine, "Hi", number=1))
    assert run(say(engine, "Hi"))[0]


def test_half_a_surrogate_pair_does_not_stop_the_engine(engines: Engines) -> None:
    engine = engines(choose=saying("ok"))
    assert run(say(engine, "Hi \ud83d"))[0] == "ok"
    assert run(say(engine, "Hi", "two", system="\udc00"))[0] == "ok"


def test_a_broken_step_does_not_stop_the_engine(engines: Engines) -> None:
    engine = engines()

    def broken(_inputs: Inputs) -> None:
        raise RuntimeError("out of luck")

    engines.rigs[0].model.before = broken
    assert run(say(engine, "Hi"))[1].reason is FinishReason.ERROR
    engines.rigs[0].model.before = None
    assert run(say(engine, "Hi", "two"))[0]


def test_a_warm_up_that_fails_does_not_stop_the_engine(engines: Engines) -> None:
    load = make_loader(engines.rigs, warm_up_shapes=((1, 1), (1, 2)))

    def loader(*args: Any) -> Any:
        loaded = load(*args)
        engines.rigs[-1].model.before = fail_at_first(2)
        return loaded

    engine = engines.custom(loader)
    engine.wait_ready(5)
    run(until(lambda: bool(engine.stats().is_warm)))
    assert run(say(engine, "Hi"))[0]


def fail_at_first(count: int) -> Callable[[Inputs], None]:
    left = [RuntimeError("out of luck")] * count

    def before(_inputs: Inputs) -> None:
        if left:
            raise left.pop()

    return before


def test_a_loop_that_is_gone_takes_its_turn_with_it(engines: Engines) -> None:
    engine = engines(choose=endless, num_blocks=5000)
    engines.rigs[0].model.before = slow
    kept: list[Any] = []

    async def main() -> None:
        kept.append(await first_text(engine))

    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    loop.close()  # without shutting down its generators, as a crash would
    deadline = time.monotonic() + 5
    while engine.stats().running and time.monotonic() < deadline:
        time.sleep(0.01)
    assert engine.stats().running == 0
    assert run(say(engine, "Hi", "two"))[0]


def test_a_draft_that_is_on_its_way_is_not_prefilled_yet(engines: Engines) -> None:
    engine, one, gate = engines(choose=endless), session_id("one"), threading.Event()
    engine.open_session(one)
    engine._owner.post(lambda _core: gate.wait(5))
    engine.draft(one, "What is there to")
    assert not engine.is_prefilled(one)
    gate.set()
    deadline = time.monotonic() + 5
    while not engine.is_prefilled(one) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert engine.is_prefilled(one)
    assert engine._sessions.find(one).active.sequence.num_cached_tokens > 0


def test_a_closed_engine_gives_its_memory_back_at_once(engines: Engines) -> None:
    engine = engines()
    pool = weakref.ref(engines.rigs[-1].pool)
    engines.rigs.clear()
    gc.disable()
    try:
        engine.close()
        assert pool() is None
    finally:
        gc.enable()
