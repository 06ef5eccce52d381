"""Tiny configurations of the families with experts, and what a layer of theirs holds."""

from __future__ import annotations

from typing import Any

from tests.export.folders import LLAMA

Config = dict[str, Any]
Shapes = dict[str, tuple[int, ...]]

_QWEN: Config = {**LLAMA, "num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
SPARSE: dict[str, Config] = {
    "qwen3_moe": {**_QWEN, "model_type": "qwen3_moe", "head_dim": 32, "norm_topk_prob": True},
    "qwen3_moe (not normalised, one layer dense)": {
        **_QWEN,
        "model_type": "qwen3_moe",
        "head_dim": 32,
        "norm_topk_prob": False,
        "mlp_only_layers": [0],
    },
    "qwen2_moe": {
        **_QWEN,
        "model_type": "qwen2_moe",
        "norm_topk_prob": False,
        "shared_expert_intermediate_size": 48,
        "decoder_sparse_step": 2,
    },
    "mixtral": {
        **LLAMA,
        "model_type": "mixtral",
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "sliding_window": None,
    },
    "granitemoe": {
        **LLAMA,
        "model_type": "granitemoe",
        "num_local_experts": 5,
        "num_experts_per_tok": 3,
        "embedding_multiplier": 12.0,
        "residual_multiplier": 0.22,
        "attention_multiplier": 0.08,
        "logits_scaling": 8.0,
        "tie_word_embeddings": True,
    },
    "gpt_oss": {
        **LLAMA,
        "model_type": "gpt_oss",
        "head_dim": 32,
        "attention_bias": True,
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "swiglu_limit": 0.8,
        "sliding_window": 24,
        "layer_types": ["sliding_attention", "full_attention"],
        "rope_scaling": {
            "rope_type": "yarn",
            "factor": 4.0,
            "beta_fast": 32.0,
            "beta_slow": 1.0,
            "truncate": False,
            "original_max_position_embeddings": 64,
        },
    },
}
