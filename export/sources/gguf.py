"""GGUF files: tensors under canonical names, beside the configuration of export.sources.gguf_config.

The format is ggml's gguf.md; parsing is the gguf library's, once export.sources.gguf_header has
found the header sound. Rotary pairs that llama.cpp stores interleaved are put back
together here; otherwise names and rows are those of Hugging Face's checkpoints of the family.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.errors import ExportError
from export.sources import gguf_experts, gguf_hybrids
from export.sources.checkpoint import Checkpoint, Config
from export.sources.gguf_architectures import ARCHITECTURES
from export.sources.gguf_config import Metadata
from export.sources.gguf_header import check_header, damaged
from export.sources.gguf_parts import check_parts, parts_of
from export.spec import EMBEDDING, FINAL_NORM, LM_HEAD
from export.tensors import StoredTensor, evens_then_odds

ROPE_FACTORS = "rope_freqs.weight"
LONGROPE_FACTORS = ("rope_factors_short.weight", "rope_factors_long.weight")
GLOBAL_NAMES = {
    "token_embd.weight": EMBEDDING,
    "output_norm.weight": FINAL_NORM,
    "token_embd_norm.weight": FINAL_NORM,  # LFM2's name
    "output.weight": LM_HEAD,
}


def open_gguf(path: Path) -> Checkpoint:
    """Map the file, and its other parts; raises ExportError if they are damaged or not modelled."""
    paths = parts_of(path)
    readers = [_reader(part) for part in paths]
    check_parts(paths, readers)
    metadata = Metadata(paths[0], readers[0])
    config = metadata.config()
    stored = _stored(paths, readers)
    if gguf_hybrids.is_hybrid(metadata.architecture):
        config, stored = gguf_hybrids.completed(metadata.architecture, config, stored)
    _check_sizes(paths[0], metadata, config, stored)
    config["vocab_size"] = stored["token_embd.weight"].rows
    config |= _rope_factors(stored, config)
    config["tie_word_embeddings"] = "output.weight" not in stored
    config["attention_bias"] = "blk.0.attn_q.bias" in stored
    config["attention_output_bias"] = "blk.0.attn_output.bias" in stored
    architecture = ARCHITECTURES[metadata.architecture]
    tensors = dict(_renamed(paths[0], stored, metadata.architecture, config["head_dim"]))
    if architecture.with_experts is not None:
        tensors = gguf_experts.as_matrices(tensors)
    if config["model_type"] == "gpt_oss":
        tensors = gguf_experts.gpt_oss(tensors)
    return Checkpoint(paths[0], config, tensors, gguf_reader=readers[0])


def _rope_factors(stored: dict[str, StoredTensor], config: Config) -> Config:
    """Factors of frequencies, which GGUF keeps as tensors: Llama 3's, or both kinds of LongRoPE."""
    plain, *both = (stored.pop(name, None) for name in (ROPE_FACTORS, *LONGROPE_FACTORS))
    found: Config = {}
    if plain is not None:
        found["rope_frequency_factors"] = plain.read().tolist()
    if all(factors is not None for factors in both):
        short, long = (factors.read().tolist() for factors in both if factors is not None)
        found["rope_scaling"] = {
            **(config["rope_scaling"] or {}),
            "rope_type": "longrope",
            "factor": None,
            "short_factor": short,
            "long_factor": long,
        }
    return found


def _reader(path: Path) -> Any:
    from gguf import GGUFReader  # noqa: PLC0415  (slow to import)

    try:
        check_header(path)
        return GGUFReader(path, "c")
    except FileNotFoundError:
        raise ExportError(f"{path}: no such file; check the path.") from None
    except OSError as error:
        raise ExportError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, IndexError, KeyError, OverflowError) as error:
        raise damaged(path) from error


def _stored(paths: list[Path], readers: list[Any]) -> dict[str, StoredTensor]:
    stored: dict[str, StoredTensor] = {}
    for path, reader in zip(paths, readers, strict=True):
        stored |= {tensor.name: tensor for tensor in _stored_tensors(path, reader)}
    return stored


def _check_sizes(
    path: Path, metadata: Metadata, config: Config, stored: dict[str, StoredTensor]
) -> None:
    """What the metadata counts and the tensors must agree on."""
    if "token_embd.weight" not in stored:
        raise ExportError(f"{path} holds no token embedding; it is not a text model.")
    layers = {int(found[1]) for name in stored if (found := re.match(r"blk\.(\d+)\.", name))}
    if config["num_hidden_layers"] != len(layers):
        raise ExportError(
            f"{path} says that it has {config['num_hidden_layers']} layers, but holds {len(layers)}; "
            "the file is damaged, download it again."
        )
    rows = stored["token_embd.weight"].rows
    if rows < metadata.num_tokens:
        raise ExportError(
            f"{path} has {metadata.num_tokens} tokens, but embeddings for {rows} of them; the file is "
            "damaged or was converted wrongly, get another one."
        )


def _stored_tensors(path: Path, reader: Any) -> Iterator[StoredTensor]:
    checked: set[str] = set()
    for tensor in reader.tensors:
        stored = StoredTensor(
            name=tensor.name,
            stored=_elements(tensor),
            encoding=tensor.tensor_type.name,
            shape=tuple(int(size) for size in reversed(tensor.shape)),
        )
        if stored.encoding not in checked:
            _check_encoding(path, stored)
            checked.add(stored.encoding)
        yield stored


def _elements(tensor: Any) -> NDArray[np.generic]:
    """The mapped array; the library gives bfloat16 as bytes."""
    stored: NDArray[np.generic] = np.asarray(tensor.data)
    return stored.view(np.uint16) if tensor.tensor_type.name == "BF16" else stored


def _check_encoding(path: Path, tensor: StoredTensor) -> None:
    try:
        tensor.read(0, 1)
    except NotImplementedError as error:
        raise ExportError(
            f"{path}: {tensor.name} is stored as {tensor.encoding}, which the gguf library cannot "
            "de-quantise; choose a file with another quantization."
        ) from error


def _renamed(
    path: Path, stored: dict[str, StoredTensor], architecture: str, head_dim: int
) -> Iterator[tuple[str, StoredTensor]]:
    """Every tensor under the name that Hugging Face's checkpoints of the family have; unknown names stay."""
    for name, tensor in stored.items():
        renamed = _name(name, architecture)
        if ARCHITECTURES[architecture].interleaved and (
            ".q_proj." in renamed or ".k_proj." in renamed
        ):
            if tensor.rows % head_dim:
                raise damaged(path)
            order = evens_then_odds(tensor.rows // head_dim, head_dim, head_dim)
            yield renamed, tensor.reorder(order)
        else:
            yield renamed, replace(tensor)


def _name(name: str, architecture: str) -> str:
    if name in GLOBAL_NAMES:
        return GLOBAL_NAMES[name]
    block, layer, *parts = [*name.split("."), "", ""]
    if block == "blk" and (own := gguf_hybrids.layer_name(architecture, ".".join(parts[:-2]))):
        return f"model.layers.{layer}.{own}"
    names = ARCHITECTURES[architecture].names
    match name.split("."):
        case ["blk", layer, part, kind] if part in names:
            return f"model.layers.{layer}.{names[part]}.{kind}"
    return name
