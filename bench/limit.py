"""How near decoding comes to what memory bandwidth allows.

A decode reads every weight once, so tokens/s cannot exceed bandwidth over bytes read per token. Bandwidth
is the median rate of the best of several ways to read an array far larger than any cache, with as
many threads as the engine uses; the highest rate seen, on a host that others share, is told beside
it. Decoding is measured through the engine, with nothing guessed ahead so that each token is a step
and text that gathers as on the page, and as the bare forward; all three take turns.
"""

import asyncio
import ctypes
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.bare import BareModel, bytes_per_token
from bench.conversation import new_session, ready_engine, rest, text_of, turn
from bench.synthetic import model_dir as synthetic_model
from engine import Engine
from engine.model import usable_cpus
from engine.text import Tokenizer

ARRAY_BYTES = 1 << 30
PROMPT_TOKENS = 50
REPLY_TOKENS = 64
CONTEXT = 100  # what a reply has behind it in the middle, the template's tokens included
GATHER_S = 0.05  # as one reader of the page lets text gather
ROUNDS = 8
SMALL = "qwen2.5-0.5b"
Chunk = npt.NDArray[np.uint8]
Reader = Callable[[Chunk], object]


def _memchr(chunk: Chunk) -> object:
    """The C library's search for a byte that is not there."""
    return _LIBC.memchr(chunk.ctypes.data, 1, chunk.size)


def _memcmp(chunk: Chunk) -> object:
    """The C library's comparison of the two halves, which are equal."""
    half = chunk.size // 2
    return _LIBC.memcmp(chunk.ctypes.data, chunk.ctypes.data + half, half)


_LIBC = ctypes.CDLL(None)
_LIBC.memchr.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
_LIBC.memchr.restype = ctypes.c_void_p  # None: not found
_LIBC.memcmp.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
METHODS: dict[str, Reader] = {
    "memchr": _memchr,
    "memcmp": _memcmp,
    "numpy sum": lambda chunk: chunk.view(np.float32).sum(),
    "numpy dot": lambda chunk: np.dot(chunk.view(np.float32), chunk.view(np.float32)),
    "numpy max": lambda chunk: chunk.view(np.int64).max(),
}


class Bandwidth:
    """Reads one large array again and again; keeps the rates of each method in bytes/s."""

    def __init__(self, threads: int, num_bytes: int = ARRAY_BYTES) -> None:
        self.rates: dict[str, list[float]] = {name: [] for name in METHODS}
        self._array = np.full(num_bytes, 7, np.uint8)
        self._chunks = np.split(self._array, threads)
        self._pool = ThreadPoolExecutor(threads)

    def measure(self) -> None:
        """Each method once over the whole array."""
        for name, read in METHODS.items():
            began_at = time.perf_counter()
            list(self._pool.map(read, self._chunks))
            self.rates[name].append(self._array.size / (time.perf_counter() - began_at))

    @property
    def medians(self) -> dict[str, float]:
        """The median rate of each method."""
        return {name: median(rates) for name, rates in self.rates.items()}

    @property
    def peak(self) -> float:
        """The highest rate of any."""
        return max(max(rates) for rates in self.rates.values())

    def close(self) -> None:
        """Let the threads and the array go."""
        self._pool.shutdown()
        del self._array, self._chunks


@dataclass
class Decoding:
    """What was measured of one model. Times in seconds per token."""

    read_bytes: int
    stored_bytes: int
    engine_s: list[float] = field(default_factory=list)
    bare_s: list[float] = field(default_factory=list)

    def figures(self, bandwidth: float) -> dict[str, float]:
        """Rates, and their shares of what the bandwidth (bytes/s) allows."""
        engine, bare = 1 / median(self.engine_s), 1 / median(self.bare_s)
        return {
            "mb_per_token": round(self.read_bytes / 1e6, 1),
            "stored_mb": round(self.stored_bytes / 1e6, 1),
            "limit_tokens_per_s": round(bandwidth / self.read_bytes, 1),
            "tokens_per_s": round(engine, 1),
            "bare_tokens_per_s": round(bare, 1),
            "best_bare_tokens_per_s": round(1 / min(self.bare_s), 1),
            "share": round(share(engine, self.read_bytes, bandwidth), 3),
            "bare_share": round(share(bare, self.read_bytes, bandwidth), 3),
            "share_of_stored": round(share(engine, self.stored_bytes, bandwidth), 3),
        }


def share(tokens_per_s: float, read_bytes: float, bandwidth: float) -> float:
    """Tokens/s over what the bandwidth (bytes/s) allows."""
    return tokens_per_s * read_bytes / bandwidth


def run(model_dir: Path) -> dict[str, Any]:
    """Measure, print a table, return the figures."""
    bandwidth = Bandwidth(usable_cpus())
    models = {model_dir.name: model_dir, SMALL: synthetic_model(SMALL)}
    measured = {name: _measure(path, bandwidth) for name, path in models.items()}
    bandwidth.close()
    method, best = max(bandwidth.medians.items(), key=lambda pair: pair[1])
    rates = {name: round(rate / 1e9, 1) for name, rate in bandwidth.medians.items()}
    print(f"reading {ARRAY_BYTES >> 20} MB with {usable_cpus()} threads, GB/s: {rates}")
    print(f"highest of all: {bandwidth.peak / 1e9:.1f} GB/s")
    figures = {name: decoding.figures(best) for name, decoding in measured.items()}
    print(f"{'':24} {'MB/token':>9} {'limit/s':>8} {'engine/s':>9} {'bare/s':>7} {'share':>6}")
    for name, f in figures.items():
        sizes = f"{f['mb_per_token']:>9} {f['limit_tokens_per_s']:>8}"
        print(
            f"{name:24} {sizes} {f['tokens_per_s']:>9} {f['bare_tokens_per_s']:>7} {f['share']:>6}"
        )
    return {
        "bandwidth_gb_per_s": round(best / 1e9, 1),
        "peak_gb_per_s": round(bandwidth.peak / 1e9, 1),
        "method": method,
        "models": figures,
        "share_default": figures[model_dir.name]["share"],
        "share_0_5b": figures[SMALL]["share"],
    }


def _measure(model_dir: Path, bandwidth: Bandwidth) -> Decoding:
    bare = BareModel(model_dir)
    bare.prepare([CONTEXT])
    kv_bytes = bare.kv_bytes_per_token * CONTEXT
    stored = (model_dir / "openvino_model.bin").stat().st_size
    decoding = Decoding(bytes_per_token(bare.weight_ports(), kv_bytes), round(stored + kv_bytes))
    tokenizer = Tokenizer(model_dir)

    async def rounds(engine: Engine) -> None:
        for _ in range(ROUNDS):
            bandwidth.measure()
            decoding.engine_s.append(await _engine_s(engine, tokenizer))
            decoding.bare_s.append(median(bare.step() for _ in range(REPLY_TOKENS)))

    with ready_engine(model_dir, titles=False, speculation=False) as engine:
        asyncio.run(rounds(engine))
    return decoding


async def _engine_s(engine: Engine, tokenizer: Tokenizer) -> float:
    """Median seconds between the tokens of one greedy reply, then peace."""
    session_id = new_session(engine)
    message = text_of(tokenizer, PROMPT_TOKENS)
    figures = await turn(engine, session_id, message, max_tokens=REPLY_TOKENS, gather_s=GATHER_S)
    assert figures.itl_s is not None, "the reply was too short to measure"
    engine.close_session(session_id)
    await rest(engine)
    return figures.itl_s
