"""`python -m tests.storm NAME ...`: one storm, which prints its counts as JSON; each says more with --help.

    python -m tests.storm all --minutes 60 --seed 7

One after another, a little of each with ever new seeds, and a soak for the last third of the time.
"""

import argparse
import importlib
import itertools
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence

# What a little of each is.
STORMS = {
    "damage": ("--snapshots", "100", "--exports", "3000"),
    "databases": ("--rounds", "20"),
    "http": ("--requests", "500"),
    "kills": ("--cycles", "25"),
    "crowd": ("--seconds", "20"),
    "soak": (),
}
HAS_NO_SEED = ("crowd",)


def main(argv: Sequence[str]) -> int:
    """Run what is named first; 1 where an oracle objects."""
    name, *more = argv or ["--help"]
    if name == "all":
        return _all(more)
    if name not in STORMS:
        print(f"usage: python -m tests.storm {{all,{','.join(STORMS)}}} ...", file=sys.stderr)
        return 2
    return int(importlib.import_module(f"tests.storm.{name}").main(more))


def _all(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.storm all", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args(argv)
    begin, seconds = time.monotonic(), 60 * options.minutes
    failed: Counter[str] = Counter()
    names = itertools.cycle(name for name in STORMS if name != "soak")
    for number in itertools.count(options.seed):
        if time.monotonic() - begin > seconds * 2 / 3:
            break
        name = next(names)
        seed = () if name in HAS_NO_SEED else ("--seed", f"{number}")
        failed[name] += _run(name, *STORMS[name], *seed)
    left = max(seconds - (time.monotonic() - begin), 60.0)
    failed["soak"] += _run("soak", "--seconds", f"{left:.0f}", "--seed", f"{options.seed}")
    print("failed:", dict(failed))
    return int(failed.total() > 0)


def _run(*command: str) -> bool:
    """Whether a storm in a process of its own failed; what it printed is shown."""
    print("$ python -m tests.storm", *command, flush=True)
    run = subprocess.run([sys.executable, "-m", "tests.storm", *command], check=False)
    return run.returncode != 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
