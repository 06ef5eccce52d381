"""Configurations of tiny models with recurrent layers, and the tensors of their checkpoints in the families' own names."""

from __future__ import annotations

import json
from pathlib import Path

from tests.export.checkpoints import VOCAB, F, as_bfloat16, random_tensors
from tests.export.folders import LLAMA, Config, Shapes, write_safetensors

QWEN3_5_TEXT: Config = {
    **{key: value for key, value in LLAMA.items() if key != "rope_theta"},
    "model_type": "qwen3_5_text",
    "num_hidden_layers": 4,
    "head_dim": 32,
    "layer_types": ["linear_attention", "full_attention", "linear_attention", "full_attention"],
    "rope_parameters": {
        "rope_type": "default",
        "rope_theta": 1000.0,
        "partial_rotary_factor": 0.25,
        "mrope_interleaved": True,
        "mrope_section": [2, 1, 1],
    },
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 32,
    "linear_conv_kernel_dim": 4,
}
QWEN3_5: Config = {
    "model_type": "qwen3_5",
    "tie_word_embeddings": True,
    "text_config": {
        **{key: value for key, value in QWEN3_5_TEXT.items() if key != "layer_types"},
        "linear_num_value_heads": 2,
        "linear_value_head_dim": 16,
        "tie_word_embeddings": True,
    },
    "vision_config": {"model_type": "qwen3_5", "depth": 1},
    "eos_token_id": 258,
}
GRANITE: Config = {
    **LLAMA,
    "model_type": "granitemoehybrid",
    "num_hidden_layers": 3,
    "layer_types": ["mamba", "attention", "mamba"],
    "position_embedding_type": "nope",
    "intermediate_size": 40,
    "shared_intermediate_size": 96,
    "num_local_experts": 0,
    "num_experts_per_tok": 0,
    "embedding_multiplier": 12.0,
    "residual_multiplier": 0.22,
    "attention_multiplier": 0.08,
    "logits_scaling": 8.0,
    "mamba_n_heads": 8,
    "mamba_n_groups": 1,
    "mamba_d_state": 16,
    "mamba_d_head": 16,
    "mamba_d_conv": 4,
    "mamba_expand": 2,
    "tie_word_embeddings": True,
}
GRANITE_ROTATED: Config = {
    **GRANITE,
    "layer_types": ["linear_attention", "linear_attention", "full_attention"],
    "position_embedding_type": "rope",
    "mamba_n_groups": 2,
    "mamba_d_head": "auto",
    "mamba_conv_bias": False,
    "mamba_proj_bias": True,
    "time_step_limit": [0.5, {"__float__": "Infinity"}],
    "tie_word_embeddings": False,
}
QWEN3_NEXT: Config = {
    **QWEN3_5_TEXT,
    "model_type": "qwen3_next",
    "num_experts": 6,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "shared_expert_intermediate_size": 48,
    "norm_topk_prob": True,
    "mlp_only_layers": [2],
}
HYBRIDS: dict[str, Config] = {
    "qwen3.5 (text)": QWEN3_5_TEXT,
    "qwen3.5 (images and text)": QWEN3_5,
    "qwen3-next": QWEN3_NEXT,
    "granite 4": GRANITE,
    "granite 4 (rotated, two groups, other biases)": GRANITE_ROTATED,
}


def text_config(config: Config) -> Config:
    """What is said of the language model."""
    inner: Config = config.get("text_config", config)
    return inner


def shapes(config: Config) -> Shapes:
    """Every tensor of a checkpoint."""
    c = text_config(config)
    inner = "model.language_model." if "text_config" in config else "model."
    hidden = c["hidden_size"]
    found: Shapes = {
        f"{inner}embed_tokens.weight": (VOCAB, hidden),
        f"{inner}norm.weight": (hidden,),
    }
    if not c["tie_word_embeddings"]:
        found["lm_head.weight"] = (VOCAB, hidden)
    if "text_config" in config:
        found |= {
            "model.visual.patch_embed.proj.weight": (8, 3),
            "mtp.fc.weight": (hidden, 2 * hidden),
        }
    layer_shapes = _granite_layer if c["model_type"] == "granitemoehybrid" else _qwen3_5_layer
    for layer in range(c["num_hidden_layers"]):
        for name, shape in layer_shapes(c, layer).items():
            found[f"{inner}layers.{layer}.{name}"] = shape
    return found


def is_linear(c: Config, layer: int) -> bool:
    """Whether the layer has no attention."""
    if "layer_types" in c:
        return c["layer_types"][layer] in ("linear_attention", "mamba")
    return bool((layer + 1) % 4)


def _qwen3_5_layer(c: Config, layer: int) -> Shapes:
    hidden, wide, width = c["hidden_size"], c["intermediate_size"], c["head_dim"]
    found: Shapes = {
        "mlp.gate_proj.weight": (wide, hidden),
        "mlp.up_proj.weight": (wide, hidden),
        "mlp.down_proj.weight": (hidden, wide),
        "input_layernorm.weight": (hidden,),
        "post_attention_layernorm.weight": (hidden,),
    }
    if c["model_type"] == "qwen3_next" and layer not in c["mlp_only_layers"]:
        found = {name: shape for name, shape in found.items() if "mlp" not in name} | _experts(c)
    if is_linear(c, layer):
        heads = c["linear_num_value_heads"]
        keys = c["linear_num_key_heads"] * c["linear_key_head_dim"]
        values = heads * c["linear_value_head_dim"]
        mixed = {
            "in_proj_qkv.weight": (2 * keys + values, hidden),
            "in_proj_z.weight": (values, hidden),
            "in_proj_b.weight": (heads, hidden),
            "in_proj_a.weight": (heads, hidden),
            "conv1d.weight": (2 * keys + values, 1, c["linear_conv_kernel_dim"]),
            "A_log": (heads,),
            "dt_bias": (heads,),
            "norm.weight": (c["linear_value_head_dim"],),
            "out_proj.weight": (hidden, values),
        }
        if c["model_type"] == "qwen3_next":
            apart = (
                "in_proj_qkv.weight",
                "in_proj_z.weight",
                "in_proj_b.weight",
                "in_proj_a.weight",
            )
            mixed = {name: shape for name, shape in mixed.items() if name not in apart}
            mixed["in_proj_qkvz.weight"] = (2 * keys + 2 * values, hidden)
            mixed["in_proj_ba.weight"] = (2 * heads, hidden)
        return found | {f"linear_attn.{name}": shape for name, shape in mixed.items()}
    q, kv = c["num_attention_heads"] * width, c["num_key_value_heads"] * width
    attention = {
        "q_proj.weight": (2 * q, hidden),
        "k_proj.weight": (kv, hidden),
        "v_proj.weight": (kv, hidden),
        "o_proj.weight": (hidden, q),
        "q_norm.weight": (width,),
        "k_norm.weight": (width,),
    }
    return found | {f"self_attn.{name}": shape for name, shape in attention.items()}


def _experts(c: Config) -> Shapes:
    hidden, own = c["hidden_size"], c["moe_intermediate_size"]
    shared = c["shared_expert_intermediate_size"]
    found: Shapes = {
        "mlp.gate.weight": (c["num_experts"], hidden),
        "mlp.shared_expert_gate.weight": (1, hidden),
    }
    widths = {f"experts.{i}": own for i in range(c["num_experts"])} | {"shared_expert": shared}
    for name, wide in widths.items():
        found |= {
            f"mlp.{name}.gate_proj.weight": (wide, hidden),
            f"mlp.{name}.up_proj.weight": (wide, hidden),
            f"mlp.{name}.down_proj.weight": (hidden, wide),
        }
    return found


def _granite_layer(c: Config, layer: int) -> Shapes:
    hidden, wide = c["hidden_size"], c["shared_intermediate_size"]
    found: Shapes = {
        "shared_mlp.input_linear.weight": (2 * wide, hidden),
        "shared_mlp.output_linear.weight": (hidden, wide),
        "input_layernorm.weight": (hidden,),
        "post_attention_layernorm.weight": (hidden,),
    }
    if not is_linear(c, layer):
        kv = hidden // c["num_attention_heads"] * c["num_key_value_heads"]
        sizes = {"q": (hidden, hidden), "k": (kv, hidden), "v": (kv, hidden), "o": (hidden, hidden)}
        return found | {f"self_attn.{which}_proj.weight": size for which, size in sizes.items()}
    heads, inner = c["mamba_n_heads"], c["mamba_expand"] * hidden
    channels = inner + 2 * c["mamba_n_groups"] * c["mamba_d_state"]
    mixed: Shapes = {
        "in_proj.weight": (inner + channels + heads, hidden),
        "conv1d.weight": (channels, 1, c["mamba_d_conv"]),
        "dt_bias": (heads,),
        "A_log": (heads,),
        "D": (heads,),
        "norm.weight": (inner,),
        "out_proj.weight": (hidden, inner),
    }
    if c.get("mamba_conv_bias", True):
        mixed["conv1d.bias"] = (channels,)
    if c.get("mamba_proj_bias"):
        mixed |= {"in_proj.bias": (inner + channels + heads,), "out_proj.bias": (hidden,)}
    return found | {f"mamba.{name}": shape for name, shape in mixed.items()}


def write_hybrid(folder: Path, config: Config, *, dtype: str = "BF16") -> dict[str, F]:
    """A model folder with random weights, which are returned."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = random_tensors(shapes(config))
    for name in tensors:
        if "norm" in name and "linear_attn" not in name and "qwen3" in config["model_type"]:
            tensors[name] = as_bfloat16(tensors[name] - 1)  # they count from one
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    write_safetensors(folder / "model.safetensors", tensors, dtype)
    return tensors
