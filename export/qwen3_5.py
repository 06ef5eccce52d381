"""Qwen3.5's text models: three layers with a gated delta net to each one with attention, which has a gate behind it.

Qwen3-Next is the same with experts, and other matrices in its delta nets. All norms but that of the delta net count their weights from one. Knows neither file formats nor OpenVINO.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.expert_names import expert_names
from export.experts import qwen_experts
from export.layouts import Items, Tensors
from export.llama_like import spec_of
from export.recurrent import DeltaNet
from export.settings import Settings
from export.sources.checkpoint import Config
from export.spec import DecoderSpec

DEFAULTS: Config = {
    "rms_norm_eps": 1e-6,
    "max_position_embeddings": 32768,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "partial_rotary_factor": 0.25,
    "linear_conv_kernel_dim": 4,
    "linear_key_head_dim": 128,
    "linear_value_head_dim": 128,
    "linear_num_key_heads": 16,
    "linear_num_value_heads": 32,
}
_LINEAR = "linear_attention"


def spec(config: Config, **switches: Any) -> DecoderSpec:
    """Of a model of the type qwen3_5_text, `switches` for more. Raises ExportError for what is not modelled."""
    settings, bias = Settings(config), bool(config.get("attention_bias", False))
    return spec_of(
        config,
        kinds=(_LINEAR,),
        qkv_bias=bias,
        o_bias=bias,
        qk_norm=True,
        norm_offset=float(config.get("norm_offset", 1.0)),  # a GGUF file has it in its weights
        output_gate=True,
        recurrence=DeltaNet(
            key_heads=settings.size("linear_num_key_heads"),
            value_heads=settings.size("linear_num_value_heads"),
            key_dim=settings.size("linear_key_head_dim"),
            value_dim=settings.size("linear_value_head_dim"),
            kernel=settings.size("linear_conv_kernel_dim"),
            in_turn=bool(config.get("value_heads_in_turn")),  # both of GGUF files
            plain_rates=bool(config.get("has_plain_rates")),
        ),
        recurrent=_linear_layers(settings),
        **switches,
    )


def next_spec(config: Config) -> DecoderSpec:
    """Of a model of the type qwen3_next."""
    return spec(config, experts=qwen_experts(config))


def _linear_layers(settings: Settings) -> frozenset[int]:
    layers = range(settings.size("num_hidden_layers"))
    if kinds := settings.config.get("layer_types"):
        return frozenset(i for i in layers if kinds[i] == _LINEAR)
    every = settings.size("full_attention_interval", 4)
    return frozenset(i for i in layers if (i + 1) % every)


def canonical(spec: DecoderSpec, tensors: Tensors) -> Tensors:
    """q_proj is of each head its query, then its gate."""
    return dict(_items(spec, tensors))


def _items(spec: DecoderSpec, tensors: Tensors) -> Items:
    for name, tensor in tensors.items():
        if ".self_attn.q_proj." in name and tensor.rows == 2 * spec.heads * spec.head_dim:
            rows = np.arange(tensor.rows).reshape(spec.heads, 2, spec.head_dim)
            yield name, tensor.take(rows[:, 0].reshape(-1))
            yield name.replace(".q_proj.", ".g_proj."), tensor.take(rows[:, 1].reshape(-1))
        else:
            yield name, tensor


def next_canonical(spec: DecoderSpec, tensors: Tensors) -> Tensors:
    """Qwen3-Next's in_proj_qkvz and in_proj_ba are of each key head its parts, with those of its value heads."""
    return dict(_next_items(spec, canonical(spec, expert_names(spec, tensors))))


def _next_items(spec: DecoderSpec, tensors: Tensors) -> Items:
    sizes = spec.recurrence
    assert isinstance(sizes, DeltaNet)
    served = sizes.value_heads // sizes.key_heads
    values = served * sizes.value_dim
    for name, tensor in tensors.items():
        if name.endswith(".in_proj_qkvz.weight") and tensor.rows == sizes.channels + sizes.values:
            query, key, value, gate = _parts(sizes, (sizes.key_dim, sizes.key_dim, values, values))
            mixed = np.concatenate([query, key, value])
            yield name.replace("in_proj_qkvz", "in_proj_qkv"), tensor.take(mixed)
            yield name.replace("in_proj_qkvz", "in_proj_z"), tensor.take(gate)
        elif name.endswith(".in_proj_ba.weight") and tensor.rows == 2 * sizes.value_heads:
            beta, step = _parts(sizes, (served, served))
            yield name.replace("in_proj_ba", "in_proj_b"), tensor.take(beta)
            yield name.replace("in_proj_ba", "in_proj_a"), tensor.take(step)
        else:
            yield name, tensor


def _parts(sizes: DeltaNet, widths: tuple[int, ...]) -> list[NDArray[np.intp]]:
    """The rows of each part, of one key head after the other."""
    rows = np.arange(sizes.key_heads * sum(widths)).reshape(sizes.key_heads, -1)
    stops = np.cumsum(widths).tolist()
    return [rows[:, stop - w : stop].reshape(-1) for w, stop in zip(widths, stops, strict=True)]
