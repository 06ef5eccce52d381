"""GGUF files: tensors under canonical names, beside the configuration of export.sources.gguf_config.

The format is ggml's gguf.md; parsing is the gguf library's, once export.sources.gguf_header has
found the header sound. llama.cpp stores the query and key rows of its "llama" architecture with
interleaved rotary pairs: they are put back here.
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
from export.sources.checkpoint import Checkpoint, Config
from export.sources.gguf_config import Metadata
from export.sources.gguf_header import check_header, damaged
from export.sources.gguf_parts import check_parts, parts_of
from export.spec import EMBEDDING, FINAL_NORM, LM_HEAD
from export.tensors import StoredTensor, evens_then_odds

ROPE_FACTORS = "rope_freqs.weight"
GLOBAL_NAMES = {
    "token_embd.weight": EMBEDDING,
    "output_norm.weight": FINAL_NORM,
    "output.weight": LM_HEAD,
}
LAYER_NAMES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}


def open_gguf(path: Path) -> Checkpoint:
    """Map the file, and its other parts; raises ExportError if they are damaged or not modelled."""
    paths = parts_of(path)
    readers = [_reader(part) for part in paths]
    check_parts(paths, readers)
    metadata = Metadata(paths[0], readers[0])
    config = metadata.config()
    stored = _stored(paths, readers)
    _check_sizes(paths[0], metadata, config, stored)
    config["vocab_size"] = stored["token_embd.weight"].rows
    factors = stored.pop(ROPE_FACTORS, None)
    if factors is not None:
        config["rope_frequency_factors"] = factors.read().tolist()
    config["tie_word_embeddings"] = "output.weight" not in stored
    config["attention_bias"] = "blk.0.attn_q.bias" in stored
    config["attention_output_bias"] = "blk.0.attn_output.bias" in stored
    return Checkpoint(paths[0], config, dict(_canonical(stored, config)), gguf_reader=readers[0])


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


def _canonical(
    stored: dict[str, StoredTensor], config: Config
) -> Iterator[tuple[str, StoredTensor]]:
    interleaved = config["model_type"] == "llama"
    for name, tensor in stored.items():
        canonical = canonical_name(name)
        if interleaved and (".q_proj." in canonical or ".k_proj." in canonical):
            width = config["head_dim"]
            order = evens_then_odds(tensor.rows // width, width, width)
            yield canonical, tensor.reorder(order)
        else:
            yield canonical, replace(tensor)


def canonical_name(name: str) -> str:
    """The canonical name of a GGUF tensor; unknown names come back as they are."""
    if name in GLOBAL_NAMES:
        return GLOBAL_NAMES[name]
    match name.split("."):
        case ["blk", layer, part, kind] if part in LAYER_NAMES:
            return f"model.layers.{layer}.{LAYER_NAMES[part]}.{kind}"
    return name
