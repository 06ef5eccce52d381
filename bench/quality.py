"""How far each weight format is from the float32 weights of a GGUF file: KL and top-1.

Every format is exported from the same file and run over the same texts at full precision, beside
the same graph with its weights in float32. NNCF's int4 of the same group size is measured where its
environment is (bench/setup_nncf.sh makes it), and called absent otherwise. Looks inside the
export for its parts.
"""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino as ov
import openvino_tokenizers  # noqa: F401  registers its operations with every later ov.Core()

from export import artifacts
from export.catalog import CATALOG, fetch
from export.exporter import write_model
from export.families import read_decoder
from export.formats import WeightFormat
from export.packing import Scratch, Weight, dense
from export.progress import silent
from export.sources.gguf import open_gguf
from export.tensors import StoredTensor
from export.tokenizer import from_gguf, write

GROUP = 64
FORMATS = {
    "native": WeightFormat("native"),
    "native, rounded": WeightFormat("rounded"),
    "fp16": WeightFormat("fp16"),
    "int8": WeightFormat("int8"),
    f"int4, group {GROUP}": WeightFormat("int4", GROUP),
    f"int4, group {GROUP}, no search": WeightFormat("int4", GROUP, scale_search=False),
    f"int4, group {GROUP}, symmetric": WeightFormat("int4", GROUP, symmetric=True),
    "int4, group 32": WeightFormat("int4", 32),
}
NNCF = Path("bench/envs/nncf/bin/python")
ROOT = Path(__file__).parent.parent
TEXTS_FILE = ROOT / "LICENSE"
WINDOW, WINDOWS = 512, 4
EXACT = {
    "INFERENCE_PRECISION_HINT": "f32",
    "KV_CACHE_PRECISION": "f32",
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
}
PROSE = """\
The lake was calm in the morning and the boats went out early. An old man mended his nets on the
shore and told the children how the village had been built, first the church, then the bakery, and
last of all the road to the city. He said that nobody had believed in the road. It took eleven years.
<|im_end|>
<|im_start|>user
What is the capital of France, and why is it famous?<|im_end|>
<|im_start|>assistant
The capital of France is Paris. It is famous for the Eiffel Tower, the Louvre, its cafes and its
long history as a centre of art, science and politics.<|im_end|>
<|im_start|>user
Write a Python function that returns the n-th Fibonacci number.<|im_end|>
<|im_start|>assistant
def fibonacci(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a
"""
Logits = npt.NDArray[np.float64]


class Float32(WeightFormat):
    """The weights as they are, with nothing rounded."""

    def store(self, name: str, tensor: StoredTensor, scratch: Scratch) -> Weight:  # noqa: ARG002
        """The matrix as float32."""
        return dense(tensor, "F32", scratch)


@dataclass(frozen=True, slots=True)
class Quality:
    """How a format differs from float32: KL in nats, top-1 agreement, and what it costs."""

    kl: float
    top1: float
    megabytes: float
    seconds: float


def run(model: Path) -> dict[str, Any]:
    """Measure, print a table, return the figures. model: a GGUF file, else the catalog's is taken."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        gguf = model if model.suffix == ".gguf" else _catalog_gguf()
        _export(gguf, Float32("fp16"), folder / "float32")
        windows = list(_windows(gguf, folder))
        exact = [_log_softmax(logits) for logits in _logits(folder / "float32", windows)]
        results: dict[str, Quality | None] = {
            label: _measure(gguf, chosen, folder / "one", windows, exact)
            for label, chosen in FORMATS.items()
        }
        results[f"NNCF int4, group {GROUP}"] = _measure_nncf(folder, windows, exact)
    _print(results)
    return {
        "model": gguf.name,
        "tokens": sum(map(len, windows)),
        "formats": {label: _figures(quality) for label, quality in results.items()},
    }


def _catalog_gguf() -> Path:
    entry, downloads = CATALOG["smollm2-135m-instruct"], ROOT / "data" / "downloads"
    path = downloads / entry.member
    if path.is_file() and artifacts.sha256(path) == entry.sha256:
        return path
    downloads.mkdir(parents=True, exist_ok=True)
    return fetch(entry, downloads)


def _windows(gguf: Path, folder: Path) -> Iterator[list[int]]:
    """Token ids of the texts, in pieces of at most WINDOW."""
    write(from_gguf(open_gguf(gguf).gguf_reader), folder)
    tokenizer = ov.Core().compile_model(folder / "openvino_tokenizer.xml", "CPU")
    yield tokenizer([PROSE])["input_ids"][0].tolist()[:WINDOW]
    ids = tokenizer([TEXTS_FILE.read_text("utf-8")])["input_ids"][0].tolist()
    for start in range(0, (WINDOWS - 1) * WINDOW, WINDOW):
        yield ids[start : start + WINDOW]


def _export(gguf: Path, weights: WeightFormat, folder: Path) -> float:
    """Write the model's graph in a format; the seconds it took."""
    folder.mkdir(exist_ok=True)
    started = time.monotonic()
    write_model(folder, read_decoder(open_gguf(gguf)), weights, "stateful", silent)
    return time.monotonic() - started


def _measure(
    gguf: Path, weights: WeightFormat, folder: Path, windows: list[list[int]], exact: list[Logits]
) -> Quality:
    return _compare(folder, _export(gguf, weights, folder), windows, exact)


def _measure_nncf(folder: Path, windows: list[list[int]], exact: list[Logits]) -> Quality | None:
    """NNCF's asymmetric int4 of the float32 graph, without data; None where it is not installed."""
    python = ROOT / NNCF
    if not python.is_file():
        return None
    (folder / "nncf").mkdir()
    script = ROOT / "bench" / "compress_nncf.py"
    started = time.monotonic()
    arguments = [str(folder / "float32"), str(folder / "nncf"), str(GROUP)]
    subprocess.run([str(python), str(script), *arguments], check=True, stdout=subprocess.DEVNULL)
    return _compare(folder / "nncf", time.monotonic() - started, windows, exact)


def _compare(
    folder: Path, seconds: float, windows: list[list[int]], exact: list[Logits]
) -> Quality:
    divergences, agreements = [], []
    for p, logits in zip(exact, _logits(folder, windows), strict=True):
        q = _log_softmax(logits)
        divergences.append(np.sum(np.exp(p) * (p - q), axis=-1))
        agreements.append(p.argmax(-1) == q.argmax(-1))
    size = (folder / artifacts.MODEL_BIN).stat().st_size
    kl, top1 = float(np.concatenate(divergences).mean()), float(np.concatenate(agreements).mean())
    return Quality(kl, top1, size / 1e6, seconds)


def _logits(folder: Path, windows: list[list[int]]) -> Iterator[npt.NDArray[np.float32]]:
    """The logits of every token of each window, at full precision."""
    model = ov.Core().compile_model(folder / artifacts.MODEL_XML, "CPU", EXACT)
    request = model.create_infer_request()
    for ids in windows:
        request.reset_state()
        feed = {
            "input_ids": np.array([ids], np.int64),
            "attention_mask": np.ones((1, len(ids)), np.int64),
            "position_ids": np.arange(len(ids), dtype=np.int64)[None],
            "beam_idx": np.zeros(1, np.int32),
        }
        yield np.array(request.infer(feed)["logits"][0])


def _log_softmax(logits: npt.NDArray[np.float32]) -> Logits:
    x = logits.astype(np.float64)
    x -= x.max(-1, keepdims=True)
    return np.asarray(x - np.log(np.exp(x).sum(-1, keepdims=True)))


def _print(results: dict[str, Quality | None]) -> None:
    print(f"{'format':>28} {'KL':>9} {'top-1':>7} {'MB':>6} {'export':>7}")
    for label, q in results.items():
        if q is None:
            print(f"{label:>28} absent; bench/setup_nncf.sh installs it")
        else:
            print(
                f"{label:>28} {q.kl:>9.2g} {q.top1:>7.1%} {q.megabytes:>6.0f} {q.seconds:>5.1f} s"
            )


def _figures(quality: Quality | None) -> dict[str, float] | None:
    if quality is None:
        return None
    return {
        "kl": float(f"{quality.kl:.3g}"),
        "top1": round(quality.top1, 4),
        "megabytes": round(quality.megabytes, 1),
        "seconds": round(quality.seconds, 1),
    }
