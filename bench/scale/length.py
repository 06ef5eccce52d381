"""Start-up, and the first turn behind it, by the length of the conversation on disk.

Each start is a new engine over a folder that an earlier one left; the model is in the operating
system's file cache. The turn comes once the shapes are warm, and its KV must come from disk.
"""

import asyncio
import time
from collections import defaultdict
from itertools import product
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from bench.conversation import ready_engine, rest, text_of, turn, wait_warm
from bench.scale.report import report
from bench.scale.roomy import roomy
from engine import Engine, EngineConfig, SessionId
from engine.metrics import KVSource
from engine.text import Tokenizer

LENGTHS = (512, 2048, 4096, 8000)
MESSAGE_TOKENS = 40
STARTS = 3
STORED = SessionId("bench", "stored")


def run(model_dir: Path) -> dict[str, Any]:
    """Measure, print tables, return the figures."""
    startup: dict[int, list[float]] = defaultdict(list)
    first: dict[int, list[float]] = defaultdict(list)
    with roomy(model_dir) as directory, TemporaryDirectory() as name:
        for length in LENGTHS:
            _leave_on_disk(directory, Path(name) / str(length), length)
        for _, length in product(range(STARTS), LENGTHS):
            startup_ms, ttft_ms = _start(directory, Path(name) / str(length))
            startup[length].append(startup_ms)
            first[length].append(ttft_ms)
    startups = {n: median(times) for n, times in startup.items()}
    restored = {n: median(times) for n, times in first.items()}
    return {
        "startup_ms": report("start-up, ms, by stored tokens", startups),
        "restore_ttft_ms": report("first TTFT, KV from disk, ms, by stored tokens", restored),
    }


def _leave_on_disk(model_dir: Path, data_dir: Path, length: int) -> None:
    """A program that ran, held one conversation and ended."""
    text = text_of(Tokenizer(model_dir), length - 48)
    with ready_engine(model_dir, data_dir=data_dir, warm_up=False, titles=False) as engine:
        engine.open_session(STORED)
        asyncio.run(turn(engine, STORED, text, max_tokens=8))
        asyncio.run(rest(engine))


def _start(model_dir: Path, data_dir: Path) -> tuple[float, float]:
    """Milliseconds until the engine is ready, and of the first turn's TTFT once it is warm."""
    message = text_of(Tokenizer(model_dir), MESSAGE_TOKENS)
    began_at = time.perf_counter()
    engine = Engine(EngineConfig(model_dir=model_dir, data_dir=data_dir, titles=False)).start()
    try:
        engine.wait_ready()
        startup_s = time.perf_counter() - began_at
        wait_warm(engine)
        engine.open_session(STORED)
        figures = asyncio.run(turn(engine, STORED, message, max_tokens=2, keep=2))
    finally:
        engine.close()
    assert figures.source == KVSource.DISK, f"{data_dir.name} tokens did not come from disk"
    assert figures.ttft_s is not None
    return 1e3 * startup_s, 1e3 * figures.ttft_s
