"""Attention over all tokens, or over a window, as operations.

The shapes of subgraphs (rotary embedding, key repetition) are those that OpenVINO's transformations match:
change them only with the tests.
"""

from __future__ import annotations

import numpy as np
from openvino import opset13 as ops

from export import nodes
from export.inputs import Inputs
from export.layers import norm
from export.nodes import Node, Weights, axes, linear
from export.rotary import rotated
from export.spec import DecoderSpec


def attention(spec: DecoderSpec, weights: Weights, inputs: Inputs, layer: int, x: Node) -> Node:
    """What a layer's tokens take from those before them, [batch, tokens, hidden]."""
    name = f"model.layers.{layer}.self_attn"
    query, key = (_heads(spec, weights, name, which, x) for which in "qk")
    if inputs.turns is not None and layer not in spec.unrotated:
        turns = (layer in spec.windowed and inputs.local_turns) or inputs.turns
        query, key = rotated(spec, turns, query), rotated(spec, turns, key)
    if spec.late_qk_norm:
        query = norm(spec, weights, f"{name}.q_norm.weight", query, 4)
        key = norm(spec, weights, f"{name}.k_norm.weight", key, 4)
    if inputs.growth is not None:
        query = ops.multiply(query, inputs.growth)
    value = _heads(spec, weights, name, "v", x)
    shape = [-1, spec.kv_heads, -1, spec.head_dim]
    keys = _repeated(spec, inputs, inputs.with_past(f"{layer}.key", shape, key))
    values = _repeated(spec, inputs, inputs.with_past(f"{layer}.value", shape, value))
    scale = _score_scale(spec)
    mask = inputs.window_mask if layer in spec.windowed else inputs.mask
    if spec.sinks:
        sinks = nodes.floats(weights.vector(f"{name}.sinks").reshape(1, -1, 1, 1))
        mixed = nodes.attention_with_sinks(query, keys, values, mask, scale, sinks)
    else:
        mixed = ops.scaled_dot_product_attention(query, keys, values, mask, scale, causal=False)
    mixed = ops.transpose(mixed, axes(0, 2, 1, 3))
    mixed = ops.reshape(mixed, axes(0, 0, spec.heads * spec.head_dim), True)
    if spec.output_gate:
        gate = linear(weights, f"{name}.g_proj", x, bias=spec.qkv_bias)
        mixed = ops.multiply(mixed, ops.sigmoid(gate))
    return linear(weights, f"{name}.o_proj", mixed, bias=spec.o_bias)


def _score_scale(spec: DecoderSpec) -> Node | None:
    """None for the operation's own, which has to be said where sinks follow it."""
    if spec.attention_scale is None and not spec.sinks:
        return None
    return ops.constant(np.float32(spec.attention_scale or spec.head_dim**-0.5))


def _heads(spec: DecoderSpec, weights: Weights, name: str, which: str, x: Node) -> Node:
    """Project and split: [batch, heads, tokens, head_dim]."""
    count = spec.heads if which == "q" else spec.kv_heads
    y = linear(weights, f"{name}.{which}_proj", x, bias=spec.qkv_bias)
    if spec.flat_qk_norm and which != "v":
        y = norm(spec, weights, f"{name}.{which}_norm.weight", y, 3)
    y = ops.reshape(y, axes(0, 0, count, spec.head_dim), True)
    if spec.qk_norm and not spec.late_qk_norm and which != "v":
        y = norm(spec, weights, f"{name}.{which}_norm.weight", y, 4)
    return ops.transpose(y, axes(0, 2, 1, 3))


def _repeated(spec: DecoderSpec, inputs: Inputs, x: Node) -> Node:
    """Keys or values for every query head."""
    if spec.heads == spec.kv_heads:
        return x
    repeats = spec.heads // spec.kv_heads
    shape = ops.concat(
        [inputs.batch, axes(spec.kv_heads), axes(repeats), axes(1), axes(spec.head_dim)], 0
    )
    wide = ops.broadcast(ops.unsqueeze(x, axes(2)), shape, broadcast_spec="BIDIRECTIONAL")
    return ops.reshape(wide, axes(0, spec.heads, -1, spec.head_dim), True)
