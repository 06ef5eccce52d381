"""Families: a configuration and a checkpoint's own tensor names -> a canonical decoder.

llama (with mistral), qwen2, qwen3, glm, glm4; chatglm has a file of its own. A family declares
what it models; what a configuration asks for beyond that is refused by name, and so is every
tensor that no rule consumes. Knows neither file formats nor OpenVINO.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from export import chatglm
from export.errors import ExportError
from export.rope import inverse_frequencies
from export.settings import Settings
from export.sources.checkpoint import Checkpoint, Config
from export.spec import LM_HEAD, Decoder, DecoderSpec
from export.tensors import StoredTensor, evens_then_odds

Tensors = dict[str, StoredTensor]
# Derived from the configuration, or left by training: read by no graph.
IGNORED = re.compile(r"(.*\.)?rotary_(emb|pos_emb)\.inv_freq|.*\.attn\.(masked_)?bias")


@dataclass(frozen=True)
class Family:
    """How a family's configuration is read and its tensors renamed."""

    spec: Callable[[Config], DecoderSpec]
    canonical: Callable[[DecoderSpec, Tensors], Tensors]
    # What Hugging Face's configuration class assumes where config.json is silent.
    defaults: Config = field(default_factory=dict)


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
    if not checkpoint.is_gguf:
        tensors = family.canonical(spec, tensors)
    return Decoder(spec, tensors)


def _plain_spec(config: Config, **switches: Any) -> DecoderSpec:
    settings = Settings(config)
    settings.refuse_unmodelled()
    hidden, heads = settings.size("hidden_size"), settings.size("num_attention_heads")
    head_dim = settings.size("head_dim", hidden // heads)
    partial = settings.rope("partial_rotary_factor", 1.0)
    return DecoderSpec(
        family=str(config["model_type"]),
        hidden=hidden,
        layers=settings.size("num_hidden_layers"),
        heads=heads,
        kv_heads=settings.size("num_key_value_heads", heads),
        head_dim=head_dim,
        intermediate=settings.size("intermediate_size"),
        vocab=settings.size("vocab_size"),
        eps=settings.number("rms_norm_eps"),
        inv_freq=_angles(settings, int(head_dim * partial)),
        max_positions=settings.size("max_position_embeddings"),
        tied=bool(config.get("tie_word_embeddings", False)),
        **switches,
    )


def _angles(settings: Settings, rotary_dim: int) -> tuple[float, ...]:
    plain = inverse_frequencies(
        settings.rope("rope_theta", 10000.0), rotary_dim, settings.rope_scaling
    )
    factors = settings.config.get("rope_frequency_factors")
    if factors is None:
        return plain
    return tuple(angle / factor for angle, factor in zip(plain, factors, strict=True))


def _llama(config: Config) -> DecoderSpec:
    bias = bool(config.get("attention_bias", False))
    mlp_bias = bool(config.get("mlp_bias", False))
    return _plain_spec(
        config,
        qkv_bias=bias,
        o_bias=bool(config.get("attention_output_bias", bias)),
        mlp_bias=mlp_bias,
    )


def _mistral(config: Config) -> DecoderSpec:
    return _plain_spec(config)


def _qwen2(config: Config) -> DecoderSpec:
    return _plain_spec(config, qkv_bias=True)


def _qwen3(config: Config) -> DecoderSpec:
    bias = bool(config.get("attention_bias", False))
    o_bias = bool(config.get("attention_output_bias", bias))
    return _plain_spec(config, qkv_bias=bias, o_bias=o_bias, qk_norm=True)


def _glm(config: Config) -> DecoderSpec:
    return _plain_spec(
        config,
        qkv_bias=bool(config.get("attention_bias", False)),
        post_norms=config["model_type"] == "glm4",
    )


def _same_names(_spec: DecoderSpec, tensors: Tensors) -> Tensors:
    return tensors


def _glm_names(spec: DecoderSpec, tensors: Tensors) -> Tensors:
    return dict(_glm_items(spec, tensors))


def _glm_items(spec: DecoderSpec, tensors: Tensors) -> Iterator[tuple[str, StoredTensor]]:
    """gate_up_proj is gate, then up; the rotary pairs of queries and keys are interleaved."""
    for name, tensor in tensors.items():
        if ".mlp.gate_up_proj." in name and tensor.rows == 2 * spec.intermediate:
            gate, up = tensor.split(spec.intermediate, spec.intermediate)
            yield name.replace("gate_up_proj", "gate_proj"), gate
            yield name.replace("gate_up_proj", "up_proj"), up
        elif re.search(r"self_attn\.[qk]_proj\.", name) and tensor.rows % spec.head_dim == 0:
            heads = tensor.rows // spec.head_dim
            order = evens_then_odds(heads, spec.head_dim, spec.rotary_dim)
            yield name, tensor.reorder(order)
        else:
            yield name, tensor


_GLM_DEFAULTS: Config = {
    "partial_rotary_factor": 0.5,
    "head_dim": 128,
    "rms_norm_eps": 1.5625e-7,
    "max_position_embeddings": 131072,
    "num_key_value_heads": 2,
}
FAMILIES: dict[str, Family] = {
    "llama": Family(_llama, _same_names, {"rms_norm_eps": 1e-6, "max_position_embeddings": 2048}),
    "mistral": Family(
        _mistral,
        _same_names,
        {"rms_norm_eps": 1e-6, "max_position_embeddings": 131072, "num_key_value_heads": 8},
    ),
    "qwen2": Family(_qwen2, _same_names, {"rms_norm_eps": 1e-6, "max_position_embeddings": 32768}),
    "qwen3": Family(
        _qwen3,
        _same_names,
        {"rms_norm_eps": 1e-6, "max_position_embeddings": 32768, "head_dim": 128},
    ),
    "glm": Family(_glm, _glm_names, _GLM_DEFAULTS),
    "glm4": Family(_glm, _glm_names, _GLM_DEFAULTS),
    "chatglm": Family(chatglm.spec, chatglm.canonical),
}
