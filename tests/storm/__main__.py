"""`python -m tests.storm NAME [OPTIONS]`: one of the storms; each says more with --help."""

import importlib
import sys

STORMS = {"crowd": "tests.storm.crowd"}  # modules with a main(argv) that returns the exit status


def main(argv: list[str]) -> int:
    """Run the storm that is named first."""
    if not argv or argv[0] not in STORMS:
        sys.stderr.write(f"usage: python -m tests.storm {{{','.join(STORMS)}}} [--help]\n")
        return 2
    status: int = importlib.import_module(STORMS[argv[0]]).main(argv[1:])
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
