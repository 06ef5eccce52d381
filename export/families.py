"""Families: a configuration and a checkpoint's own tensor names -> a canonical decoder.

What is in llama's words has its specs in llama_like.py and its names in layouts.py; chatglm, gemma, lfm2,
granite_hybrid and qwen3_5 have files of their own. A family declares what it models; what a configuration
asks for beyond that is refused by name, and so is every tensor that no rule consumes. Knows neither file formats nor OpenVINO.
"""

from __future__ import annotations

import re

from export import (
    chatglm,
    gemma,
    granite_hybrid,
    layouts,
    lfm2,
    llama_like,
    plain,
    qwen3_5,
    sparse,
)
from export.errors import ExportError
from export.family import Family
from export.layouts import Tensors, same_names
from export.llama_like import QWEN_WINDOWS
from export.sources.checkpoint import Checkpoint, Config
from export.spec import LM_HEAD, Decoder, DecoderSpec

# Derived from the configuration, left by training, or for guessing several tokens at once: read by no graph.
IGNORED = re.compile(r"(.*\.)?rotary_(emb|pos_emb)\.inv_freq|.*\.attn\.(masked_)?bias|mtp\..*")


def read_decoder(checkpoint: Checkpoint) -> Decoder:
    """The checked decoder of a checkpoint; raises ExportError, naming what is not modelled."""
    model_type = checkpoint.config.get("model_type")
    family = FAMILIES.get(str(model_type))
    if family is None:
        raise ExportError(
            f"The model is of type {model_type!r}, which is not supported "
            f"(supported: {', '.join(FAMILIES)})."
        )
    spec = family.spec({**family.defaults, **checkpoint.config})
    tensors = {
        name: tensor for name, tensor in checkpoint.tensors.items() if not IGNORED.fullmatch(name)
    }
    if spec.tied:
        tensors.pop(LM_HEAD, None)
    tensors = family.canonical(spec, tensors)
    return Decoder(spec, _without_empty_biases(spec, tensors))


def _without_empty_biases(spec: DecoderSpec, tensors: Tensors) -> Tensors:
    """AutoGPTQ gives every matrix a bias, of zeros where the model has none."""
    modelled = {name for name, _ in spec.weight_shapes()}
    return {
        name: tensor
        for name, tensor in tensors.items()
        if name in modelled or not _is_empty_bias(name, tensors)
    }


def _is_empty_bias(name: str, tensors: Tensors) -> bool:
    matrix = tensors.get(name.removesuffix("bias") + "weight")
    is_bias = name.endswith(".bias") and matrix is not None and matrix.compound is not None
    return is_bias and not tensors[name].read().any()


_GLM_DEFAULTS: Config = {
    "partial_rotary_factor": 0.5,
    "head_dim": 128,
    "rms_norm_eps": 1.5625e-7,
    "max_position_embeddings": 131072,
    "num_key_value_heads": 2,
}
FAMILIES: dict[str, Family] = {
    "llama": Family(
        llama_like.llama, same_names, {"rms_norm_eps": 1e-6, "max_position_embeddings": 2048}
    ),
    "mistral": Family(
        llama_like.mistral,
        same_names,
        {
            "rms_norm_eps": 1e-6,
            "max_position_embeddings": 131072,
            "num_key_value_heads": 8,
            "sliding_window": 4096,
        },
    ),
    "qwen2": Family(
        llama_like.qwen2,
        same_names,
        {"rms_norm_eps": 1e-6, "max_position_embeddings": 32768, **QWEN_WINDOWS},
    ),
    "qwen3": Family(
        llama_like.qwen3,
        same_names,
        {
            "rms_norm_eps": 1e-6,
            "max_position_embeddings": 32768,
            "head_dim": 128,
            **QWEN_WINDOWS,
        },
    ),
    "glm": Family(llama_like.glm, layouts.glm_names, _GLM_DEFAULTS),
    "glm4": Family(llama_like.glm, layouts.glm_names, _GLM_DEFAULTS),
    "phi3": Family(
        llama_like.phi3, layouts.phi3_names, {"rms_norm_eps": 1e-5, "max_position_embeddings": 4096}
    ),
    "granite": Family(
        llama_like.granite, same_names, {"rms_norm_eps": 1e-6, "max_position_embeddings": 2048}
    ),
    "smollm3": Family(
        llama_like.smollm3,
        same_names,
        {"rms_norm_eps": 1e-6, "max_position_embeddings": 32768, "rope_theta": 2e6},
    ),
    "olmo2": Family(
        llama_like.olmo2,
        layouts.names_of_norms_behind,
        {"rms_norm_eps": 1e-5, "max_position_embeddings": 2048},
    ),
    "gemma": Family(gemma.first, same_names, gemma.DEFAULTS_1),
    "gemma2": Family(gemma.second, layouts.names_of_norms_behind, gemma.DEFAULTS_2),
    "gemma3_text": Family(gemma.spec, layouts.names_of_norms_behind, gemma.DEFAULTS),
    "ernie4_5": Family(
        llama_like.ernie4_5,
        layouts.interleaved_names,
        {
            "rms_norm_eps": 1e-5,
            "max_position_embeddings": 131072,
            "head_dim": 128,
            "num_key_value_heads": 2,
            "rope_theta": 500000.0,
            "tie_word_embeddings": True,
        },
    ),
    "hunyuan_v1_dense": Family(
        llama_like.hunyuan,
        layouts.hunyuan_names,
        {"rms_norm_eps": 1e-5, "max_position_embeddings": 2048},
    ),
    "internlm2": Family(
        llama_like.internlm2,
        layouts.internlm2_names,
        {"rms_norm_eps": 1e-6, "max_position_embeddings": 2048},
    ),
    "minicpm": Family(
        llama_like.minicpm,
        same_names,
        {"rms_norm_eps": 1e-6, "max_position_embeddings": 2048, "tie_word_embeddings": True},
    ),
    "qwen3_5_text": Family(qwen3_5.spec, qwen3_5.canonical, qwen3_5.DEFAULTS),
    "qwen3_next": Family(
        qwen3_5.next_spec,
        qwen3_5.next_canonical,
        {**qwen3_5.DEFAULTS, "num_key_value_heads": 2, "norm_topk_prob": True},
    ),
    "granitemoehybrid": Family(
        granite_hybrid.spec, granite_hybrid.canonical, granite_hybrid.DEFAULTS
    ),
    "lfm2": Family(lfm2.spec, lfm2.canonical, lfm2.DEFAULTS),
    **plain.FAMILIES,
    **sparse.FAMILIES,
    "chatglm": Family(chatglm.spec, chatglm.canonical),
}
