"""GGUF files of models with recurrent layers: their settings and tensors in Hugging Face's words.

After llama.cpp's conversion. It keeps A = -exp(A_log), flattens convolutions, and gives layers without
attention no key heads. Where a key head serves several value heads, the value heads stand in another order (the first of
each key head, then the second of each ...): `value_heads_in_turn`. Reads no file.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from export.sources.checkpoint import Config
from export.tensors import ELEMENT_DTYPES, StoredTensor

Number = Callable[[str], int]  # a positive whole number of the architecture's metadata

_RECURRENT = {"lfm2": "conv", "qwen35": "linear_attention", "granitehybrid": "mamba"}
# Of a layer's tensors, behind `blk.N.`.
_NAMES = {
    "qwen35": {
        "ssm_a": "linear_attn.A_log",
        "ssm_dt.bias": "linear_attn.dt_bias",
        "ssm_conv1d.weight": "linear_attn.conv1d.weight",
        "ssm_norm.weight": "linear_attn.norm.weight",
        "ssm_alpha.weight": "linear_attn.in_proj_a.weight",
        "ssm_beta.weight": "linear_attn.in_proj_b.weight",
        "ssm_out.weight": "linear_attn.out_proj.weight",
        "attn_qkv.weight": "linear_attn.in_proj_qkv.weight",
        "attn_gate.weight": "linear_attn.in_proj_z.weight",
        "post_attention_norm.weight": "post_attention_layernorm.weight",
    },
    "granitehybrid": {
        "ssm_a": "mamba.A_log",
        "ssm_d": "mamba.D",
        "ssm_dt.bias": "mamba.dt_bias",
        "ssm_conv1d.weight": "mamba.conv1d.weight",
        "ssm_conv1d.bias": "mamba.conv1d.bias",
        "ssm_norm.weight": "mamba.norm.weight",
        "ssm_in.weight": "mamba.in_proj.weight",
        "ssm_out.weight": "mamba.out_proj.weight",
    },
    "lfm2": {
        f"shortconv.{name}.{kind}": f"conv.{name}.{kind}"
        for name in ("conv", "in_proj", "out_proj")
        for kind in ("weight", "bias")
    },
}


def is_hybrid(architecture: str) -> bool:
    """Whether some of its layers may have no attention."""
    return architecture in _RECURRENT


def settings(architecture: str, number: Number, kv_heads: list[int] | None, layers: int) -> Config:
    """Of such an architecture. kv_heads: of each layer, 0 for those without attention; None: one number for all."""
    found: Config = {}
    if kv_heads is not None:
        kinds = (_RECURRENT[architecture], "full_attention")
        found["layer_types"] = [kinds[bool(count)] for count in kv_heads[:layers]]
    if architecture == "lfm2":
        eps = {"block_auto_adjust_ff_dim": False, "conv_L_cache": number("shortconv.l_cache")}
        return found | eps
    inner, heads = number("ssm.inner_size"), number("ssm.time_step_rank")
    if architecture == "granitehybrid":
        return found | {
            "num_local_experts": 0,
            "mamba_n_heads": heads,
            "mamba_d_head": inner // heads,
            "mamba_n_groups": number("ssm.group_count"),
            "mamba_d_state": number("ssm.state_size"),
            "mamba_d_conv": number("ssm.conv_kernel"),
            "has_plain_rates": True,
        }
    if kv_heads is None:
        found["full_attention_interval"] = number("full_attention_interval")
    return found | {
        "linear_num_key_heads": number("ssm.group_count"),
        "linear_num_value_heads": heads,
        "linear_key_head_dim": number("ssm.state_size"),
        "linear_value_head_dim": inner // heads,
        "linear_conv_kernel_dim": number("ssm.conv_kernel"),
        "has_plain_rates": True,
        "value_heads_in_turn": True,
    }


def completed(
    architecture: str, config: Config, tensors: dict[str, StoredTensor]
) -> tuple[Config, dict[str, StoredTensor]]:
    """Both with what the other says: MTP's layers are left out, and the tensors have the shapes of Hugging Face."""
    config, layers = dict(config), config["num_hidden_layers"]
    kept = {
        name: _shaped(name, tensor) for name, tensor in tensors.items() if _layer(name) < layers
    }
    if architecture == "lfm2":
        config["norm_eps"] = config["rms_norm_eps"]
        config["conv_bias"] = any(name.endswith("shortconv.conv.bias") for name in kept)
    if architecture == "granitehybrid":
        config["mamba_conv_bias"] = any(name.endswith("ssm_conv1d.bias") for name in kept)
        gate = kept.get("blk.0.ffn_gate.weight")
        config["shared_intermediate_size"] = gate.rows if gate else config["intermediate_size"]
    return config, kept


def layer_name(architecture: str, part: str) -> str | None:
    """Of a tensor called `part` behind `blk.N.`; None where it is called as in other architectures."""
    return _NAMES.get(architecture, {}).get(part)


def _layer(name: str) -> int:
    found = re.match(r"blk\.(\d+)\.", name)
    return int(found[1]) if found else -1


def _shaped(name: str, tensor: StoredTensor) -> StoredTensor:
    if tensor.encoding not in ELEMENT_DTYPES:
        return tensor
    if re.search(r"\.(ssm_conv1d|shortconv\.conv)\.weight$", name) and len(tensor.shape) == 2:
        return replace(tensor, shape=(tensor.shape[0], 1, tensor.shape[1]))
    if re.search(r"\.(ssm_a|ssm_d|ssm_norm\.weight)$", name):
        flat: Any = np.reshape(tensor.stored, -1)
        return replace(tensor, stored=flat, shape=flat.shape)
    return tensor
