"""Experts' tensors under canonical names: each expert's own matrices, or all of them in one tensor, become one matrix.

Canonical ones are those of experts.py. Unknown names stay as they are, for the decoder to refuse. Knows neither
file formats nor OpenVINO.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from export.layouts import Items, Tensors
from export.spec import DecoderSpec, lacking
from export.stacking import flattened, stacked, transposed
from export.tensors import StoredTensor

_ONE = re.compile(r"(.+\.mlp\.experts)\.(\d+)\.(\w+_proj\.weight)")
_MIXTRAL = {"w1": "gate_proj", "w3": "up_proj", "w2": "down_proj"}


def expert_names(spec: DecoderSpec, tensors: Tensors) -> Tensors:
    """Qwen's, whose experts are numbered: experts.N.gate_proj and so on. Raises ExportError for a missing one."""
    single: dict[str, dict[int, StoredTensor]] = {}
    others: Tensors = {}
    for name, tensor in tensors.items():
        if (found := _ONE.fullmatch(name)) and len(tensor.shape) == 2:
            experts = single.setdefault(f"{found[1]}.*.{found[3]}", {})
            experts[int(found[2])] = tensor
        else:
            others[name] = tensor
    for pattern, experts in single.items():
        others[pattern.replace(".*.", ".")] = _whole(spec, pattern, experts)
    return others


def _whole(spec: DecoderSpec, pattern: str, experts: dict[int, StoredTensor]) -> StoredTensor:
    count = spec.experts.count if spec.experts else 0
    for number in range(count):
        if number not in experts or experts[number].shape != experts[0].shape:
            raise lacking(pattern.replace("*", str(number)))
    parts = [experts[number] for number in sorted(experts)]
    return stacked(pattern.replace(".*.", "."), parts)


def mixtral_names(spec: DecoderSpec, tensors: Tensors) -> Tensors:
    """Numbered ones, too: w1 is gate, w3 up, w2 down."""
    renamed = {
        re.sub(
            r"\.block_sparse_moe\.experts\.(\d+)\.(w\d)\.",
            lambda found: f".mlp.experts.{found[1]}.{_MIXTRAL.get(found[2], found[2])}.",
            name,
        ).replace(".block_sparse_moe.gate.", ".mlp.gate."): tensor
        for name, tensor in tensors.items()
    }
    return expert_names(spec, renamed)


def granite_names(_spec: DecoderSpec, tensors: Tensors) -> Tensors:
    """All experts are in one tensor, gate and up in another: [experts, gate and up, hidden]."""
    return dict(item for pair in tensors.items() for item in _granite_items(*pair))


def _granite_items(name: str, tensor: StoredTensor) -> Items:
    front, found, part = name.partition(".block_sparse_moe.")
    if not found:
        yield name, tensor
    elif part == "router.layer.weight":
        yield f"{front}.mlp.gate.weight", tensor
    elif part == "output_linear.weight" and len(tensor.shape) == 3:
        yield f"{front}.mlp.experts.down_proj.weight", flattened(tensor)
    elif part == "input_linear.weight" and len(tensor.shape) == 3 and tensor.shape[1] % 2 == 0:
        count, both, _ = tensor.shape
        rows = np.arange(count * both).reshape(count, 2, both // 2)
        for which, half in enumerate(("gate", "up")):
            yield (
                f"{front}.mlp.experts.{half}_proj.weight",
                flattened(tensor).take(rows[:, which].reshape(-1)),
            )
    else:
        yield name, tensor


_GPT_OSS = re.compile(r"(.+\.mlp\.)experts\.(gate_up|down)_proj(_bias)?")


def gpt_oss_names(_spec: DecoderSpec, tensors: Tensors) -> Tensors:
    """All experts are in one tensor: [experts, in, out] in full, as codes already rows of `out`."""
    return dict(_gpt_oss_item(*pair) for pair in tensors.items())


def _gpt_oss_item(name: str, tensor: StoredTensor) -> tuple[str, StoredTensor]:
    found = _GPT_OSS.fullmatch(name)
    if found is None:
        return name.replace(".mlp.router.", ".mlp.gate."), tensor
    whole = f"{found[1]}experts.{found[2]}_proj."
    if found[3]:
        flat = tensor.stored.reshape(-1)
        return f"{whole}bias", replace(tensor, stored=flat, shape=flat.shape)
    return f"{whole}weight", transposed(tensor) if len(tensor.shape) == 3 else tensor
