"""`python -m bench NAME [--model DIR]`: a table for people, then one JSON line.

Owns: the command line; a missing default model is exported first. Each benchmark is a module with `run(model_dir) -> dict`.
"""

import argparse
import importlib
import json
from pathlib import Path

from export import export_model

BENCHMARKS = (
    *("turns", "sessions", "overflow"),
    *("restore", "crowd", "exact", "typing", "fairness"),
    *("quality", "export_speed"),
)
# A module of that name would stand in front of the library's own.
MODULES = {"typing": "typing_ahead"}
DEFAULT_MODEL = Path("data/models/smollm2-135m-instruct")


def main() -> None:
    """Run one benchmark."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("name", choices=BENCHMARKS)
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL, help="model directory")
    options = parser.parse_args()
    if options.model == DEFAULT_MODEL:
        export_model(DEFAULT_MODEL.name, DEFAULT_MODEL)
    module = importlib.import_module(f"bench.{MODULES.get(options.name, options.name)}")
    result = module.run(options.model)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
