"""How costs grow: with the history, the batch, the conversation's length; and a model of 7B.

Each is measured at several sizes, in interleaved rounds, and fitted with a line: a is what it costs
at nothing, b what each token or sequence adds. The 7B model has Llama 2's shape in int4 and random
weights (bench.large, a process of its own); BENCH_SCALE_7B=0 leaves it out.
"""

import asyncio
import multiprocessing
import os
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from bench import large
from bench.bare import BareModel
from bench.conversation import new_session, ready_engine, rest, text_of, turn
from bench.fit import fit
from bench.resident import resident_bytes
from bench.synthetic import model_dir as synthetic_model
from engine import Engine, EngineConfig, SessionId
from engine.metrics import KVSource
from engine.tokenizer import Tokenizer

HISTORIES = (0, 1024, 2048, 4096, 6144, 7936)
LENGTHS = (512, 2048, 4096, 7680)
BATCHES = (1, 2, 4, 8, 16, 32)
MESSAGE_TOKENS = 40
REPLY_TOKENS = 48
ROUNDS = 5
STARTS = 3
CONTEXT = 100


def run(model_dir: Path) -> dict[str, Any]:
    """Measure, print tables, return the figures."""
    history = _by_history(model_dir)
    batch = _by_batch(model_dir)
    length = _by_length(model_dir)
    result = {
        "ttft_ms": _report("TTFT of a 40-token turn, ms, by history", history["ttft_ms"]),
        "memory_mb": _report("resident memory, MB, by KV tokens", history["memory_mb"]),
        "kv_bytes_per_token": batch["kv_bytes_per_token"],
        "step_ms": _report("engine's decode step, ms, by batch", batch["engine_ms"]),
        "bare_step_ms": _report("bare forward, ms, by batch", batch["bare_ms"]),
        "startup_ms": _report("start-up, ms, by stored tokens", length["startup_ms"]),
        "restore_ttft_ms": _report("first TTFT from disk, ms, by tokens", length["ttft_ms"]),
    }
    if os.environ.get("BENCH_SCALE_7B") != "0":
        path = synthetic_model("llama-2-7b")
        with multiprocessing.get_context("spawn").Pool(1) as fresh:
            result["llama_2_7b_int4"] = fresh.apply(large.run, (path,))
    return result


def _report(title: str, points: Mapping[int, float]) -> dict[str, Any]:
    """Print the points and their line; return both."""
    line = fit(points)
    print(title)
    print("  " + "  ".join(f"{n}: {y:.1f}" for n, y in points.items()))
    print(f"  a + b*n: a = {line.a:.4g}, b = {line.b:.4g}, R2 = {line.r2:.3f}")
    rounded = {str(n): round(y, 2) for n, y in points.items()}
    return {"points": rounded, **line.figures()}


def _by_history(model_dir: Path) -> dict[str, dict[int, float]]:
    """Medians of TTFT by tokens of history, and resident memory by tokens that have KV."""
    tokenizer = Tokenizer(model_dir)
    times: dict[int, list[float]] = defaultdict(list)
    memory: dict[int, float] = {}

    async def rounds(engine: Engine) -> None:
        sessions = {}
        for history in HISTORIES:
            sessions[history] = await with_history(engine, tokenizer, history)
            memory[sum(h for h in sessions)] = resident_bytes() / 1e6
        for _ in range(ROUNDS):
            for history, session_id in sessions.items():
                times[history].append(await ttft_ms(engine, tokenizer, session_id, history))

    with ready_engine(model_dir) as engine:
        asyncio.run(rounds(engine))
    return {"ttft_ms": {h: median(t) for h, t in times.items()}, "memory_mb": memory}


async def with_history(engine: Engine, tokenizer: Tokenizer, history: int) -> SessionId:
    """A session with about `history` tokens and nothing left to be done for it."""
    session_id = new_session(engine)
    if history:
        await turn(engine, session_id, text_of(tokenizer, history - 48), max_tokens=8)
    await rest(engine)
    return session_id


async def ttft_ms(
    engine: Engine, tokenizer: Tokenizer, session_id: SessionId, history: int
) -> float:
    """TTFT of one more short turn behind the history; the next call takes its place."""
    keep = 2 if history else 0
    message = text_of(tokenizer, MESSAGE_TOKENS)
    figures = await turn(engine, session_id, message, max_tokens=2, keep=keep)
    await rest(engine)
    assert figures.ttft_s is not None
    return 1e3 * figures.ttft_s


def _by_batch(model_dir: Path) -> dict[str, Any]:
    """Medians of a decode step by the number of sequences: through the engine, and bare."""
    tokenizer, bare = Tokenizer(model_dir), BareModel(model_dir)
    engine_ms: dict[int, list[float]] = defaultdict(list)
    bare_ms: dict[int, list[float]] = defaultdict(list)

    async def rounds(engine: Engine) -> None:
        for _ in range(ROUNDS):
            for batch in BATCHES:
                engine_ms[batch].append(await _crowd_itl_ms(engine, tokenizer, batch))
                bare.prepare([CONTEXT] * batch)
                bare_ms[batch].append(1e3 * median(bare.step() for _ in range(REPLY_TOKENS)))

    with ready_engine(model_dir, max_num_sequences=max(BATCHES)) as engine:
        asyncio.run(rounds(engine))
    return {
        "engine_ms": {n: median(times) for n, times in engine_ms.items()},
        "bare_ms": {n: median(times) for n, times in bare_ms.items()},
        "kv_bytes_per_token": round(bare.kv_bytes_per_token),
    }


async def _crowd_itl_ms(engine: Engine, tokenizer: Tokenizer, people: int) -> float:
    """Median time between tokens while so many answers are written at once."""
    sessions = [new_session(engine) for _ in range(people)]
    messages = [text_of(tokenizer, CONTEXT // 2) for _ in sessions]
    pairs = zip(sessions, messages, strict=True)
    turns = [turn(engine, s, m, max_tokens=REPLY_TOKENS) for s, m in pairs]
    figures = await asyncio.gather(*turns)
    for session_id in sessions:
        engine.close_session(session_id)
    await rest(engine)
    return 1e3 * median(f.itl_s for f in figures if f.itl_s is not None)


def _by_length(model_dir: Path) -> dict[str, dict[int, float]]:
    """Medians of start-up and of the first TTFT behind it, by the conversation's length on disk."""
    startup: dict[int, list[float]] = defaultdict(list)
    first: dict[int, list[float]] = defaultdict(list)
    with TemporaryDirectory() as name:
        for length in LENGTHS:
            _leave_on_disk(model_dir, Path(name) / str(length), length)
        for _ in range(STARTS):
            for length in LENGTHS:
                startup_ms, restored_ms = _start(model_dir, Path(name) / str(length), length)
                startup[length].append(startup_ms)
                first[length].append(restored_ms)
    return {
        "startup_ms": {n: median(times) for n, times in startup.items()},
        "ttft_ms": {n: median(times) for n, times in first.items()},
    }


def _leave_on_disk(model_dir: Path, data_dir: Path, length: int) -> None:
    """A program that ran, held one conversation and ended."""
    text = text_of(Tokenizer(model_dir), length - 48)
    with ready_engine(model_dir, data_dir=data_dir, warm_up=False) as engine:
        session_id = SessionId("bench", "stored")
        engine.open_session(session_id)
        asyncio.run(turn(engine, session_id, text, max_tokens=8))


def _start(model_dir: Path, data_dir: Path, length: int) -> tuple[float, float]:
    """Milliseconds until the engine is ready, and of the first turn's TTFT once it is warm."""
    message = text_of(Tokenizer(model_dir), MESSAGE_TOKENS)
    began_at = time.perf_counter()
    engine = Engine(EngineConfig(model_dir=model_dir, data_dir=data_dir)).start()
    try:
        engine.wait_ready()
        startup_s = time.perf_counter() - began_at
        while not engine.stats().is_warm:
            time.sleep(0.02)
        session_id = SessionId("bench", "stored")
        engine.open_session(session_id)
        figures = asyncio.run(turn(engine, session_id, message, max_tokens=2, keep=2))
    finally:
        engine.close()
    assert figures.source == KVSource.DISK, f"{length} tokens did not come from disk"
    assert figures.ttft_s is not None
    return 1e3 * startup_s, 1e3 * figures.ttft_s
