"""64 people talk without a break under small budgets: memory stays flat, budgets hold, texts are right.

    python -m tests.storm soak --seconds 3600 --clients 64 --seed 7

With the real model, all of it in f32. Each person's conversation grows, is edited, asked anew, left and begun again.
Now and then one is asked twice: as it stands, with the KV that it has by then, and anew in a conversation
of its own that says the same. Resident memory is taken once a second, once the first eighth is over.
"""

import argparse
import asyncio
import json
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from statistics import median

from engine import Engine, EngineConfig, SamplingParams, SessionId
from engine.errors import EngineError
from engine.events import Finished, Text
from export import export_model
from tests import ROOT

MODEL = ROOT / "data" / "models" / "smollm2-135m-instruct"
KV_BYTES, DISK_BYTES = 256 << 20, 512 << 20
MAX_GROWTH_MB = 8.0
LONGEST = 16  # messages of a conversation, then another one is begun
SHARE_CHECKED = 0.02
QUESTIONS = (
    "What is the capital of France?", "Count to five.", "Name a colour.", "Say hello in French.",
    "What comes after Monday?", "Write a sentence about the sea.", "Is water wet?", "Go on.",
)  # fmt: skip
_PAGE = resource.getpagesize()


@dataclass(slots=True)
class Soak:
    """resident: MB, once a second. most_kv, most_disk: bytes."""

    engine: Engine
    folder: Path
    dice: random.Random
    until: float
    counts: Counter[str] = field(default_factory=Counter)
    numbers: Iterator[int] = field(default_factory=count)
    resident: list[float] = field(default_factory=list)
    most_kv: int = 0
    most_disk: int = 0
    differing: list[str] = field(default_factory=list)

    async def person(self, number: int) -> None:
        """One conversation after another."""
        for round_number in range(10**9):
            session = SessionId(f"person {number}", f"{round_number}")
            self.engine.open_session(session)
            while len(self.engine.messages(session)) < LONGEST:
                if time.monotonic() > self.until:
                    return
                with suppress(EngineError):
                    await self._turn(session)
            self.engine.library.delete(session)

    async def watch(self) -> None:
        """Take what may not grow."""
        while time.monotonic() < self.until:
            stats = self.engine.stats()
            self.most_kv = max(self.most_kv, stats.kv_blocks_used * stats.kv_block_bytes)
            size = sum(_size(file) for file in self.folder.glob("kv/*/*"))
            self.most_disk = max(self.most_disk, size)
            self.resident.append(_resident_mb())
            await asyncio.sleep(1.0)

    async def _turn(self, session: SessionId) -> None:
        depth = len(self.engine.messages(session))
        keep = self.dice.choice([None] * 6 + [0, max(depth - 2, 0)]) if depth else None
        question = self.dice.choice(QUESTIONS)
        if self.dice.random() < SHARE_CHECKED:
            await self._check(session, question)
        elif self.dice.random() < 0.1:
            await self._leave(session, question)
        else:
            await self._say(session, question, keep)
            self.counts["answers"] += 1

    async def _leave(self, session: SessionId, question: str) -> None:
        """Stop listening after the first word."""
        params = SamplingParams(temperature=0, max_tokens=40)
        events = self.engine.chat(session, question, params=params)
        async for event in events:
            if isinstance(event, Text | Finished):
                break
        await events.aclose()
        self.counts["left"] += 1

    async def _say(self, session: SessionId, question: str, keep: int | None = None) -> str:
        params = SamplingParams(temperature=0, max_tokens=self.dice.choice([8, 16, 24]))
        text = ""
        async for event in self.engine.chat(session, question, keep=keep, params=params):
            text += event.text if isinstance(event, Text) else ""
        return text

    async def _check(self, session: SessionId, question: str) -> None:
        """The same question in a copy that went through a file, without KV."""
        state = self.dice.getstate()
        copy = SessionId("checks", f"{next(self.numbers)}")  # several are checked at once
        if self.engine.messages(session):
            await self.engine.import_file(copy, await self.engine.export_portable(session))
            await self.engine.evict(copy)
        else:
            self.engine.open_session(copy)
        texts = []
        for asked in (session, copy):
            self.dice.setstate(state)
            texts.append(await self._say(asked, question))
        self.engine.library.delete(copy)
        self.counts["checked"] += 1
        if texts[0] != texts[1]:
            self.differing.append(f"{texts[0]!r} / {texts[1]!r}")


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:  # it made room meanwhile
        return 0


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * _PAGE / 1e6


def growth_mb(samples: list[float]) -> float:
    """How much higher the second half's last eighth is than its first, medians of each."""
    half = samples[len(samples) // 2 :]
    part = max(len(half) // 8, 1)
    return median(half[-part:]) - median(half[:part])


def tenths_mb(samples: list[float]) -> list[int]:
    """The median of each tenth, so that one sees where it grew."""
    part = max(len(samples) // 10, 1)
    return [round(median(samples[at : at + part])) for at in range(0, len(samples), part)]


async def _soak(soak: Soak, clients: int) -> None:
    await asyncio.gather(soak.watch(), *(soak.person(number) for number in range(clients)))


def main(argv: list[str]) -> int:
    """Exit status 1 if memory grew, a budget was passed or a text differed."""
    parser = argparse.ArgumentParser(prog="python -m tests.storm soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args(argv)
    export_model(MODEL.name, MODEL)
    with tempfile.TemporaryDirectory() as place:
        config = EngineConfig(
            model_dir=MODEL, data_dir=Path(place), kv_budget_bytes=KV_BYTES,
            disk_budget_bytes=DISK_BYTES, precision="f32", kv_precision="f32",
        )  # fmt: skip
        engine = Engine(config).start()
        engine.wait_ready()
        until = time.monotonic() + options.seconds
        soak = Soak(engine, Path(place), random.Random(options.seed), until)
        with closing(engine):
            asyncio.run(_soak(soak, options.clients))
            stats = engine.stats()
    result = {
        **soak.counts,
        "growth_mb_in_the_second_half": round(growth_mb(soak.resident), 1),
        "most_resident_mb": round(max(soak.resident)),
        "resident_mb_by_tenth": tenths_mb(soak.resident),
        "kv_bytes": [soak.most_kv, KV_BYTES],
        "disk_bytes": [soak.most_disk, DISK_BYTES],
        "spilled": stats.spilled, "restored": stats.restored, "differing": len(soak.differing),
    }  # fmt: skip
    for texts in soak.differing:
        print(texts, file=sys.stderr)
    print(json.dumps(result))
    is_flat = growth_mb(soak.resident) <= MAX_GROWTH_MB
    holds = soak.most_kv <= KV_BYTES and soak.most_disk <= DISK_BYTES
    return 0 if is_flat and holds and not soak.differing else 1
