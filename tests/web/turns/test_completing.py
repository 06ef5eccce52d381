"""Completions as a page runs them, against the engine's double."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from engine import SamplingParams, events
from engine.errors import EngineClosed, QueueFull
from tests.web.fake_engine import FakeEngine, figures
from web.options import Options
from web.page import completion
from web.startup import Startup
from web.turns.completing import Completions, Moment
from web.turns.frames import Frame, Preparing

Started = Callable[[FakeEngine], Startup]
PARAMS = SamplingParams()


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(coroutine, timeout=20))


async def completed(completions: Completions, prompt: str, page: str = "tab") -> list[Moment]:
    return [moment async for moment in completions.run(page, prompt, PARAMS)]


def test_a_completion_streams_and_ends_with_its_figures(started: Started) -> None:
    async def scenario() -> None:
        moments = await completed(Completions(started(FakeEngine(seconds_per_word=0.15))), "a b")
        texts = [moment.frame.text for moment in moments]
        assert "You" in texts
        assert texts[-1] == "You said: a b"
        assert moments[-1].frame.finished is not None
        assert 0.4 < moments[-1].elapsed_s < 5

    run(scenario())


def test_stop_keeps_what_was_said_and_its_figures(started: Started) -> None:
    async def scenario() -> None:
        completions = Completions(started(FakeEngine(seconds_per_word=0.2)))
        moments = []
        async for moment in completions.run("tab", " ".join("abcdefghij"), PARAMS):
            moments.append(moment)
            if moment.frame.text:
                completions.stop("tab")
        assert moments[-1].frame.finished is not None
        assert moments[-1].frame.finished.reason is events.FinishReason.CANCELLED
        assert moments[-1].frame.text.startswith("You")
        assert moments[-1].elapsed_s < 1.5

    run(scenario())


def test_stop_ends_only_the_completion_of_its_own_page(started: Started) -> None:
    async def scenario() -> None:
        completions = Completions(started(FakeEngine(seconds_per_word=0.1)))
        other = asyncio.create_task(completed(completions, "one two three", "other"))
        await asyncio.sleep(0.15)
        completions.stop("tab")
        assert (await other)[-1].frame.text == "You said: one two three"

    run(scenario())


def test_leaving_the_page_ends_the_completion(started: Started) -> None:
    async def scenario() -> None:
        engine = FakeEngine(seconds_per_word=5)
        moments = Completions(started(engine)).run("tab", "hello", PARAMS)
        async for moment in moments:
            if moment.frame.text:
                break
        await moments.aclose()
        assert not engine._running

    run(scenario())


def test_a_full_queue_is_told_as_busy(started: Started) -> None:
    async def scenario() -> None:
        engine = FakeEngine(failure=QueueFull("Too many."))
        last = (await completed(Completions(started(engine)), "hello"))[-1]
        assert last.frame.is_busy

    run(scenario())


def test_while_the_model_loads_the_page_says_so_and_stop_works(options: Options) -> None:
    async def scenario() -> None:
        completions = Completions(Startup(options))  # never started
        async for moment in completions.run("tab", "hello", PARAMS):
            assert isinstance(moment.frame.progress, Preparing)
            completions.stop("tab")

    run(scenario())


def test_a_model_that_failed_gets_its_sentence(started: Started) -> None:
    async def scenario() -> None:
        engine = FakeEngine(error=EngineClosed("The engine stopped."), status="failed")
        last = (await completed(Completions(started(engine)), "hello"))[-1]
        assert last.frame.refused == "The engine stopped."

    run(scenario())


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", ["Tokens of the text", "1,861", "Tokens generated", "9", "0.09 s", "14.1 ms", "71.0",
                "Total time", "1.50 s"]),
        ("zh-CN", ["生成词元数", "首字时间", "0.09 秒", "14.1 毫秒", "1.50 秒"]),
    ],
)  # fmt: skip
def test_the_figures_are_those_of_the_tutorial(language: str, said: list[str]) -> None:
    ending = events.Finished(events.FinishReason.STOP, figures())
    shown = completion.figures(Moment(Frame((), "x", finished=ending), 1.5), language)
    assert all(word in shown for word in said), shown


def test_notes_and_reasons_stand_under_the_figures() -> None:
    ending = events.Finished(events.FinishReason.CANCELLED, figures(note="<Cut> short."))
    shown = completion.figures(Moment(Frame((), "x", finished=ending), 1.5), "en")
    assert "&lt;Cut&gt; short." in shown
    assert ">stopped<" in shown
