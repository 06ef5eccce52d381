"""Gemma 3's text models: norms around attention and MLP, and five layers with a window to each one without.

The layers with a window have rotary angles of their own. Configurations name them as rope_local_base_freq, or
by kind of layer in rope_parameters. Knows neither file formats nor OpenVINO.
"""

from __future__ import annotations

from export.errors import ExportError
from export.llama_like import spec_of
from export.rope import inverse_frequencies
from export.settings import FULL, SLIDING, Settings
from export.sources.checkpoint import Config
from export.spec import DecoderSpec

GELU = ("gelu_pytorch_tanh",)
DEFAULTS: Config = {
    "rms_norm_eps": 1e-6,
    "max_position_embeddings": 131072,
    "head_dim": 256,
    "num_key_value_heads": 4,
    "sliding_window": 4096,
    "query_pre_attn_scalar": 256,
    "tie_word_embeddings": True,
}


def spec(config: Config) -> DecoderSpec:
    """Of a model of the type gemma3_text. Raises ExportError for what is not modelled."""
    if config.get("use_bidirectional_attention"):
        raise ExportError(
            "The model looks ahead (use_bidirectional_attention), which is not supported; it is no chat model."
        )
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
        norm_offset=float(config.get("norm_offset", 1.0)),  # a GGUF file has it in its weights
        activation="gelu_tanh",
        embedding_scale=settings.size("hidden_size") ** 0.5,
        attention_scale=settings.number("query_pre_attn_scalar") ** -0.5,
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
