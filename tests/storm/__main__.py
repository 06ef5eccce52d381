"""`python -m tests.storm NAME ...`: one storm; each prints its counts as JSON."""

import importlib
import sys

STORMS = ("crowd", "damage", "databases", "http", "kills", "soak")


def main() -> int:
    """Run the storm that is named."""
    name, *argv = sys.argv[1:] or ["--help"]
    if name not in STORMS:
        print(f"usage: python -m tests.storm {{{','.join(STORMS)}}} ...", file=sys.stderr)
        return 2
    return int(importlib.import_module(f"tests.storm.{name}").main(argv))


if __name__ == "__main__":
    sys.exit(main())
