"""200 people take turns at random in a KV budget that holds 40 of them; nothing is read twice.

Each conversation begins with a message of some 500 tokens and goes on in short turns, a few of
them at once; those who fall silent are spilled to disk, and restored when they speak again. New
tokens are counted from the texts alone; what a turn prefilled beyond them was re-encoded. The KV's
peak is taken at every forward, resident memory twenty times a second. Its growth compares the
second half's end with its beginning, medians of an eighth of the run each.
"""

import asyncio
import random
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any

from bench.conversation import ExpectedTokens, new_session, ready_engine, text_of, turn
from bench.inside import watching
from engine import Engine, SessionId, TurnFigures
from engine.metrics import KVSource
from engine.model import Inputs
from engine.turns import EngineCore

SESSIONS = 200
FIRST_TOKENS = 500
TOKENS = 600
RESIDENT = 40
TURNS = 600
AT_ONCE = 4
REPLY_TOKENS = 8
SAMPLE_PERIOD_S = 0.05
_PAGE = resource.getpagesize()


@dataclass(slots=True)
class Peak:
    """The most that was seen of the KV pool."""

    blocks: int = 0

    def observe(self, core: EngineCore, _inputs: Inputs) -> None:
        """After a forward, in the engine's thread."""
        self.blocks = max(self.blocks, core.parts.pool.num_used)


@dataclass(slots=True)
class Tally:
    """What the turns cost. owed: whether a session's last token was sampled but never computed."""

    reencoded_tokens: int = 0
    recomputed_turns: int = 0
    restored_turns: int = 0
    later: list[TurnFigures] = field(default_factory=list)
    owed: dict[SessionId, int] = field(default_factory=dict)

    def add(self, session_id: SessionId, figures: TurnFigures, new_tokens: int) -> None:
        """A turn that added `new_tokens` by its texts."""
        expected = new_tokens + self.owed.get(session_id, 0)
        self.reencoded_tokens += max(figures.prefilled_tokens - expected, 0)
        self.recomputed_turns += figures.source is KVSource.RECOMPUTED
        self.restored_turns += figures.source is KVSource.DISK
        if session_id in self.owed:
            self.later.append(figures)
        self.owed[session_id] = int(figures.generated_tokens == REPLY_TOKENS)


def growth(samples: list[float]) -> float:
    """How much higher the last eighth of the samples is than the eighth behind their middle."""
    eighth, middle = max(len(samples) // 8, 1), len(samples) // 2
    return median(samples[-eighth:]) - median(samples[middle : middle + eighth])


def speakers(seed: int = 0) -> Iterator[int]:
    """Who speaks: everyone once, in order, then at random."""
    chance = random.Random(seed)
    yield from range(SESSIONS)
    for _ in range(TURNS - SESSIONS):
        yield chance.randrange(SESSIONS)


@contextmanager
def _memory() -> Iterator[list[float]]:
    """Resident memory in MiB, sampled in the background."""
    samples: list[float] = []
    stop = threading.Event()

    def sample() -> None:
        while not stop.wait(SAMPLE_PERIOD_S):
            resident = int(Path("/proc/self/statm").read_text().split()[1])
            samples.append(resident * _PAGE / 2**20)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        stop.set()
        thread.join()


async def _crowd(engine: Engine, expected: ExpectedTokens, tally: Tally) -> None:
    sessions = [new_session(engine, f"person {i}") for i in range(SESSIONS)]
    busy = {session_id: asyncio.Lock() for session_id in sessions}
    order = speakers()

    async def take_turns() -> None:
        for who in order:
            session_id = sessions[who]
            async with busy[session_id]:
                before = engine.messages(session_id)
                message = text_of(expected.tokenizer, 12 if before else FIRST_TOKENS)
                new_tokens = expected.new_tokens(before, message)
                figures = await turn(engine, session_id, message, max_tokens=REPLY_TOKENS)
                tally.add(session_id, figures, new_tokens)

    await asyncio.gather(*(take_turns() for _ in range(AT_ONCE)))


def _block_bytes(model_dir: Path) -> tuple[int, int]:
    """Bytes and tokens of a KV block of this model."""
    with ready_engine(model_dir, kv_budget_bytes=64 << 20, warm_up=False) as engine:
        return engine.info.kv_block_bytes, engine.info.block_size


def run(model_dir: Path) -> dict[str, Any]:
    """Measure, print a table, return the figures."""
    block_bytes, block_size = _block_bytes(model_dir)
    budget = RESIDENT * -(-TOKENS // block_size) * block_bytes
    expected, tally, peak = ExpectedTokens(model_dir), Tally(), Peak()
    began_at = time.perf_counter()
    with (
        TemporaryDirectory() as folder,
        ready_engine(
            model_dir,
            loader=watching(peak.observe),
            data_dir=Path(folder),
            kv_budget_bytes=budget,
        ) as engine,
        _memory() as samples,
    ):
        asyncio.run(_crowd(engine, expected, tally))
    ttft = [1e3 * f.ttft_s for f in tally.later if f.ttft_s is not None]
    print(
        f"{SESSIONS} sessions, {TURNS} turns, {AT_ONCE} at once,"
        f" {time.perf_counter() - began_at:.0f} s; later turns: {len(tally.later)},"
        f" {tally.restored_turns} restored, {tally.recomputed_turns} recomputed"
    )
    rss = [samples[len(samples) * i // 8] for i in range(8)] + [samples[-1]]
    print("resident memory, MiB, over the run:", " ".join(f"{one:.0f}" for one in rss))
    return {
        "sessions": SESSIONS,
        "turns": TURNS,
        "reencoded_tokens": tally.reencoded_tokens,
        "kv_bytes_peak": peak.blocks * block_bytes,
        "kv_budget_bytes": budget,
        "rss_peak_mib": round(max(samples)),
        "rss_growth_mib": round(growth(samples), 1),
        "ttft_ms_p50": round(median(ttft), 1),
        "ttft_ms_p95": round(quantiles(ttft, n=20)[-1], 1),
    }
