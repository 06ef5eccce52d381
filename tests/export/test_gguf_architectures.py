"""GGUF files of every architecture that is read, against the reference that reads them as llama.cpp does."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export import export_model
from tests.export.checkpoints import write_gguf
from tests.export.reference import divergence, from_gguf
from tests.export.test_gguf import TEXT, logits_of

NORMS_BEHIND = {"post_attention_norm.weight": (64,), "post_ffw_norm.weight": (64,)}
HEAD_NORMS = {"attn_q_norm.weight": (16,), "attn_k_norm.weight": (16,)}
FUSED = {"attn_qkv.weight": (128, 64), "ffn_up.weight": (192, 64)}
APART = ("attn_q.weight", "attn_k.weight", "attn_v.weight", "ffn_gate.weight")
EXPERTS = {
    "ffn_gate_inp.weight": (4, 64),
    "ffn_gate_exps.weight": (4, 32, 64),
    "ffn_up_exps.weight": (4, 32, 64),
    "ffn_down_exps.weight": (4, 64, 32),
}
SHARED = {
    "ffn_gate_inp_shexp.weight": (64,),
    "ffn_gate_shexp.weight": (48, 64),
    "ffn_up_shexp.weight": (48, 64),
    "ffn_down_shexp.weight": (64, 48),
}
KEY_BIASES = {"attn_q.bias": (64,), "attn_k.bias": (32,), "attn_v.bias": (32,)}
BIASES = KEY_BIASES | {
    "attn_output.bias": (64,),
    "ffn_gate_inp.bias": (4,),
    "ffn_gate_exps.bias": (4, 32),
    "ffn_up_exps.bias": (4, 32),
    "ffn_down_exps.bias": (4, 64),
}
DENSE = ("ffn_gate.weight", "ffn_up.weight", "ffn_down.weight")


def sparse(architecture: str, **more: Any) -> dict[str, Any]:
    numbers = {"expert_count": 4, "expert_used_count": 2, "expert_feed_forward_length": 32}
    return {f"{architecture}.{key}": value for key, value in {**numbers, **more}.items()}


GPT_OSS: dict[str, Any] = {
    "more_shapes": EXPERTS
    | BIASES
    | {"attn_sinks.weight": (4,), "post_attention_norm.weight": (64,)},
    "without": (*DENSE, "ffn_norm.weight"),
    "extra": sparse(
        "gpt-oss",
        **{
            "attention.sliding_window": 24,
            "feed_forward_length": 32,
            "rope.scaling.type": "yarn",
            "rope.scaling.factor": 4.0,
            "rope.scaling.original_context_length": 64,
        },
    ),
}
FILES: dict[str, dict[str, Any]] = {
    "llama": {},
    "llama, whose window is not read": {"extra": {"llama.attention.sliding_window": 24}},
    "qwen2": {
        "more_shapes": {"attn_q.bias": (64,), "attn_k.bias": (32,), "attn_v.bias": (32,)},
        "extra": {
            "qwen2.rope.scaling.type": "yarn",
            "qwen2.rope.scaling.factor": 4.0,
            "qwen2.rope.scaling.original_context_length": 64,
        },
    },
    "qwen3": {"more_shapes": HEAD_NORMS},
    "granite": {
        "extra": {
            "granite.embedding_scale": 12.0,
            "granite.residual_scale": 0.22,
            "granite.attention.scale": 0.08,
            "granite.logit_scale": 8.0,
        }
    },
    "smollm3": {"layers": 5},
    "qwen3moe": {
        "more_shapes": HEAD_NORMS | EXPERTS,
        "without": DENSE,
        "extra": sparse("qwen3moe"),
    },
    "qwen2moe": {
        "more_shapes": EXPERTS | SHARED | KEY_BIASES,
        "without": DENSE,
        "extra": sparse("qwen2moe", expert_shared_feed_forward_length=48),
    },
    "llama with experts": {
        "more_shapes": EXPERTS,
        "without": DENSE,
        "extra": sparse("llama", feed_forward_length=32),
    },
    "granitemoe": {
        "more_shapes": EXPERTS,
        "without": DENSE,
        "extra": sparse("granitemoe", feed_forward_length=32)
        | {"granitemoe.attention.scale": 0.08, "granitemoe.logit_scale": 4.0},
    },
    "gpt-oss": GPT_OSS,
    "gpt-oss in MXFP4": {**GPT_OSS, "encoding": "MXFP4"},
    "qwen3moe in Q8_0": {
        "more_shapes": HEAD_NORMS | EXPERTS,
        "without": DENSE,
        "extra": sparse("qwen3moe"),
        "encoding": "Q8_0",
    },
    "gemma": {},
    "gemma2": {
        "more_shapes": NORMS_BEHIND,
        "extra": {"gemma2.attention.sliding_window": 24, "gemma2.final_logit_softcapping": 3.0},
    },
    "seed_oss": {
        "more_shapes": {"post_attention_norm.weight": (64,)},
        "without": ("ffn_norm.weight",),
    },
    "exaone4": {
        "more_shapes": NORMS_BEHIND | HEAD_NORMS,
        "without": ("attn_norm.weight", "ffn_norm.weight"),
        "extra": {"exaone4.attention.sliding_window": 24},
        "layers": 4,
    },
    "arcee": {"without": ("ffn_gate.weight",)},
    "ernie4_5": {},
    "phi3": {
        "more_shapes": FUSED,
        "without": APART,
        "extra": {"phi3.attention.sliding_window": 24},
    },
    "phi3 with longrope and half of each head": {
        "more_shapes": FUSED,
        "without": APART,
        "extra": {
            "phi3.rope.dimension_count": 8,
            "phi3.rope.scaling.original_context_length": 128,
        },
        "more_tensors": {
            "rope_factors_short.weight": np.array([1, 1.25, 1.5, 2], np.float32),
            "rope_factors_long.weight": np.array([2, 4, 8, 16], np.float32),
        },
    },
    "olmo2": {
        "more_shapes": NORMS_BEHIND | {"attn_q_norm.weight": (64,), "attn_k_norm.weight": (32,)},
        "without": ("attn_norm.weight", "ffn_norm.weight"),
    },
    "gemma3": {
        "more_shapes": NORMS_BEHIND | HEAD_NORMS,
        "layers": 7,
        "extra": {
            "gemma3.attention.sliding_window": 24,
            "gemma3.rope.freq_base": 1e6,
            "gemma3.rope.scaling.type": "linear",
            "gemma3.rope.scaling.factor": 8.0,
        },
    },
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_says_what_llama_cpp_reads_in_it(tmp_path: Path, name: str) -> None:
    architecture = name.replace(",", "").split()[0]
    source = write_gguf(tmp_path / "tiny.gguf", architecture=architecture, **FILES[name])
    weights = "native" if "encoding" in FILES[name] else "fp16"
    directory = export_model(str(source), tmp_path / "out", weights=weights)
    kl, _ = divergence(from_gguf(source).logits(TEXT), logits_of(directory))
    assert kl < 2e-5
