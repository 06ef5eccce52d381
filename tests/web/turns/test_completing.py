"""Completions as a page runs them, over a scripted engine."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from engine import SamplingParams, events
from engine.errors import EngineClosed, QueueFull
from tests.scripted import HOLD, End, Engines, Say, ScriptedEngine
from tests.web.figures import figures
from tests.web.turns.watched import Watched
from web.options import Options
from web.page import completion
from web.startup import Startup
from web.turns.completing import Completions, Moment
from web.turns.frames import Frame, Preparing

STORY = Say(", there"), HOLD
PARAMS = SamplingParams()


@pytest.fixture
def engine(engines: Engines) -> ScriptedEngine:
    return engines()


@pytest.fixture
def completions(
    engine: ScriptedEngine, started: Callable[[ScriptedEngine], Startup]
) -> Completions:
    return Completions(started(engine))


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(coroutine, timeout=60))


def begun(completions: Completions, prompt: str, page: str = "tab") -> Watched[Moment]:
    return Watched(completions.run(page, prompt, PARAMS))


def has_text(moment: Moment) -> bool:
    return bool(moment.frame.text)


def reason(moment: Moment) -> events.FinishReason | None:
    return None if (end := moment.frame.finished) is None else end.reason


def test_a_completion_streams_and_ends_with_its_figures_and_its_time(
    engine: ScriptedEngine, completions: Completions
) -> None:
    async def scenario() -> None:
        engine.script.write(*STORY)
        asked = time.perf_counter()
        completion = begun(completions, "Once upon a time")
        first = await completion.until(has_text)
        shown = time.perf_counter()
        assert first.frame.text == ", there"
        engine.script.tell(Say(" was"), End())
        last = (await completion.end())[-1]
        assert last.frame.text == ", there was"
        assert reason(last) is events.FinishReason.STOP
        assert 0 < first.elapsed_s <= shown - asked
        assert first.elapsed_s < last.elapsed_s <= time.perf_counter() - asked

    run(scenario())


def test_stop_keeps_what_was_said_and_its_figures(
    engine: ScriptedEngine, completions: Completions
) -> None:
    async def scenario() -> None:
        engine.script.write(*STORY)
        completion = begun(completions, "Once upon a time")
        await completion.until(has_text)
        completions.stop("tab")
        last = (await completion.end())[-1]
        assert (last.frame.text, reason(last)) == (", there", events.FinishReason.CANCELLED)

    run(scenario())


def test_stop_ends_only_the_completion_of_its_own_page(
    engine: ScriptedEngine, completions: Completions
) -> None:
    async def scenario() -> None:
        engine.script.write(*STORY)
        other = begun(completions, "Once upon a time", "other")
        await other.until(has_text)
        completions.stop("tab")
        engine.script.tell(Say(" was"), End())
        last = (await other.end())[-1]
        assert (last.frame.text, reason(last)) == (", there was", events.FinishReason.STOP)

    run(scenario())


def test_leaving_the_page_ends_the_completion(
    engine: ScriptedEngine, completions: Completions
) -> None:
    async def scenario() -> None:
        engine.script.write(*STORY)
        moments = completions.run("tab", "hello", PARAMS)
        async for moment in moments:
            if moment.frame.text:
                break
        assert engine.stats().running == 1
        await moments.aclose()
        assert engine.stats().running == 0

    run(scenario())


def test_a_full_queue_is_told_as_busy(engine: ScriptedEngine, completions: Completions) -> None:
    async def scenario() -> None:
        engine.script.refusal = QueueFull("Too many.")
        last = (await begun(completions, "hello").end())[-1]
        assert last.frame.is_busy

    run(scenario())


def test_while_the_model_loads_the_page_says_so_and_stop_works(options: Options) -> None:
    async def scenario() -> None:
        completions = Completions(Startup(options))  # never started
        async for moment in completions.run("tab", "hello", PARAMS):
            assert isinstance(moment.frame.progress, Preparing)
            completions.stop("tab")

    run(scenario())


def test_a_model_that_failed_gets_its_sentence(
    engines: Engines, started: Callable[[ScriptedEngine], Startup]
) -> None:
    async def scenario() -> None:
        startup = started(engines(failure=EngineClosed("The engine stopped.")))
        last = (await begun(Completions(startup), "hello").end())[-1]
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
