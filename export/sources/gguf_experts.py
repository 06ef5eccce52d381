"""Experts in GGUF files: all of a layer's in one tensor [experts, rows, columns], and what the metadata says of them.

gpt-oss's gate and up stand apart there; they are joined again, row by row in turns, as its checkpoints have them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from export.blocks import LAYOUTS, coded_rows
from export.sources.checkpoint import Config
from export.stacking import flattened, interleaved
from export.tensors import StoredTensor

# Parts of a layer, beside those of every architecture.
NAMES = {
    "ffn_gate_inp": "mlp.gate",
    "ffn_gate_exps": "mlp.experts.gate_proj",
    "ffn_up_exps": "mlp.experts.up_proj",
    "ffn_down_exps": "mlp.experts.down_proj",
    "ffn_gate_inp_shexp": "mlp.shared_expert_gate",
    "ffn_gate_shexp": "mlp.shared_expert.gate_proj",
    "ffn_up_shexp": "mlp.shared_expert.up_proj",
    "ffn_down_shexp": "mlp.shared_expert.down_proj",
}
_GATE = re.compile(r"(.+\.mlp\.experts)\.gate_proj\.(weight|bias)")
Size = Callable[..., int]


def settings(size: Size, own: Callable[..., Any]) -> Config:
    """In Hugging Face's words; size: reads a positive integer of the metadata, own: anything, with a default."""
    count, width = size("expert_count"), size("feed_forward_length")
    found: Config = {
        "num_experts": count,
        "num_local_experts": count,
        "num_experts_per_tok": size("expert_used_count"),
        "moe_intermediate_size": size("expert_feed_forward_length", width),
    }
    if (shared := own("expert_shared_feed_forward_length", None)) is not None:
        found["shared_expert_intermediate_size"] = int(shared)
    return found


def as_matrices(tensors: dict[str, StoredTensor]) -> dict[str, StoredTensor]:
    """Experts below each other, and the gate of the shared one as a row."""
    return {name: _matrix(name, tensor) for name, tensor in tensors.items()}


def _matrix(name: str, tensor: StoredTensor) -> StoredTensor:
    if ".mlp.experts." in name and len(tensor.shape) == 3:
        return flattened(tensor)
    if name.endswith(".mlp.shared_expert_gate.weight") and len(tensor.shape) == 1:
        return replace(tensor, stored=tensor.stored[None], shape=(1, *tensor.shape))
    return tensor


def gpt_oss(tensors: dict[str, StoredTensor]) -> dict[str, StoredTensor]:
    """Of tensors with experts as matrices, what its checkpoints call them."""
    joined = dict(tensors)
    for name, gate in tensors.items():
        found = _GATE.fullmatch(name)
        up = found and tensors.get(f"{found[1]}.up_proj.{found[2]}")
        if not found or not up or up.shape != gate.shape:
            continue
        del joined[name], joined[f"{found[1]}.up_proj.{found[2]}"]
        whole = f"{found[1]}.gate_up_proj"
        if found[2] == "bias":
            joined[f"{whole}_bias"] = _in_turns(gate, up)
        else:
            joined[whole] = interleaved(whole, _coded(gate), _coded(up))
    return {_called(name): tensor for name, tensor in joined.items()}


def _called(name: str) -> str:
    name = name.replace(".self_attn.sinks.weight", ".self_attn.sinks")
    name = name.replace(".experts.down_proj.weight", ".experts.down_proj")
    return name.replace(".experts.down_proj.bias", ".experts.down_proj_bias")


def _in_turns(gate: StoredTensor, up: StoredTensor) -> StoredTensor:
    values = np.stack([gate.read(), up.read()], axis=-1).reshape(gate.rows, -1)
    return StoredTensor(gate.name, values, "F32", values.shape)


def _coded(tensor: StoredTensor) -> StoredTensor:
    """With codes that can be read by row, where its blocks have no offsets."""
    layout = LAYOUTS.get(tensor.encoding)
    if layout is None or layout.grid is not None:
        return tensor
    return replace(tensor, compound=coded_rows(tensor))
