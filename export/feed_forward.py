"""What follows attention in a layer, as operations: a gated MLP, or experts of which a router chooses.

Experts are written as Optimum-Intel does it: every token goes through all of them, and a table of weights is zero
for those that were not chosen. OpenVINO's CPU plugin finds this form (ConvertTiledMoeBlockToGatherMatmuls) and
computes the chosen ones alone: change it only with the tests. Knows neither files nor families.
"""

from __future__ import annotations

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from export import nodes
from export.experts import Experts
from export.nodes import Node, Weights, axes
from export.spec import DecoderSpec

GPT_OSS_FACTOR = 1.702  # of what its sigmoid takes; no configuration names it


def fed_forward(spec: DecoderSpec, weights: Weights, layer: int, x: Node) -> Node:
    """Of a layer, from [batch, tokens, hidden]."""
    name = f"model.layers.{layer}.mlp"
    if spec.experts is None or layer not in spec.experts.layers:
        return _mlp(spec, weights, name, x)
    return _mixture(spec, spec.experts, weights, name, x)


def _mlp(spec: DecoderSpec, weights: Weights, name: str, x: Node) -> Node:
    if not spec.gated:
        up = ops.relu(nodes.linear(weights, f"{name}.up_proj", x, bias=spec.mlp_bias))
        return nodes.linear(weights, f"{name}.down_proj", ops.multiply(up, up), bias=spec.mlp_bias)
    gate = nodes.linear(weights, f"{name}.gate_proj", x, bias=spec.mlp_bias)
    gate = ops.swish(gate) if spec.activation == "silu" else ops.gelu(gate, "TANH")
    up = nodes.linear(weights, f"{name}.up_proj", x, bias=spec.mlp_bias)
    return nodes.linear(weights, f"{name}.down_proj", ops.multiply(gate, up), bias=spec.mlp_bias)


def _mixture(spec: DecoderSpec, experts: Experts, weights: Weights, name: str, x: Node) -> Node:
    flat = ops.reshape(x, axes(-1, spec.hidden), False)
    scores = ops.matmul(flat, _matrix(weights, f"{name}.gate"), False, True)
    if experts.limit is not None:
        scores = ops.add(scores, nodes.floats(weights.vector(f"{name}.gate.bias").reshape(1, -1)))
    shares = _shares(experts, scores)
    tiled = ops.tile(flat, axes(experts.count, 1))
    tiled = ops.reshape(tiled, axes(experts.count, -1, spec.hidden), False)
    form = _gated if experts.limit is None else _clamped
    said = form(experts, weights, f"{name}.experts", tiled)
    said = ops.reshape(said, axes(experts.count, 1, -1, spec.hidden), False)
    mixed = ops.reduce_sum(ops.multiply(said, shares), axes(0), False)
    mixed = ops.reshape(mixed, ops.shape_of(x, ov.Type.i64), False)
    if not experts.shared:
        return mixed
    share = ops.sigmoid(ops.matmul(x, _matrix(weights, f"{name}.shared_expert_gate"), False, True))
    return ops.add(mixed, ops.multiply(share, _mlp(spec, weights, f"{name}.shared_expert", x)))


def _gated(experts: Experts, weights: Weights, name: str, tiled: Node) -> Node:
    gate, up, down = (
        _matrix(weights, f"{name}.{which}_proj", experts.count) for which in ("gate", "up", "down")
    )
    inner = nodes.swish(ops.matmul(tiled, gate, False, True))
    inner = ops.multiply(inner, ops.matmul(tiled, up, False, True))
    return ops.matmul(inner, down, False, True)


def _clamped(experts: Experts, weights: Weights, name: str, tiled: Node) -> Node:
    """gpt-oss's, whose sigmoid has a factor."""
    assert experts.limit is not None

    def linear(which: str, value: Node) -> Node:
        y = ops.matmul(value, _matrix(weights, f"{name}.{which}", experts.count), False, True)
        bias = weights.vector(f"{name}.{which}.bias").reshape(experts.count, 1, -1)
        return ops.add(y, nodes.floats(bias))

    both = linear("gate_up_proj", tiled)
    gate, up = (
        ops.slice(both, axes(first), axes(nodes.TO_THE_END), axes(2), axes(2)) for first in (0, 1)
    )
    up = ops.add(ops.clamp(up, -experts.limit, experts.limit), nodes.number(1.0, 3))
    gate = ops.minimum(gate, nodes.number(experts.limit, 3))
    gate = ops.swish(gate, ops.constant(np.float32(GPT_OSS_FACTOR)))
    return linear("down_proj", ops.multiply(up, gate))


def _shares(experts: Experts, scores: Node) -> Node:
    """How much of each expert a token takes, [experts, 1, tokens, 1], from scores [tokens, experts]."""
    if not experts.is_normalized:
        scores = ops.softmax(scores, -1)
    best = ops.topk(scores, ops.constant(np.int64(experts.per_token)), -1, "max", "value", "i32")
    chosen = ops.softmax(best.output(0), -1) if experts.is_normalized else best.output(0)
    none = ops.broadcast(ops.constant(np.float32(0)), ops.shape_of(scores, ov.Type.i64))
    shares = ops.scatter_elements_update(none, best.output(1), chosen, ops.constant(np.int64(1)))
    shares = ops.reshape(ops.transpose(shares, axes(1, 0)), axes(experts.count, 1, -1), False)
    return ops.unsqueeze(shares, axes(-1))


def _matrix(weights: Weights, name: str, count: int | None = None) -> Node:
    name = f"{name}.weight"
    return nodes.weight_node(weights.matrix(name), name, count)
