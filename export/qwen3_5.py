"""Qwen3.5's text models: three layers with a gated delta net to each one with attention, which has a gate behind it.

All norms but that of the delta net count their weights from one. Knows neither file formats nor OpenVINO.
"""

from __future__ import annotations

import numpy as np

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


def spec(config: Config) -> DecoderSpec:
    """Of a model of the type qwen3_5_text. Raises ExportError for what is not modelled."""
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
    )


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
