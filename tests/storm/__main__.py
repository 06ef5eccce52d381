"""`python -m tests.storm NAME ...`: run the storm NAME; its own options follow."""

import sys
from collections.abc import Callable, Sequence

from tests.storm import databases

STORMS: dict[str, Callable[[Sequence[str]], int]] = {"databases": databases.main}


def main(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0] not in STORMS:
        sys.stderr.write(f"Name a storm: {', '.join(STORMS)}.\n")
        return 2
    return STORMS[arguments[0]](arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
