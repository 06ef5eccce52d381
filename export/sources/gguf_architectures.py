"""GGUF architectures: what each of them is called in Hugging Face's words, tensors and settings alike.

After llama.cpp's conversion and its models. "llama", "granite" and "smollm3" store the query and key rows with
interleaved rotary pairs; Gemma's and Qwen3.5's norms have the one already in their weights. What those with
recurrent layers have beside stands in gguf_hybrids.py. Reads no file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from export.sources.checkpoint import Config
from export.sources.gguf_experts import NAMES as _EXPERTS

_LAYER = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
_GRANITE = {
    "embedding_scale": "embedding_multiplier",
    "residual_scale": "residual_multiplier",
    "attention.scale": "attention_multiplier",
    "logit_scale": "logits_scaling",
}
_BEHIND = {
    "post_attention_norm": "post_attention_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}


_AROUND = _LAYER | _BEHIND | {"ffn_norm": "pre_feedforward_layernorm"}
_GRANITE = {
    "embedding_scale": "embedding_multiplier",
    "residual_scale": "residual_multiplier",
    "attention.scale": "attention_multiplier",
    "logit_scale": "logits_scaling",
}
_GEMMA: Config = {"hidden_act": "gelu_pytorch_tanh", "norm_offset": 0.0}


@dataclass(frozen=True)
class Architecture:
    """One of them.

    model_type: Hugging Face's. interleaved: rotary pairs of queries and keys. names: of a layer's tensors. keys:
    of numbers in the metadata that its configuration has under other names. settings: what all of its models
    have in common. is_partly_rotated: a head's first dimensions may rotate alone. with_experts: Hugging Face's
    type where the file has experts, None where that is not modelled.
    """

    model_type: str
    interleaved: bool = False
    names: Mapping[str, str] = field(default_factory=lambda: _LAYER)
    keys: Mapping[str, str] = field(default_factory=dict)
    settings: Config = field(default_factory=dict)
    is_partly_rotated: bool = False
    with_experts: str | None = None


ARCHITECTURES = {
    "llama": Architecture(
        "llama", interleaved=True, names=_LAYER | _EXPERTS, with_experts="mixtral"
    ),
    "qwen2": Architecture("qwen2"),
    "qwen3": Architecture("qwen3"),
    "granite": Architecture(
        "granite",
        interleaved=True,
        keys=_GRANITE,
    ),
    "granitemoe": Architecture(
        "granitemoe",
        interleaved=True,
        names=_LAYER | _EXPERTS,
        keys=_GRANITE,
        with_experts="granitemoe",
    ),
    # Whether the weights of chosen experts are normalised, no key says: llama.cpp knows it of each architecture.
    "qwen2moe": Architecture(
        "qwen2_moe",
        names=_LAYER | _EXPERTS,
        settings={"norm_topk_prob": False},
        with_experts="qwen2_moe",
    ),
    "qwen3moe": Architecture(
        "qwen3_moe",
        names=_LAYER | _EXPERTS,
        settings={"norm_topk_prob": True},
        with_experts="qwen3_moe",
    ),
    "gpt-oss": Architecture(
        "gpt_oss",
        names=_LAYER
        | _EXPERTS
        | {"post_attention_norm": "post_attention_layernorm", "attn_sinks": "self_attn.sinks"},
        with_experts="gpt_oss",
    ),
    "smollm3": Architecture("smollm3", interleaved=True, settings={"no_rope_layer_interval": 4}),
    "phi3": Architecture(
        "phi3",
        names=_LAYER | {"attn_qkv": "self_attn.qkv_proj", "ffn_up": "mlp.gate_up_proj"},
        is_partly_rotated=True,
    ),
    "olmo2": Architecture("olmo2", names=_LAYER | _BEHIND),
    "gemma3": Architecture(
        "gemma3_text",
        names=_AROUND,
        keys={"rope.freq_base_swa": "rope_local_base_freq"},
        settings=_GEMMA,
    ),
    "gemma2": Architecture(
        "gemma2",
        names=_AROUND,
        keys={"final_logit_softcapping": "final_logit_softcapping"},
        settings=_GEMMA,
    ),
    "gemma": Architecture("gemma", settings=_GEMMA),
    "seed_oss": Architecture(
        "seed_oss", names=_LAYER | {"post_attention_norm": "post_attention_layernorm"}
    ),
    "exaone4": Architecture("exaone4", names=_LAYER | _BEHIND),
    "arcee": Architecture("arcee", interleaved=True, settings={"hidden_act": "relu2"}),
    "ernie4_5": Architecture("ernie4_5"),
    "lfm2": Architecture("lfm2"),
    "qwen35": Architecture("qwen3_5_text", settings={"norm_offset": 0.0}, is_partly_rotated=True),
    "granitehybrid": Architecture("granitemoehybrid", interleaved=True, keys=_GRANITE),
}
