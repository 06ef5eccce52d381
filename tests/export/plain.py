"""Tiny configurations of further plain decoders."""

from __future__ import annotations

from typing import Any

from tests.export.folders import LLAMA

Config = dict[str, Any]
_YARN: Config = {
    "rope_type": "yarn",
    "factor": 4.0,
    "original_max_position_embeddings": 32,
    "mscale": 1.0,
    "mscale_all_dim": 1.0,
}
PLAIN: dict[str, Config] = {
    "seed_oss": {**LLAMA, "model_type": "seed_oss", "head_dim": 32, "attention_bias": True},
    "internlm3": {
        **LLAMA,
        "model_type": "internlm3",
        "head_dim": 32,
        "qkv_bias": False,
        "rope_scaling": {"rope_type": "dynamic", "factor": 6.0},
    },
    "arcee": {**LLAMA, "model_type": "arcee", "hidden_act": "relu2"},
    "ministral3": {
        **LLAMA,
        "model_type": "ministral3",
        "head_dim": 32,
        "rope_parameters": {"rope_theta": 10000.0, **_YARN, "llama_4_scaling_beta": 0.3},
    },
    "olmo3": {
        **LLAMA,
        "model_type": "olmo3",
        "sliding_window": 24,
        "layer_types": ["sliding_attention", "full_attention"],
        "rope_scaling": {**_YARN, "attention_factor": 1.2},
    },
    "exaone4": {
        **LLAMA,
        "model_type": "exaone4",
        "sliding_window": 24,
        "sliding_window_pattern": "LG",
    },
    "exaone4 (without windows)": {**LLAMA, "model_type": "exaone4", "sliding_window": None},
    "baichuan": {**LLAMA, "model_type": "baichuan", "num_key_value_heads": 4},
}
