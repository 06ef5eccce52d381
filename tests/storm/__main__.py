"""`python -m tests.storm NAME ...`: one storm; each prints its counts as JSON."""

import importlib
import sys
from collections.abc import Sequence

STORMS = ("crowd", "damage", "databases", "http", "kills", "soak")


def main(argv: Sequence[str]) -> int:
    """Run the storm that is named first; 1 where its oracle objects."""
    name, *more = argv or ["--help"]
    if name not in STORMS:
        print(f"usage: python -m tests.storm {{{','.join(STORMS)}}} ...", file=sys.stderr)
        return 2
    return int(importlib.import_module(f"tests.storm.{name}").main(more))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
