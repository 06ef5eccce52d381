"""`python -m bench NAME [--model DIR]`: a table for people, then one JSON line.

Owns: the command line. Each benchmark is a module with `run(model_dir) -> dict`.
"""

import argparse
import importlib
import json
from pathlib import Path

BENCHMARKS = (
    *("turns", "sessions", "overflow"),
    *("restore", "crowd", "exact", "typing", "fairness"),
    *("quality", "export_speed"),
)
DEFAULT_MODEL = Path("data/models/smollm2-135m-instruct")


def main() -> None:
    """Run one benchmark."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("name", choices=BENCHMARKS)
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL, help="model directory")
    options = parser.parse_args()
    result = importlib.import_module(f"bench.{options.name}").run(options.model)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
