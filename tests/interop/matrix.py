"""Which architectures run: `python -m tests.interop.matrix FOLDER [NAME ...]`.

For each of `architectures.py`: a tiny random checkpoint, exported by Optimum-Intel in its own environment
(`bench/setup_peers.sh optimum` makes it) and by `export`, is computed here in uneven pieces over kept KV, and the
logits are compared with torch's. Prints a table; what is refused is refused in the words that a user reads.
"""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engine.errors import ModelError
from engine.model.batch import build_inputs
from engine.model.checking import check_once
from engine.model.kv_cache import KVCache
from engine.model.model import CompileOptions, Model
from engine.model.model_files import read_context_length, read_settings
from engine.scheduling import Batch, Sequence
from export.errors import ExportError
from export.exporter import write_model
from export.families import read_decoder
from export.formats import WeightFormat
from export.progress import silent
from export.sources.directory import open_directory
from tests import ROOT
from tests.interop.architectures import ARCHITECTURES

OPTIMUM = ROOT / "bench" / "envs" / "optimum" / "bin" / "python"
EQUAL = 1e-3  # of what lies between the largest and the smallest logit


def main() -> None:
    """Print a row for each."""
    folder, names = Path(sys.argv[1]), sys.argv[2:] or list(ARCHITECTURES)
    print("| architecture | Optimum-Intel's export runs here | ours |\n|---|---|---|")
    for name in names:
        exported = _exported(folder, name)
        theirs = _runs(folder / name) if exported == "yes" else f"not exported: {exported}"
        is_made = (folder / name / "reference.npz").is_file()
        print(f"| {name} | {theirs} | {_ours(folder / name) if is_made else ''} |", flush=True)


def _exported(folder: Path, name: str) -> str:
    """`yes`, or the last words of what went wrong."""
    if (folder / name / "ir" / "openvino_model.bin").is_file():
        return "yes"
    command = [str(OPTIMUM), "-m", "tests.interop.make", str(folder.absolute()), name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    last = done.stderr.strip().splitlines()[-1:]
    return "yes" if done.returncode == 0 else last[0][:120] if last else "no reason given"


def _runs(folder: Path) -> str:
    try:
        settings = read_settings(folder / "ir")
        context = read_context_length(settings, folder / "ir")
        check_once(folder / "ir", settings, 2, None)
        return _compared(folder, folder / "ir", context)
    except ModelError as error:
        return f"refused: {error}"


def _ours(folder: Path) -> str:
    out = folder / "ours"
    out.mkdir(exist_ok=True)
    try:
        decoder = read_decoder(open_directory(folder / "checkpoint"))
    except ExportError as error:
        return f"refused: {error}"
    write_model(out, decoder, WeightFormat("fp16"), "stateful", silent)
    return _compared(folder, out, decoder.spec.max_positions)


def _compared(folder: Path, model_dir: Path, context: int) -> str:
    """With torch's logits, in words."""
    reference = np.load(folder / "reference.npz")
    logits = _logits(model_dir, reference["tokens"].tolist(), reference["rows"].tolist())
    inside = reference["rows"] < context
    ours, theirs = logits[inside], reference["logits"][inside]
    apart = np.abs(ours - theirs).max() / (theirs.max() - theirs.min())
    said = "equal to torch" if apart < EQUAL else f"**differs** by {apart:.2g}"
    return said if inside.all() else f"{said}, context {context}"


def _logits(model_dir: Path, tokens: list[int], rows: list[int]) -> npt.NDArray[np.float32]:
    """[rows, vocab]: the model ends a piece behind each of the rows, and keeps its KV."""
    model = Model(model_dir, CompileOptions(device="CPU", num_threads=2, kv_precision="f32"))
    count = -(-len(tokens) // model.block_size)
    model.bind(KVCache(model.kv_ports, count))
    found = []
    for begin, end in pairwise([0, *(row + 1 for row in rows)]):
        sequence = Sequence(tokens[:end], list(range(count)), begin, end - begin)
        found.append(model.forward(build_inputs(Batch([sequence], [])))[0].copy())
    return np.stack(found)


if __name__ == "__main__":
    main()
