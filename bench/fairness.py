"""A person pastes 6,000 tokens while four answers are being written, and what each side notices.

Inter-token latencies are those of the text as it reaches the four readers, first by themselves,
then while the long prefill is under way; `ratio` is that of their means, since a prefill takes its
share in a few large chunks. The prefill's speed is its tokens by the time from its
first step to its first token, beside the four and, in the same round, alone.
"""

import asyncio
import contextlib
import time
from bisect import bisect_left
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from statistics import mean, median, quantiles
from typing import Any

from bench.conversation import new_session, ready_engine, text_of, turn
from engine import Engine, SamplingParams, TurnFigures
from engine.events import Text
from engine.text import Tokenizer

READERS = 4
PREFILL_TOKENS = 6000
ALONE_S = 3.0
ROUNDS = 3
_LONG = "Write a long story about the sea, in many chapters."

Times = list[float]


def gaps_within(answers: list[Times], begin: float, end: float) -> list[float]:
    """Times between tokens of the same answer, both of them in [begin, end]."""
    gaps = []
    for times in answers:
        first, last = bisect_left(times, begin), bisect_left(times, end)
        gaps += [later - earlier for earlier, later in pairwise(times[first:last])]
    return gaps


def speed(figures: TurnFigures) -> float:
    """Prefilled tokens per second, from the turn's first step to its first token."""
    assert figures.ttft_s is not None
    return figures.prefilled_tokens / (figures.ttft_s - figures.wait_s)


async def _read(engine: Engine, answers: list[Times]) -> None:
    """Answer after answer, each with the times of its pieces; until cancelled."""
    params = SamplingParams(temperature=0.7, max_tokens=400)
    while True:
        session_id = new_session(engine, "reader")
        times: Times = []
        answers.append(times)
        try:
            async for event in engine.chat(session_id, _LONG, params=params):
                if isinstance(event, Text):
                    times.append(time.perf_counter())
        finally:
            engine.close_session(session_id)


@asynccontextmanager
async def _readers(engine: Engine) -> AsyncIterator[list[Times]]:
    """Times of the pieces of all answers, while READERS answers are being written."""
    answers: list[Times] = []
    tasks = [asyncio.create_task(_read(engine, answers)) for _ in range(READERS)]
    try:
        while sum(len(times) > 8 for times in answers) < READERS:
            await asyncio.sleep(0.05)
        yield answers
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def _paste(engine: Engine, tokenizer: Tokenizer) -> TurnFigures:
    session_id = new_session(engine, "paster")
    message = text_of(tokenizer, PREFILL_TOKENS)
    figures = await turn(engine, session_id, message, max_tokens=1)
    engine.close_session(session_id)
    return figures


def run(model_dir: Path) -> dict[str, Any]:
    """Measure, print a table, return the figures."""
    tokenizer = Tokenizer(model_dir)
    alone: list[float] = []
    during: list[float] = []
    shares: list[float] = []

    async def rounds(engine: Engine) -> None:
        for _ in range(ROUNDS):
            speed_alone = speed(await _paste(engine, tokenizer))
            async with _readers(engine) as answers:
                began_at = time.perf_counter()
                await asyncio.sleep(ALONE_S)
                pasted_at = time.perf_counter()
                figures = await _paste(engine, tokenizer)
                ended_at = time.perf_counter()
            alone.extend(gaps_within(answers, began_at, pasted_at))
            during.extend(gaps_within(answers, pasted_at, ended_at))
            shares.append(speed(figures) / speed_alone)
            print(f"prefill alone {speed_alone:.0f}, beside answers {speed(figures):.0f} tokens/s")

    with ready_engine(model_dir) as engine:
        asyncio.run(rounds(engine))

    print(f"{'ITL, ms':>16} {'mean':>7} {'median':>7} {'95 %':>7}")
    for name, gaps in (("alone", alone), ("during prefill", during)):
        shown = (mean(gaps), median(gaps), quantiles(gaps, n=20)[-1])
        print(f"{name:>16} " + " ".join(f"{1e3 * one:>7.1f}" for one in shown))
    return {
        "itl_ms_alone": round(1e3 * mean(alone), 1),
        "itl_ms_during_prefill": round(1e3 * mean(during), 1),
        "ratio": round(mean(during) / mean(alone), 2),
        "itl_ms_during_prefill_p95": round(1e3 * quantiles(during, n=20)[-1], 1),
        "prefill_speed_share": round(median(shares), 3),
    }
