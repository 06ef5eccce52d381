"""A checkpoint's own tensor names and matrices -> canonical ones, for the families in llama's words.

Unknown names stay as they are, for the decoder to refuse. Knows neither file formats nor OpenVINO.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from export.spec import DecoderSpec
from export.tensors import StoredTensor, evens_then_odds

Tensors = dict[str, StoredTensor]
Items = Iterator[tuple[str, StoredTensor]]


def same_names(_spec: DecoderSpec, tensors: Tensors) -> Tensors:
    """They are canonical already."""
    return tensors


def glm_names(spec: DecoderSpec, tensors: Tensors) -> Tensors:
    """One matrix is taken apart, and rotary pairs stand together."""
    return dict(_glm_items(spec, tensors))


def _glm_items(spec: DecoderSpec, tensors: Tensors) -> Items:
    """gate_up_proj is gate, then up; the rotary pairs of queries and keys are interleaved."""
    for name, tensor in tensors.items():
        if ".mlp.gate_up_proj." in name:
            yield from _gate_and_up(spec, name, tensor)
        elif re.search(r"self_attn\.[qk]_proj\.", name) and tensor.rows % spec.head_dim == 0:
            heads = tensor.rows // spec.head_dim
            order = evens_then_odds(heads, spec.head_dim, spec.rotary_dim)
            yield name, tensor.reorder(order)
        else:
            yield name, tensor


def interleaved_names(spec: DecoderSpec, tensors: Tensors) -> Tensors:
    """Rotary pairs of queries and keys stand together."""
    return {
        name: tensor.reorder(
            evens_then_odds(tensor.rows // spec.head_dim, spec.head_dim, spec.rotary_dim)
        )
        if re.search(r"self_attn\.[qk]_proj\.", name) and tensor.rows % spec.head_dim == 0
        else tensor
        for name, tensor in tensors.items()
    }


def hunyuan_names(_spec: DecoderSpec, tensors: Tensors) -> Tensors:
    """Norms of queries and keys have longer names."""
    return {
        re.sub(r"\.(query|key)_layernorm\.", lambda found: f".{found[1][0]}_norm.", name): tensor
        for name, tensor in tensors.items()
    }


_INTERNLM2 = {
    "model.tok_embeddings.": "model.embed_tokens.",
    "output.weight": "lm_head.weight",
    ".attention.wo.": ".self_attn.o_proj.",
    ".attention_norm.": ".input_layernorm.",
    ".ffn_norm.": ".post_attention_layernorm.",
    ".feed_forward.w1.": ".mlp.gate_proj.",
    ".feed_forward.w3.": ".mlp.up_proj.",
    ".feed_forward.w2.": ".mlp.down_proj.",
}


def internlm2_names(spec: DecoderSpec, tensors: Tensors) -> Tensors:
    """Of each key head wqkv holds the rows of its queries, of the key, then of the value."""
    return dict(_internlm2_items(spec, tensors))


def _internlm2_items(spec: DecoderSpec, tensors: Tensors) -> Items:
    for name, tensor in tensors.items():
        if (
            ".attention.wqkv." in name
            and tensor.rows == (spec.heads + 2 * spec.kv_heads) * spec.head_dim
        ):
            for which, part in zip("qkv", _ungrouped(spec, tensor), strict=True):
                yield name.replace(".attention.wqkv.", f".self_attn.{which}_proj."), part
        else:
            for old, new in _INTERNLM2.items():
                name = name.replace(old, new)  # noqa: PLW2901
            yield name, tensor


def _ungrouped(spec: DecoderSpec, tensor: StoredTensor) -> list[StoredTensor]:
    """Queries, keys and values, each of them all heads in a row."""
    heads_a_group = spec.heads // spec.kv_heads
    rows = np.arange(tensor.rows).reshape(spec.kv_heads, heads_a_group + 2, spec.head_dim)
    parts = (rows[:, :heads_a_group], rows[:, heads_a_group], rows[:, heads_a_group + 1])
    return [tensor.take(part.reshape(-1)) for part in parts]


def phi3_names(spec: DecoderSpec, tensors: Tensors) -> Tensors:
    """Two matrices are taken apart."""
    return dict(_phi3_items(spec, tensors))


def _phi3_items(spec: DecoderSpec, tensors: Tensors) -> Items:
    """gate_up_proj is gate, then up; qkv_proj is queries, keys, then values."""
    queries, keys = spec.heads * spec.head_dim, spec.kv_heads * spec.head_dim
    for name, tensor in tensors.items():
        if ".mlp.gate_up_proj." in name:
            yield from _gate_and_up(spec, name, tensor)
        elif ".self_attn.qkv_proj." in name and tensor.rows == queries + 2 * keys:
            parts = tensor.split(queries, keys, keys)
            yield from (
                (name.replace("qkv", which), part) for which, part in zip("qkv", parts, strict=True)
            )
        else:
            yield name, tensor


def _gate_and_up(spec: DecoderSpec, name: str, tensor: StoredTensor) -> Items:
    if tensor.rows != 2 * spec.intermediate:
        yield name, tensor
        return
    gate, up = tensor.split(spec.intermediate, spec.intermediate)
    yield name.replace("gate_up_proj", "gate_proj"), gate
    yield name.replace("gate_up_proj", "up_proj"), up


# Where norms stand behind attention and MLP, llama's name for the one before the MLP is that of the one before it.
_NORMS_BEHIND = {
    "post_attention_layernorm": "post_self_attn_layernorm",
    "pre_feedforward_layernorm": "post_attention_layernorm",
    "post_feedforward_layernorm": "post_mlp_layernorm",
}


def names_of_norms_behind(_spec: DecoderSpec, tensors: Tensors) -> Tensors:
    """OLMo 2's and Gemma 3's, whose norms are named for where they stand."""
    return {_renamed(name): tensor for name, tensor in tensors.items()}


def _renamed(name: str) -> str:
    *front, norm, kind = ["", *name.split(".")]
    return ".".join([*front, _NORMS_BEHIND.get(norm, norm), kind])[1:]
