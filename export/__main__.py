"""The command line: python -m export SOURCE [--out DIR] [--weights FORMAT] [--kv FORM]."""

from __future__ import annotations

import argparse
import re
import sys
import time
from pathlib import Path
from typing import Any

from export import ExportError, export_model
from export.catalog import CATALOG
from export.console import write_what_can_be_written
from export.formats import FORMATS
from export.progress import Bars

MODELS = Path("data/models")


def main(arguments: list[str] | None = None) -> int:
    """Run one export; returns the exit status."""
    write_what_can_be_written()
    options = _parser().parse_args(arguments)
    out = options.out or MODELS / default_name(options.source)
    bars, started = Bars(), time.monotonic()
    try:
        export_model(options.source, out, options.weights, options.kv, bars, **_int4(options))
    except ExportError as error:
        bars.close()
        print(f"export: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        bars.close()
        print("export: interrupted; nothing was written.", file=sys.stderr)
        return 130
    bars.close()
    print(f"{out} is ready ({time.monotonic() - started:.1f} s): python app.py --model {out}")
    return 0


def _int4(options: argparse.Namespace) -> dict[str, Any]:
    """The int4 options that were given; without int4 they are refused by the format."""
    given = {
        "group_size": options.group_size,
        "symmetric": options.symmetric,
        "scale_search": options.scale_search,
    }
    defaults = {"group_size": None, "symmetric": False, "scale_search": True}
    return {name: value for name, value in given.items() if value != defaults[name]}


def default_name(source: str) -> str:
    """The folder's name for a source: catalog name, file stem or last part of an id."""
    name = source.rstrip("/").rsplit("/", 1)[-1].rsplit(":", 1)[-1]
    return re.sub(r"(-\d{5}-of-\d{5})?\.gguf$", "", name) or "model"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m export", description="Export a model to OpenVINO, without PyTorch."
    )
    names = "; ".join(f"{entry.name} ({entry.about})" for entry in CATALOG.values())
    parser.add_argument(
        "source",
        help="a model folder, a GGUF file, owner/name[@revision] on the hub, modelscope:owner/name, "
        f"or a catalog name: {names}",
    )
    parser.add_argument("--out", type=Path, help=f"model directory (default: {MODELS}/NAME)")
    parser.add_argument("--weights", choices=FORMATS, help="weight format (default: the source's)")
    parser.add_argument("--group-size", type=int, help="int4: columns that share a scale")
    parser.add_argument("--symmetric", action="store_true", help="int4: without zero-points")
    parser.add_argument(
        "--no-scale-search",
        dest="scale_search",
        action="store_false",
        help="int4: plain rounding, faster and worse",
    )
    parser.add_argument(
        "--kv",
        choices=("stateful", "explicit"),
        default="stateful",
        help="KV as variables, or as past_key_values.N / present.N (default: stateful)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
