"""Completions as their page runs them: begun, watched, stopped.

Owns: which page (a browser tab, by its session_hash) runs which completion, how often it is told, and
the time that it took. Does not know Gradio, languages or how a moment looks.
"""

import itertools
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from engine import SamplingParams
from web.startup import Startup
from web.turns.frames import Frame
from web.turns.live_turn import STOP_PATIENCE_S, refused
from web.turns.news import Failure, News
from web.turns.preparing import preparing

_numbers = itertools.count()


@dataclass(slots=True, eq=False)
class Run:
    """A completion under way; `name` is what the engine knows it by."""

    name: str
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class Moment:
    """A frame of a completion, and the seconds since it was asked for."""

    frame: Frame
    elapsed_s: float


class Completions:
    """The completions of all pages. For one event loop, except `stop`, which any thread may call."""

    def __init__(self, startup: Startup) -> None:
        self._startup = startup
        self._runs: dict[str, Run] = {}

    async def run(
        self, page: str, prompt: str, params: SamplingParams
    ) -> AsyncGenerator[Moment, None]:
        """Continue `prompt` for `page`; ten moments a second at most, one every half second."""
        self.stop(page)
        run = self._runs[page] = Run(f"{page}/{next(_numbers)}")
        asked = time.perf_counter()
        try:
            async with aclosing(self._frames(run, prompt, params)) as frames:
                async for frame in frames:
                    yield Moment(frame, time.perf_counter() - asked)
        finally:
            if self._runs.get(page) is run:
                del self._runs[page]

    def stop(self, page: str) -> None:
        """Let the completion of `page`, if any, end at the engine's next step."""
        if run := self._runs.get(page):
            run.stopped = True
            if self._startup.engine is not None:
                self._startup.engine.cancel_completion(run.name)

    async def _frames(
        self, run: Run, prompt: str, params: SamplingParams
    ) -> AsyncGenerator[Frame, None]:
        async with aclosing(preparing(self._startup, prompt)) as preparations:
            async for frame in preparations:
                yield frame
                if run.stopped or frame.is_last:
                    return
        if self._startup.failure is not None or self._startup.engine is None:
            yield Frame((), prompt, refused=self._startup.failure or "")
            return
        news = News(self._startup.engine.complete(prompt, params, name=run.name))
        try:
            async with aclosing(_watched(run, news, Frame((), prompt))) as frames:
                async for frame in frames:
                    yield frame
        finally:
            self._startup.engine.cancel_completion(run.name)
            await news.close(STOP_PATIENCE_S)


async def _watched(run: Run, news: News, frame: Frame) -> AsyncGenerator[Frame, None]:
    deadline: float | None = None
    while not frame.is_last:
        for item in await news.recent():
            frame = refused(frame, item.error) if isinstance(item, Failure) else frame.after(item)
        yield frame
        if run.stopped:
            deadline = deadline or time.monotonic() + STOP_PATIENCE_S
            if time.monotonic() > deadline:
                return
