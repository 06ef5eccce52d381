"""A decoder as an OpenVINO model, from its spec and weights, operation by operation.

Inputs and outputs are those of Optimum-Intel's exports: input_ids, attention_mask, position_ids
[batch, tokens] and beam_idx [batch] -> logits [batch, tokens, vocab], with the KV as variables
("stateful"), or as past_key_values.N.key / present.N.key [batch, kv_heads, tokens, head_dim]
("explicit"). Knows neither files nor families. The shapes of subgraphs (masks, rotary embedding,
key repetition) are those that OpenVINO's transformations match: change them only with the tests.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from export import nodes
from export.feed_forward import fed_forward
from export.masks import causal_mask, window_mask
from export.nodes import Node, Weights, axes, scalar
from export.rotary import Turns, growth_of, rotated, turns_of
from export.spec import EMBEDDING, FINAL_NORM, LM_HEAD, DecoderSpec


@dataclass
class _Inputs:
    """Inputs and what every layer derives from them."""

    parameters: list[Node]
    beam_idx: Node | None
    batch: Node
    mask: Node
    window_mask: Node | None
    turns: Turns
    local_turns: Turns | None
    growth: Node | None
    sinks: list[Node] = field(default_factory=list)
    presents: list[Node] = field(default_factory=list)


def build_model(spec: DecoderSpec, weights: Weights, *, stateful: bool) -> ov.Model:
    """The whole model; its constants share memory with `weights`."""
    input_ids = nodes.parameter("input_ids", ov.Type.i64, [-1, -1])
    inputs = _inputs(spec, input_ids, stateful=stateful)
    embedding = nodes.weight_node(weights.matrix(EMBEDDING), EMBEDDING)
    indices = ops.convert(input_ids, ov.Type.i32)
    x = ops.gather(embedding, indices, ops.constant(np.array(0, np.int32)))
    x = nodes.scaled(x, spec.embedding_scale, 3)
    for layer in range(spec.layers):
        x = _layer(spec, weights, inputs, layer, x)
    x = _norm(spec, weights, FINAL_NORM, x, 3)
    if spec.tied:
        said = ops.matmul(x, embedding, False, True)
    else:
        said = nodes.product(x, weights.matrix(LM_HEAD), LM_HEAD)
    logits = nodes.scaled(said, spec.logit_scale, 3)
    if cap := spec.logit_cap:
        logits = nodes.scaled(ops.tanh(nodes.scaled(logits, 1 / cap, 3)), cap, 3)
    logits = nodes.result(logits, "logits")
    results = [logits, *inputs.presents]
    if not stateful:
        return ov.Model(results, inputs.parameters, spec.family)
    return ov.Model(results, inputs.sinks, inputs.parameters, spec.family)


def _inputs(spec: DecoderSpec, input_ids: Node, *, stateful: bool) -> _Inputs:
    attention_mask = nodes.parameter("attention_mask", ov.Type.i64, [-1, -1])
    position_ids = nodes.parameter("position_ids", ov.Type.i64, [-1, -1])
    beam_idx = nodes.parameter("beam_idx", ov.Type.i32, [-1]) if stateful else None
    parameters = [input_ids, attention_mask, position_ids]
    shape = ops.shape_of(input_ids, ov.Type.i64)
    num_queries = nodes.dimension(shape, 1, keep=False)
    local = spec.local_inv_freq
    return _Inputs(
        parameters=parameters if beam_idx is None else [*parameters, beam_idx],
        beam_idx=beam_idx,
        batch=nodes.dimension(shape, 0, keep=True),
        mask=causal_mask(attention_mask, num_queries),
        window_mask=spec.window and window_mask(attention_mask, num_queries, spec.window),
        turns=turns_of(spec.inv_freq, position_ids, spec.rotary_scale),
        local_turns=None if local is None else turns_of(local, position_ids, 1.0),
        growth=spec.score_growth and growth_of(position_ids, *spec.score_growth),
    )


def _layer(spec: DecoderSpec, weights: Weights, inputs: _Inputs, layer: int, x: Node) -> Node:
    name = f"model.layers.{layer}"

    def norm(value: Node, which: str) -> Node:
        return _norm(spec, weights, f"{name}.{which}.weight", value, 3)

    def before(value: Node, which: str) -> Node:
        return norm(value, which) if spec.pre_norms else value

    def behind(value: Node, which: str) -> Node:
        value = norm(value, which) if spec.post_norms else value
        return nodes.scaled(value, spec.residual_scale, 3)

    attended = _attention(spec, weights, inputs, layer, before(x, "input_layernorm"))
    x = ops.add(x, behind(attended, "post_self_attn_layernorm"))
    fed = fed_forward(spec, weights, layer, before(x, "post_attention_layernorm"))
    return ops.add(x, behind(fed, "post_mlp_layernorm"))


def _norm(spec: DecoderSpec, weights: Weights, name: str, x: Node, rank: int) -> Node:
    return nodes.rms_norm(x, weights.vector(name) + np.float32(spec.norm_offset), spec.eps, rank)


def _attention(spec: DecoderSpec, weights: Weights, inputs: _Inputs, layer: int, x: Node) -> Node:
    name = f"model.layers.{layer}.self_attn"
    query, key = (_heads(spec, weights, name, which, x) for which in "qk")
    if layer not in spec.unrotated:
        turns = (layer in spec.windowed and inputs.local_turns) or inputs.turns
        query, key = rotated(spec, turns, query), rotated(spec, turns, key)
    if spec.late_qk_norm:
        query = _norm(spec, weights, f"{name}.q_norm.weight", query, 4)
        key = _norm(spec, weights, f"{name}.k_norm.weight", key, 4)
    if inputs.growth is not None:
        query = ops.multiply(query, inputs.growth)
    value = _heads(spec, weights, name, "v", x)
    keys = _repeated(spec, inputs, _with_past(spec, inputs, layer, "key", key))
    values = _repeated(spec, inputs, _with_past(spec, inputs, layer, "value", value))
    scale = _score_scale(spec)
    mask = inputs.window_mask if layer in spec.windowed else inputs.mask
    if spec.sinks:
        sinks = nodes.floats(weights.vector(f"{name}.sinks").reshape(1, -1, 1, 1))
        mixed = nodes.attention_with_sinks(query, keys, values, mask, scale, sinks)
    else:
        mixed = ops.scaled_dot_product_attention(query, keys, values, mask, scale, causal=False)
    mixed = ops.transpose(mixed, axes(0, 2, 1, 3))
    mixed = ops.reshape(mixed, axes(0, 0, spec.heads * spec.head_dim), True)
    return nodes.linear(weights, f"{name}.o_proj", mixed, bias=spec.o_bias)


def _score_scale(spec: DecoderSpec) -> Node | None:
    """None for the operation's own, which has to be said where sinks follow it."""
    if spec.attention_scale is None and not spec.sinks:
        return None
    return ops.constant(np.float32(spec.attention_scale or spec.head_dim**-0.5))


def _heads(spec: DecoderSpec, weights: Weights, name: str, which: str, x: Node) -> Node:
    """Project and split: [batch, heads, tokens, head_dim]."""
    count = spec.heads if which == "q" else spec.kv_heads
    y = nodes.linear(weights, f"{name}.{which}_proj", x, bias=spec.qkv_bias)
    if spec.flat_qk_norm and which != "v":
        y = _norm(spec, weights, f"{name}.{which}_norm.weight", y, 3)
    y = ops.reshape(y, axes(0, 0, count, spec.head_dim), True)
    if spec.qk_norm and not spec.late_qk_norm and which != "v":
        y = _norm(spec, weights, f"{name}.{which}_norm.weight", y, 4)
    return ops.transpose(y, axes(0, 2, 1, 3))


def _with_past(spec: DecoderSpec, inputs: _Inputs, layer: int, kind: str, new: Node) -> Node:
    """Past and new keys or values, [batch, kv_heads, keys, head_dim]; remembered for next time."""
    past_name, present_name = f"past_key_values.{layer}.{kind}", f"present.{layer}.{kind}"
    shape = [-1, spec.kv_heads, -1, spec.head_dim]
    if inputs.beam_idx is None:
        past = nodes.parameter(past_name, ov.Type.f32, shape)
        inputs.parameters.append(past)
        present = ops.concat([past, new], 2)
        inputs.presents.append(nodes.result(present, present_name))
        return present
    empty_shape = ops.concat([inputs.batch, axes(spec.kv_heads), axes(0), axes(spec.head_dim)], 0)
    empty = ops.broadcast(ops.constant(np.float32(0)), empty_shape)
    variable = past_name + present_name
    past = ops.read_value(empty, variable, ov.Type.f32, ov.PartialShape(shape))
    present = ops.concat([ops.gather(past, inputs.beam_idx, scalar(0)), new], 2)
    inputs.sinks.append(ops.assign(present, variable))
    return present


def _repeated(spec: DecoderSpec, inputs: _Inputs, x: Node) -> Node:
    """Keys or values for every query head."""
    if spec.heads == spec.kv_heads:
        return x
    repeats = spec.heads // spec.kv_heads
    shape = ops.concat(
        [inputs.batch, axes(spec.kv_heads), axes(repeats), axes(1), axes(spec.head_dim)], 0
    )
    wide = ops.broadcast(ops.unsqueeze(x, axes(2)), shape, broadcast_spec="BIDIRECTIONAL")
    return ops.reshape(wide, axes(0, spec.heads, -1, spec.head_dim), True)
