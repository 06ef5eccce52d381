"""Gemma's text models: 1 is llama with other norms; 2 and 3 have norms around attention and MLP, and windows.

Every second layer of Gemma 2 has a window, and five of Gemma 3's to each one without; these have rotary angles of
their own, which configurations name as rope_local_base_freq, or by kind of layer in rope_parameters. Gemma 2 bends
the scores of its attention, too (attn_logit_softcapping, 50): OpenVINO's attention cannot, nor can torch's, which is
why transformers leaves that out unless it is told otherwise, and so does this. Knows neither file formats nor OpenVINO.
"""

from __future__ import annotations

from typing import Any

from export.errors import ExportError
from export.llama_like import spec_of
from export.rope import inverse_frequencies
from export.settings import FULL, SLIDING, Settings
from export.sources.checkpoint import Config
from export.spec import DecoderSpec

GELU = ("gelu_pytorch_tanh",)
DEFAULTS_1: Config = {
    "rms_norm_eps": 1e-6,
    "max_position_embeddings": 8192,
    "head_dim": 256,
    "tie_word_embeddings": True,
}
DEFAULTS_2: Config = {
    **DEFAULTS_1,
    "num_key_value_heads": 4,
    "sliding_window": 4096,
    "query_pre_attn_scalar": 256,
    "final_logit_softcapping": 30.0,
}
DEFAULTS: Config = {
    "rms_norm_eps": 1e-6,
    "vocab_size": 262208,
    "num_attention_heads": 8,
    "max_position_embeddings": 131072,
    "head_dim": 256,
    "num_key_value_heads": 4,
    "sliding_window": 4096,
    "query_pre_attn_scalar": 256,
    "tie_word_embeddings": True,
}


def first(config: Config) -> DecoderSpec:
    """Of the type gemma, whose oldest configurations name another activation than the one it was trained with."""
    activation = config.get("hidden_activation") or GELU[0]
    return spec_of({**config, "hidden_act": activation}, GELU, **_common(config))


def second(config: Config) -> DecoderSpec:
    """Of the type gemma2."""
    _refuse_encoders(config)
    settings, cap = Settings(config), config.get("final_logit_softcapping")
    layers = settings.size("num_hidden_layers")
    kinds = config.get("layer_types") or [(SLIDING, FULL)[i % 2] for i in range(layers)]
    return spec_of(
        {**config, "layer_types": kinds},
        GELU,
        has_windows=True,
        post_norms=True,
        attention_scale=settings.number("query_pre_attn_scalar") ** -0.5,
        logit_cap=float(cap) if cap else None,
        **_common(config),
    )


def spec(config: Config) -> DecoderSpec:
    """Of a model of the type gemma3_text. Raises ExportError for what is not modelled."""
    _refuse_encoders(config)
    settings = Settings(config)
    head_dim = settings.size("head_dim")
    whole, local = _rope(config)
    return spec_of(
        {**config, "rope_parameters": whole, "layer_types": _kinds(settings)},
        GELU,
        has_windows=True,
        local_inv_freq=inverse_frequencies(float(local["rope_theta"]), head_dim, local),
        qk_norm=True,
        post_norms=True,
        attention_scale=settings.number("query_pre_attn_scalar") ** -0.5,
        **_common(config),
    )


def _common(config: Config) -> dict[str, Any]:
    """What all of them have."""
    bias = bool(config.get("attention_bias", False))
    return {
        "qkv_bias": bias,
        "o_bias": bias,
        "norm_offset": float(config.get("norm_offset", 1.0)),  # a GGUF file has it in its weights
        "activation": "gelu_tanh",
        "embedding_scale": Settings(config).size("hidden_size") ** 0.5,
    }


def _refuse_encoders(config: Config) -> None:
    if config.get("use_bidirectional_attention"):
        raise ExportError(
            "The model looks ahead (use_bidirectional_attention), which is not supported; it is no chat model."
        )


def _rope(config: Config) -> tuple[Config, Config]:
    """Rotary settings of layers without a window, and with one."""
    named = config.get("rope_parameters") or {}
    whole = {"rope_theta": config.get("rope_theta") or 1e6, **(config.get("rope_scaling") or {})}
    local = {"rope_theta": config.get("rope_local_base_freq") or 1e4}
    return {**whole, **(named.get(FULL) or {})}, {**local, **(named.get(SLIDING) or {})}


def _kinds(settings: Settings) -> list[str]:
    """The kind of each layer."""
    if kinds := settings.config.get("layer_types"):
        return list(kinds)
    every = settings.size("sliding_window_pattern", 6)
    layers = range(1, settings.size("num_hidden_layers") + 1)
    return [SLIDING if layer % every else FULL for layer in layers]
