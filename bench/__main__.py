"""`python -m bench NAME [--model DIR]`: a table for people, then one JSON line.

Owns: the command line; a missing default model is exported first. Each benchmark is a module with
`run(model_dir) -> dict`; those that take options of their own are given the rest of the command line.
"""

import argparse
import importlib
import json
from pathlib import Path

from export import export_model

BENCHMARKS = (
    *("turns", "sessions", "overflow"),
    *("restore", "crowd", "exact", "typing", "fairness"),
    *("quality", "export_speed", "peers"),
    *("limit", "scale", "restart_under_load"),
    *("templates", "charsets", "structured", "hybrid"),
)
# A module of that name would stand in front of the library's own.
MODULES = {"typing": "typing_ahead", "peers": "peers.compare", "scale": "scale.sections"}
TAKES_OPTIONS = ("peers", "scale")
TAKES_NO_MODEL = ("charsets", "hybrid")
DEFAULT_MODEL = Path("data/models/smollm2-135m-instruct")


def main() -> None:
    """Run one benchmark."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("name", choices=BENCHMARKS)
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL, help="model directory")
    options, more = parser.parse_known_args()
    if more and options.name not in TAKES_OPTIONS:
        parser.error(f"unrecognized arguments: {' '.join(more)}")
    if options.model == DEFAULT_MODEL and options.name not in TAKES_NO_MODEL:
        export_model(DEFAULT_MODEL.name, DEFAULT_MODEL)
    module = importlib.import_module(f"bench.{MODULES.get(options.name, options.name)}")
    arguments = (more,) if options.name in TAKES_OPTIONS else ()
    result = module.run(options.model, *arguments)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
