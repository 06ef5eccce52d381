"""`python -m bench scale [--only SECTION ...]`: how costs grow, and a model of 7B.

Owns: the sections' order, and what comes next on the screen. Each section measures at several sizes,
in interleaved rounds, and prints and fits what it found at once (bench.scale.report). The 7B model
has Llama 2's shape in int4 and random weights; it runs in a process of its own.
"""

import argparse
import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.scale import batch, history, large, length
from bench.synthetic import model_dir as synthetic_model

Figures = dict[str, Any]
SEVEN_BILLION = "llama-2-7b"


def seven_billion(_model_dir: Path) -> Figures:
    """The large model's figures, from a process that has held nothing else."""
    path = synthetic_model(SEVEN_BILLION)
    with multiprocessing.get_context("spawn").Pool(1) as fresh:
        return {f"{SEVEN_BILLION}_int4": fresh.apply(large.run, (path,))}


# The history first: memory is only known in a process that has not let any go.
SECTIONS: dict[str, tuple[Callable[[Path], Figures], str]] = {
    "history": (history.run, "TTFT and memory, by tokens of history (about 20 s)"),
    "batch": (batch.run, "decode steps, by sequences (about 40 s)"),
    "length": (length.run, "start-up and restore, by stored tokens (about 80 s)"),
    "7b": (seven_billion, "Llama 2 7B's shape in int4 (about 90 s once made)"),
}


def parse(arguments: list[str]) -> list[str]:
    """The names of the sections to measure, in their order."""
    parser = argparse.ArgumentParser(prog="python -m bench scale", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--no-7b", action="store_true", help="leave the large model out")
    options = parser.parse_args(arguments)
    left_out = {"7b"} if options.no_7b else set()
    chosen = [name for name in SECTIONS if name in options.only and name not in left_out]
    if not chosen:
        parser.error("--no-7b leaves nothing to measure")
    return chosen


def run(model_dir: Path, arguments: list[str]) -> Figures:
    """Measure section by section, each printed once it is known; return the figures."""
    figures: Figures = {}
    for name in parse(arguments):
        measure, what = SECTIONS[name]
        print(f"next: {name}: {what}", flush=True)
        began_at = time.perf_counter()
        figures |= measure(model_dir)
        print(f"{name} took {time.perf_counter() - began_at:.0f} s", flush=True)
    return figures
