"""A model that was not made here is compared with itself before it is used: paged against stateful.

Owns: that comparison, and where its outcome is remembered. OpenVINO's paged-attention transformation takes of
a mask and of positions what it recognises and drops the rest without a word (ALiBi of MPT and Falcon, the
local attention of GPT-Neo, positions that an IR counts by itself); the text is wrong then, and nothing
else shows it. Models that `python -m export` has made were compared by its tests.
"""

import json
import logging
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino as ov

from engine.errors import ModelUnsupported
from engine.model.batch import build_inputs
from engine.model.digest import digest_of_model
from engine.model.kv_cache import KVCache, StateTables
from engine.model.model import CompileOptions, Model
from engine.model.model_files import read_window
from engine.model.paging import last_line, read_stateful
from engine.scheduling import BEGINNING, Batch, Checkpoint, Sequence, StateStep

log = logging.getLogger(__name__)

Logits = npt.NDArray[np.float32]

CHUNKS = (48, 32)  # tokens; the second is computed over the KV of the first
LONGEST_WINDOW = 512  # tokens; the check goes beyond windows up to here
# Between the two, in parts of what lies between the largest and the smallest logit. Rounding in f32 comes
# to 1e-4; of the faults that were seen the smallest came to 0.07.
TOLERANCE = 0.02
_MANIFEST = "manifest.json"  # what an export from here has
_READY_MADE = "ready-made"  # what its weights are called there if somebody else made them
_EXACT = {
    "INFERENCE_PRECISION_HINT": "f32",
    "KV_CACHE_PRECISION": "f32",
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
}


def check_once(model_dir: Path, settings: dict[str, Any], threads: int, seen: Path | None) -> None:
    """Raise ModelUnsupported if the model says something else with paged attention than without.

    settings: its config.json. seen: a JSON file that remembers which models were compared, and may be absent.
    """
    if _is_made_here(model_dir):
        return
    name = f"{digest_of_model(model_dir)} {ov.get_version()}"
    remembered = _read(seen)
    if name in remembered:
        return
    log.info("Comparing the model with paged attention and without; this is done once.")
    compare(model_dir, threads, _chunks(settings))
    if seen is not None:
        _write(seen, [*remembered, name])


def _is_made_here(model_dir: Path) -> bool:
    """Whether an export from here made the graph, too, and did not fetch it as it was."""
    try:
        manifest = json.loads((model_dir / _MANIFEST).read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(manifest, dict) and manifest.get("weights") != _READY_MADE


def compare(model_dir: Path, threads: int, chunks: tuple[int, ...] = CHUNKS) -> None:
    """Raise ModelUnsupported unless both forms give the same logits behind each chunk of random tokens."""
    options = CompileOptions(device="CPU", num_threads=threads, kv_precision="f32")
    paged = Model(model_dir, options)
    tokens = np.random.default_rng(0).integers(5, paged.vocab_size - 5, sum(chunks)).tolist()
    ours = _paged_logits(paged, tokens, chunks)
    del paged  # before the other form is there
    theirs = _stateful_logits(model_dir, options, tokens, chunks)
    spread = float(theirs.max() - theirs.min())
    apart = float(np.abs(ours - theirs).max())
    if not apart <= TOLERANCE * spread:  # NaN is not
        raise ModelUnsupported(
            f"{model_dir.name}: with paged attention this model computes something else than without "
            f"(its logits are {apart:.2g} apart, of {spread:.2g}). OpenVINO does not know a part of its attention "
            "there, such as ALiBi or a local mask, and its answers would be wrong; use another model."
        )


def _chunks(settings: dict[str, Any]) -> tuple[int, ...]:
    """The second chunk goes beyond the window, where the model has one that is not too long for that."""
    window = read_window(settings)
    if window is None or window > LONGEST_WINDOW:
        return CHUNKS
    return (CHUNKS[0], max(CHUNKS[1], window))


def _paged_logits(model: Model, tokens: list[int], chunks: tuple[int, ...]) -> Logits:
    """[chunks, vocab], behind the last token of each."""
    count = -(-len(tokens) // model.block_size)
    cache, states = KVCache(model.kv_ports, count), StateTables(model.state_ports, 2)
    model.bind(cache, states)
    rows = []
    for begin, end in pairwise([0, *accumulate(chunks)]):
        sequence = Sequence(tokens[:end], list(range(count)), begin, end - begin)
        if model.state_ports:
            sequence.states.step = StateStep(BEGINNING if not begin else 1, (Checkpoint(end, 1),))
        rows.append(model.forward(build_inputs(Batch([sequence], [])))[0].copy())
    return np.stack(rows)


def _stateful_logits(
    model_dir: Path, options: CompileOptions, tokens: list[int], chunks: tuple[int, ...]
) -> Logits:
    """The same of the IR as it is on disk."""
    core = ov.Core()
    try:
        properties = _EXACT | {"INFERENCE_NUM_THREADS": str(options.num_threads)}
        compiled = core.compile_model(read_stateful(core, model_dir), options.device, properties)
        request = compiled.create_infer_request()
        names = {name for port in compiled.inputs for name in port.names}
        rows = []
        for begin, end in pairwise([0, *accumulate(chunks)]):
            request.infer(_stateful_inputs(names, tokens, begin, end))
            rows.append(np.array(request.get_output_tensor(0).data)[0, -1])
    except RuntimeError as error:
        raise ModelUnsupported(
            f"{model_dir.name}: OpenVINO cannot run it ({last_line(error)}); use another model."
        ) from None
    return np.stack(rows)


def _stateful_inputs(names: set[str], tokens: list[int], begin: int, end: int) -> dict[str, Any]:
    inputs = {
        "input_ids": np.array([tokens[begin:end]], np.int64),
        "attention_mask": np.ones((1, end), np.int64),
        "position_ids": np.arange(begin, end)[None],
        "beam_idx": np.zeros(1, np.int32),
    }
    return {name: value for name, value in inputs.items() if name in names}


def _read(seen: Path | None) -> list[str]:
    try:
        names = json.loads(seen.read_text("utf-8")) if seen is not None else []
    except (OSError, ValueError):
        return []
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _write(seen: Path, names: list[str]) -> None:
    """What cannot be remembered is compared again next time."""
    try:
        seen.parent.mkdir(parents=True, exist_ok=True)
        seen.write_text(json.dumps(names), "utf-8")
    except OSError as error:
        log.info("That this model was compared is not remembered: %s", error)
