"""Specs of the families with experts: those of their dense relatives, and the experts beside.

Knows neither file formats nor tensors.
"""

from __future__ import annotations

from export import llama_like
from export.expert_names import expert_names, gpt_oss_names, granite_names, mixtral_names
from export.experts import local_experts, qwen_experts
from export.family import Family
from export.llama_like import QWEN_WINDOWS, spec_of
from export.settings import FULL, SLIDING, Settings
from export.sources.checkpoint import Config
from export.spec import DecoderSpec


def qwen2_moe(config: Config) -> DecoderSpec:
    """Qwen 2 with experts, and one shared by all tokens."""
    bias = bool(config.get("qkv_bias", True))
    kinds = config.get("layer_types") or _every_second(config)
    return spec_of(
        {**config, "layer_types": kinds},
        has_windows=True,
        qkv_bias=bias,
        experts=qwen_experts(config),
    )


def _every_second(config: Config) -> list[str]:
    """Of its first layers every second one has a window, where the switch says so at all."""
    last = config["max_window_layers"] if config.get("use_sliding_window") else 0
    layers = range(config["num_hidden_layers"])
    return [SLIDING if i < last and i % 2 == 0 else FULL for i in layers]


def qwen3_moe(config: Config) -> DecoderSpec:
    """Qwen 3 with experts."""
    # Its layers have all the same window, whatever max_window_layers says of Qwen 2.
    return llama_like.qwen3({**config, "max_window_layers": 0}, experts=qwen_experts(config))


def mixtral(config: Config) -> DecoderSpec:
    """Mistral with experts."""
    return spec_of(config, has_windows=True, experts=local_experts(config))


def granitemoe(config: Config) -> DecoderSpec:
    """Granite with experts."""
    return llama_like.granite(config, experts=local_experts(config))


def gpt_oss(config: Config) -> DecoderSpec:
    """Biases everywhere, a window in every second layer, and a sink in each head: a score that takes its share."""
    settings, bias = Settings(config), bool(config.get("attention_bias", True))
    layers = settings.size("num_hidden_layers")
    kinds = config.get("layer_types") or [(SLIDING, FULL)[i % 2] for i in range(layers)]
    return spec_of(
        {**config, "layer_types": kinds},
        has_windows=True,
        qkv_bias=bias,
        o_bias=bias,
        sinks=True,
        experts=local_experts(config, settings.number("swiglu_limit", 7.0)),
    )


FAMILIES: dict[str, Family] = {
    "qwen2_moe": Family(
        qwen2_moe,
        expert_names,
        {"rms_norm_eps": 1e-6, "max_position_embeddings": 32768, **QWEN_WINDOWS},
    ),
    "qwen3_moe": Family(
        qwen3_moe,
        expert_names,
        {"rms_norm_eps": 1e-6, "max_position_embeddings": 32768, **QWEN_WINDOWS},
    ),
    "mixtral": Family(
        mixtral,
        mixtral_names,
        {
            "rms_norm_eps": 1e-5,
            "max_position_embeddings": 131072,
            "num_key_value_heads": 8,
            "rope_theta": 1e6,
            "num_local_experts": 8,
            "num_experts_per_tok": 2,
        },
    ),
    "granitemoe": Family(
        granitemoe,
        granite_names,
        {
            "rms_norm_eps": 1e-6,
            "max_position_embeddings": 2048,
            "num_local_experts": 8,
            "num_experts_per_tok": 2,
        },
    ),
    "gpt_oss": Family(
        gpt_oss,
        gpt_oss_names,
        {
            "rms_norm_eps": 1e-5,
            "max_position_embeddings": 131072,
            "head_dim": 64,
            "rope_theta": 150000.0,
            "rope_scaling": {
                "rope_type": "yarn",
                "factor": 32.0,
                "beta_fast": 32.0,
                "beta_slow": 1.0,
                "truncate": False,
                "original_max_position_embeddings": 4096,
            },
            "sliding_window": 128,
        },
    ),
}
