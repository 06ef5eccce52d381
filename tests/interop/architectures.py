"""Tiny configurations of the architectures that people run: four heads of 16, three layers, lively weights.

Knows no library: the names are those of transformers' `AutoConfig.for_model`. Windows and original contexts
are short, so that texts of a few hundred tokens reach beyond them.
"""

from typing import Any

COMMON: dict[str, Any] = {
    "vocab_size": 49152,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 1024,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 2,
    "tie_word_embeddings": False,
}
_OLD = {"n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": 1024}
_EXPERTS = {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 64}
_WINDOW = {"sliding_window": 48}


def _scaled(kind: str, **more: Any) -> dict[str, Any]:
    return {"rope_scaling": {"rope_type": kind, "rope_theta": 10000.0, **more}}


def _longrope(original: int) -> dict[str, Any]:
    factors = {"short_factor": [1.0] * 8, "long_factor": [1.5 + i / 4 for i in range(8)]}
    return {
        **_scaled("longrope", original_max_position_embeddings=original, **factors),
        "original_max_position_embeddings": original,
    }


# name: (model_type, what differs from the common configuration)
ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),
    "llama_linear": ("llama", _scaled("linear", factor=2.0)),
    "llama_dynamic": ("llama", _scaled("dynamic", factor=2.0)),
    "llama_yarn": ("llama", _scaled("yarn", factor=4.0, original_max_position_embeddings=256)),
    "llama_llama3": (
        "llama",
        _scaled(
            "llama3",
            factor=8.0,
            low_freq_factor=1.0,
            high_freq_factor=4.0,
            original_max_position_embeddings=256,
        ),
    ),
    "llama_longrope": ("llama", _longrope(128)),
    "mistral": ("mistral", {"sliding_window": None}),
    "mistral_window": ("mistral", _WINDOW),
    "mixtral": ("mixtral", {"num_local_experts": 4, "sliding_window": None}),
    "qwen2": ("qwen2", {}),
    "qwen2_window": ("qwen2", {**_WINDOW, "use_sliding_window": True, "max_window_layers": 1}),
    "qwen2_moe": ("qwen2_moe", {**_EXPERTS, "shared_expert_intermediate_size": 64}),
    "qwen3": ("qwen3", {"head_dim": 16}),
    "qwen3_moe": ("qwen3_moe", {**_EXPERTS, "head_dim": 16}),
    "gemma": ("gemma", {"head_dim": 16}),
    "gemma2": ("gemma2", {**_WINDOW, "head_dim": 16, "query_pre_attn_scalar": 16}),
    "gemma3_text": ("gemma3_text", {**_WINDOW, "head_dim": 16, "query_pre_attn_scalar": 16}),
    "phi": ("phi", {"num_key_value_heads": 4}),
    "phi3": ("phi3", {"pad_token_id": 2}),
    "phi3_longrope": ("phi3", _longrope(128)),
    "gpt2": ("gpt2", _OLD),
    "gpt_bigcode": ("gpt_bigcode", _OLD),
    "gpt_neo": (
        "gpt_neo",
        {
            "num_hidden_layers": 2,
            "attention_types": [[["global", "local"], 1]],
            "window_size": 48,
        },
    ),
    "gpt_neox": ("gpt_neox", {}),
    "gptj": ("gptj", {**_OLD, "rotary_dim": 16}),
    "opt": ("opt", {"ffn_dim": 128, "word_embed_proj_dim": 64}),
    "bloom": ("bloom", {"n_layer": 3, "n_head": 4}),
    "mpt": ("mpt", {"d_model": 64, "n_heads": 4, "n_layers": 3, "max_seq_len": 1024}),
    "falcon": ("falcon", {"new_decoder_architecture": True, "num_kv_heads": 2}),
    "falcon_alibi": ("falcon", {"alibi": True, "multi_query": False}),
    "starcoder2": ("starcoder2", {"sliding_window": None}),
    "stablelm": ("stablelm", {}),
    "olmo": ("olmo", {}),
    "olmo2": ("olmo2", {}),
    "cohere": ("cohere", {}),
    "cohere2": ("cohere2", _WINDOW),
    "granite": ("granite", {}),
    "granitemoe": ("granitemoe", {"num_local_experts": 4, "num_experts_per_tok": 2}),
    "granitemoehybrid": (
        "granitemoehybrid",
        {
            "layer_types": ["mamba", "mamba", "attention"],
            "num_local_experts": 0,
            "mamba_n_heads": 8,
            "mamba_d_head": 16,
            "mamba_d_state": 16,
            "mamba_n_groups": 1,
            "position_embedding_type": None,
        },
    ),
    "smollm3": ("smollm3", {}),
    "ernie4_5": ("ernie4_5", {"head_dim": 16, "use_bias": True}),
    "hunyuan": (
        "hunyuan_v1_dense",
        {"head_dim": 16, **_scaled("dynamic", alpha=1000.0, factor=1.0)},
    ),
    "exaone4": ("exaone4", _WINDOW),
    "glm": ("glm", {"head_dim": 16}),
    "glm4": ("glm4", {"head_dim": 16}),
    "gpt_oss": (
        "gpt_oss",
        {**_WINDOW, "head_dim": 16, "num_local_experts": 4, "num_experts_per_tok": 2},
    ),
    "arcee": ("arcee", {}),
    "seed_oss": ("seed_oss", {"head_dim": 16}),
    "olmo3": ("olmo3", _WINDOW),
    "ministral3": (
        "ministral3",
        {
            "head_dim": 16,
            "rope_parameters": {
                "rope_type": "yarn",
                "rope_theta": 10000.0,
                "factor": 16.0,
                "original_max_position_embeddings": 64,
                "mscale": 1.0,
                "mscale_all_dim": 1.0,
                "llama_4_scaling_beta": 0.1,
            },
        },
    ),
    "lfm2": ("lfm2", {"layer_types": ["conv", "conv", "full_attention"], "block_ff_dim": 128}),
    "mamba": ("mamba", {"state_size": 16, "expand": 2, "conv_kernel": 4}),
}
