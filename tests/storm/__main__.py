"""`python -m tests.storm NAME ...` runs one storm; it prints JSON, and exits with 1 where the oracle objects."""

import sys
from importlib import import_module

STORMS = {"http": "tests.storm.http"}


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] not in STORMS:
        sys.stderr.write(f"python -m tests.storm: choose one of {', '.join(STORMS)}.\n")
        return 2
    return int(import_module(STORMS[arguments[0]]).main(arguments[1:]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
