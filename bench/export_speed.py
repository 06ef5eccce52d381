"""How long an export to int4 takes, and how much anonymous memory at most.

A synthetic checkpoint with the widths of Llama-2-7B (random bfloat16 weights, LAYERS of its 32 layers)
is exported in a process of its own, watched from outside. Time is extrapolated to all layers from two
sizes: a cost for each layer and the rest (embedding, lm_head). Memory is the peak that was seen.
"""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.resident import resident_bytes
from bench.synthetic import LLAMA_2_7B, write_checkpoint

ALL_LAYERS = LLAMA_2_7B.layers
SIZES = (1, int(os.environ.get("BENCH_EXPORT_LAYERS", "3")))
SCRIPT = """\
import sys
from pathlib import Path
from export.exporter import write_model
from export.families import read_decoder
from export.formats import WeightFormat
from export.progress import silent
from export.sources.directory import open_directory
decoder = read_decoder(open_directory(Path(sys.argv[1])))
write_model(Path(sys.argv[2]), decoder, WeightFormat("int4"), "stateful", silent)
"""


def run(_model_dir: Path) -> dict[str, Any]:
    """Measure, print a table, return the figures."""
    measured = [_measure(layers) for layers in SIZES]
    print(f"{'layers':>6} {'checkpoint':>11} {'int4':>7} {'seconds':>8} {'anonymous':>10}")
    for layers, (seconds, peak, stored, written) in zip(SIZES, measured, strict=True):
        gb = f"{stored / 1e9:>8.1f} GB {written / 1e9:>4.1f} GB {seconds:>8.1f}"
        print(f"{layers:>6} {gb} {peak / 1e9:>7.2f} GB")
    each = (measured[1][0] - measured[0][0]) / (SIZES[1] - SIZES[0])
    grown = (measured[1][1] - measured[0][1]) / (SIZES[1] - SIZES[0])
    whole = measured[0][0] + each * (ALL_LAYERS - SIZES[0])
    memory = measured[1][1] + max(grown, 0) * (ALL_LAYERS - SIZES[1])
    print(f"extrapolated to {ALL_LAYERS} layers: {whole:.0f} s, {memory / 1e9:.1f} GB")
    return {
        "layers": list(SIZES),
        "seconds": [round(seconds, 1) for seconds, *_ in measured],
        "peak_anonymous_gb": [round(peak / 1e9, 2) for _, peak, *_ in measured],
        "extrapolated_seconds_32_layers": round(whole),
        "extrapolated_anonymous_gb_32_layers": round(memory / 1e9, 2),
    }


def _measure(layers: int) -> tuple[float, int, int, int]:
    """Seconds, peak anonymous bytes, bytes of the checkpoint and of the export."""
    with tempfile.TemporaryDirectory() as name:
        source, out = Path(name) / "source", Path(name) / "out"
        source.mkdir()
        out.mkdir()
        write_checkpoint(source, replace(LLAMA_2_7B, layers=layers))
        started = time.monotonic()
        command = [sys.executable, "-c", SCRIPT, str(source), str(out)]
        export = subprocess.Popen(command, cwd=Path(__file__).parent.parent)
        peak = 0
        while export.poll() is None:
            peak = max(peak, resident_bytes("RssAnon", export.pid))
            time.sleep(0.02)
        seconds = time.monotonic() - started
        if export.returncode != 0:
            raise RuntimeError("The export failed; its own message is above.")
        return seconds, peak, _size(source), _size(out)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())
