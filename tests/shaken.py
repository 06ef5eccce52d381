"""`python -m tests.shaken`: the browser's tests again and again on a machine that stands still at bad moments.

    python -m tests.shaken --rounds 20 --stops     every process of the run is stopped and continued at random
    python -m tests.shaken --rounds 5 --load 4     so many busy processes beside it

What depends on the machine's speed fails here sooner or later. Not part of `make test`. Exit status 1 if
any round failed; each round's seed and failures are printed.
"""

import argparse
import contextlib
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psutil

from bench.busy import busy

LONGEST_STOP_S, LONGEST_BREAK_S = 2.0, 1.5
SHARE_OF_LONG_STOPS = 0.2


def main() -> int:
    """Run the rounds."""
    options = _options()
    failed = 0
    for number in range(1, options.rounds + 1):
        seed = random.SystemRandom().randrange(10**6)
        print(f"round {number} of {options.rounds}, seed {seed}", flush=True)
        failed += not _round(options, random.Random(seed))
    print(f"{options.rounds - failed} rounds passed, {failed} failed")
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.shaken", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--stops", action="store_true", help="stop processes at random moments")
    parser.add_argument("--load", type=int, default=0, help="busy processes beside the tests")
    parser.add_argument("tests", nargs="*", default=["-m", "browser"], help="what pytest runs")
    return parser.parse_args()


def _round(options: argparse.Namespace, dice: random.Random) -> bool:
    command = [sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadfile", "--timeout", "900"]
    began = time.monotonic()
    with ExitStack() as stack:
        if options.load:
            stack.enter_context(busy(options.load))
        run = subprocess.Popen([*command, *options.tests], stdout=subprocess.PIPE, text=True)
        if options.stops:
            stack.enter_context(_shaking(run.pid, dice))
        assert run.stdout is not None
        lines = [line.rstrip() for line in run.stdout]
        run.wait()
    shown = lines if run.returncode else lines[-1:]
    print(*shown, f"{time.monotonic() - began:.0f} s", sep="\n", flush=True)
    return run.returncode == 0


@contextmanager
def _shaking(pid: int, dice: random.Random) -> Iterator[None]:
    """Stop random processes below `pid`, itself included, for random moments."""
    is_over = threading.Event()
    shaker = threading.Thread(target=_shake, args=(psutil.Process(pid), dice, is_over))
    shaker.start()
    try:
        yield
    finally:
        is_over.set()
        shaker.join()


def _shake(root: psutil.Process, dice: random.Random, is_over: threading.Event) -> None:
    while not is_over.wait(dice.uniform(0, LONGEST_BREAK_S)):
        with contextlib.suppress(psutil.Error):
            _stop(dice.choice([root, *root.children(recursive=True)]), dice)


def _stop(process: psutil.Process, dice: random.Random) -> None:
    process.suspend()
    try:
        longest = LONGEST_STOP_S if dice.random() < SHARE_OF_LONG_STOPS else LONGEST_STOP_S / 8
        time.sleep(dice.uniform(0, longest))
    finally:
        process.resume()


if __name__ == "__main__":
    sys.exit(main())
