"""The chatglm family: ChatGLM2-6B, ChatGLM3-6B and GLM-4-9B in their own layout.

Fused query_key_value (heads, then key groups, then value groups) and dense_h_to_4h (gate, then
up); half of each head rotates, in interleaved pairs. Long-context ChatGLM2 divides positions by
`rope_ratio`; ChatGLM3 and GLM-4 multiply the base of the angles by it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from export.errors import ExportError
from export.rope import inverse_frequencies
from export.settings import Settings
from export.sources.checkpoint import Config
from export.spec import EMBEDDING, FINAL_NORM, LM_HEAD, DecoderSpec
from export.tensors import StoredTensor, evens_then_odds

GLOBAL_NAMES = {
    "transformer.embedding.word_embeddings.weight": EMBEDDING,
    "transformer.encoder.final_layernorm.weight": FINAL_NORM,
    "transformer.output_layer.weight": LM_HEAD,
}
LAYER_NAMES = {
    "self_attention.dense": "self_attn.o_proj",
    "mlp.dense_4h_to_h": "mlp.down_proj",
    "input_layernorm": "input_layernorm",
    "post_attention_layernorm": "post_attention_layernorm",
}
LAYER = re.compile(r"transformer\.encoder\.layers\.(\d+)\.(.+)\.(weight|bias)")
# What the graph assumes of switches that ChatGLM's code knows.
ASSUMED: dict[str, object] = {
    "rmsnorm": True,
    "post_layer_norm": True,
    "apply_residual_connection_post_layernorm": False,
    "original_rope": True,
}


def spec(config: Config) -> DecoderSpec:
    """The decoder's numbers; raises ExportError for prefix tuning and quantized checkpoints."""
    settings = Settings(config)
    _refuse_unmodelled(config)
    head_dim, heads = settings.size("kv_channels"), settings.size("num_attention_heads")
    grouped = bool(config.get("multi_query_attention", False))
    linear_bias = bool(config.get("add_bias_linear", False))
    return DecoderSpec(
        family="chatglm",
        hidden=settings.size("hidden_size"),
        layers=settings.size("num_layers"),
        heads=heads,
        kv_heads=settings.size("multi_query_group_num") if grouped else heads,
        head_dim=head_dim,
        intermediate=settings.size("ffn_hidden_size"),
        vocab=settings.size("padded_vocab_size"),
        eps=settings.number("layernorm_epsilon"),
        inv_freq=_inv_freq(settings, head_dim // 2),
        max_positions=settings.size("seq_length"),
        tied=bool(config.get("tie_word_embeddings", False)),
        qkv_bias=bool(config.get("add_qkv_bias", False)) or linear_bias,
        o_bias=linear_bias,
        mlp_bias=linear_bias,
    )


def _inv_freq(settings: Settings, rotary_dim: int) -> tuple[float, ...]:
    ratio = settings.number("rope_ratio", 1.0)
    if "chatglm2" in str(settings.config.get("_name_or_path", "")).lower():
        scaling = {"rope_type": "linear", "factor": ratio}
        return inverse_frequencies(10000.0, rotary_dim, scaling)
    return inverse_frequencies(10000.0 * ratio, rotary_dim, None)


def _refuse_unmodelled(config: Config) -> None:
    if config.get("pre_seq_len") is not None:
        raise ExportError(
            "The ChatGLM checkpoint asks for a tuned prefix (pre_seq_len), which is not supported."
        )
    if config.get("quantization_bit"):
        raise ExportError(
            f"The ChatGLM checkpoint is quantized to {config['quantization_bit']} bits beforehand "
            "(quantization_bit), which is not supported; export the full one with --weights int4."
        )
    for key, assumed in ASSUMED.items():
        if config.get(key, assumed) != assumed:
            raise ExportError(
                f"The ChatGLM configuration sets {key} to {config[key]!r}, which is not supported."
            )


def canonical(spec: DecoderSpec, tensors: dict[str, StoredTensor]) -> dict[str, StoredTensor]:
    """The tensors under canonical names; unknown names stay, for the decoder to refuse."""
    return dict(item for pair in tensors.items() for item in _renamed(spec, *pair))


def _renamed(
    spec: DecoderSpec, name: str, tensor: StoredTensor
) -> Iterator[tuple[str, StoredTensor]]:
    match = LAYER.fullmatch(name)
    if match is None:
        yield GLOBAL_NAMES.get(name, name), tensor
        return
    layer, part, kind = match.groups()
    prefix = f"model.layers.{layer}"
    if part == "self_attention.query_key_value":
        yield from _query_key_value(spec, f"{prefix}.self_attn", kind, tensor)
    elif part == "mlp.dense_h_to_4h":
        _expect_rows(tensor, 2 * spec.intermediate)
        gate, up = tensor.split(spec.intermediate, spec.intermediate)
        yield f"{prefix}.mlp.gate_proj.{kind}", gate
        yield f"{prefix}.mlp.up_proj.{kind}", up
    elif part in LAYER_NAMES:
        yield f"{prefix}.{LAYER_NAMES[part]}.{kind}", tensor
    else:
        yield name, tensor


def _query_key_value(
    spec: DecoderSpec, prefix: str, kind: str, tensor: StoredTensor
) -> Iterator[tuple[str, StoredTensor]]:
    queries, keys = spec.heads * spec.head_dim, spec.kv_heads * spec.head_dim
    _expect_rows(tensor, queries + 2 * keys)
    query, key, value = tensor.split(queries, keys, keys)
    yield f"{prefix}.q_proj.{kind}", query.reorder(_order(spec, spec.heads))
    yield f"{prefix}.k_proj.{kind}", key.reorder(_order(spec, spec.kv_heads))
    yield f"{prefix}.v_proj.{kind}", value


def _order(spec: DecoderSpec, heads: int) -> NDArray[np.intp]:
    return evens_then_odds(heads, spec.head_dim, spec.rotary_dim)


def _expect_rows(tensor: StoredTensor, rows: int) -> None:
    if tensor.rows != rows:
        raise ExportError(
            f"{tensor.name} has {tensor.rows} rows, but the configuration asks for {rows}; "
            "the configuration and the weights belong to different models."
        )
