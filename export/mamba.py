"""Mamba-2 as operations (Dao and Gu, arXiv 2405.21060; transformers' granitemoehybrid).

Token after token, a state S [head_dim, state] of each head forgets by exp(A dt), and takes in dt x B; the token
reads S C + D x. OpenVINO takes the loop and what stands around it for its SelectiveSSM, or, with paged
attention, PagedSelectiveSSM: change them only with the tests.
"""

from __future__ import annotations

from math import inf

import numpy as np
from openvino import opset13 as ops

from export import nodes
from export.convolution import causal, without_padding
from export.inputs import Inputs
from export.layers import rates
from export.nodes import Node, Weights, axes, linear, scalar
from export.recurrent import Mamba2
from export.spec import DecoderSpec
from export.tensors import Floats
from export.token_loop import Body, i32, over_tokens, part, time, written

_TOKENS = 1  # the axis of [batch, tokens, heads, ...]


def mamba(spec: DecoderSpec, weights: Weights, inputs: Inputs, layer: int, x: Node) -> Node:
    """What a layer's tokens take from the state, [batch, tokens, hidden]."""
    sizes, name = spec.recurrence, f"model.layers.{layer}.mamba"
    assert isinstance(sizes, Mamba2)
    mixed = ops.swish(_convolved(sizes, weights, inputs, layer, x))
    if sizes.conv_bias:
        mixed = without_padding(mixed, inputs.attention_mask)
    per_group = sizes.groups * sizes.state
    parts = ops.variadic_split(mixed, scalar(-1), axes(sizes.width, per_group, per_group)).outputs()
    heads = ops.reshape(parts[0], axes(0, 0, sizes.heads, sizes.head_dim), True)
    writes, reads = (_by_head(sizes, vectors) for vectors in parts[1:])
    steps = _time_steps(sizes, weights, name, x)
    rate = ops.constant(rates(weights, name, plain=sizes.plain_rates))
    kept = ops.reshape(ops.exp(ops.multiply(rate, steps)), axes(0, 0, 0, 1, 1), True)
    taken = ops.multiply(ops.unsqueeze(steps, i32(-1)), writes)
    taken = ops.multiply(ops.unsqueeze(taken, i32(-2)), ops.unsqueeze(heads, i32(-1)))
    state, widths = f"ssm.{layer}", (sizes.heads, sizes.head_dim, sizes.state)
    per_token = (kept, taken, ops.unsqueeze(reads, i32(-2)))
    past = inputs.state(state, *widths)
    read, present = over_tokens(_body(sizes), per_token, past, heads, axis=_TOKENS)
    inputs.keep_state(state, present, *widths)
    skipped = nodes.floats(weights.vector(f"{name}.D").reshape(1, 1, -1, 1))
    read = ops.add(read, ops.multiply(heads, skipped))
    gate = ops.swish(linear(weights, f"{name}.gate_proj", x, bias=sizes.bias))
    gated = ops.multiply(ops.reshape(read, axes(0, 0, sizes.width), True), gate)
    normed = _norm_of_groups(sizes, gated, weights.vector(f"{name}.norm.weight"), spec.eps)
    return linear(weights, f"{name}.out_proj", normed, bias=sizes.bias)


def _convolved(sizes: Mamba2, weights: Weights, inputs: Inputs, layer: int, x: Node) -> Node:
    """[batch, tokens, channels]."""
    name = f"model.layers.{layer}.mamba"
    mixed = linear(weights, f"{name}.conv_proj", x, bias=sizes.bias)
    mixed = causal(inputs, layer, mixed, weights.vector(f"{name}.conv1d.weight"))
    if not sizes.conv_bias:
        return mixed
    return ops.add(mixed, nodes.floats(weights.vector(f"{name}.conv1d.bias").reshape(1, 1, -1)))


def _time_steps(sizes: Mamba2, weights: Weights, name: str, x: Node) -> Node:
    """How far each head's time moves at each token, [batch, tokens, heads]."""
    bias = nodes.floats(weights.vector(f"{name}.dt_bias").reshape(1, 1, -1))
    steps = ops.softplus(ops.add(linear(weights, f"{name}.dt_proj", x, bias=sizes.bias), bias))
    shortest, longest = sizes.time_limits
    if (shortest, longest) == (0.0, inf):
        return steps
    return ops.clamp(steps, shortest, min(longest, float(np.finfo(np.float32).max)))


def _by_head(sizes: Mamba2, x: Node) -> Node:
    """B or C of each head, [batch, tokens, heads, state]; the tile is part of the form, even of one."""
    x = ops.unsqueeze(ops.reshape(x, axes(0, 0, sizes.groups, sizes.state), True), i32(3))
    x = ops.tile(x, axes(1, 1, 1, sizes.heads // sizes.groups, 1))
    return ops.reshape(x, axes(0, 0, sizes.heads, sizes.state), True)


def _norm_of_groups(sizes: Mamba2, x: Node, weight: Floats, eps: float) -> Node:
    """[batch, tokens, width]; each group has a norm of its own."""
    if sizes.groups == 1:
        return nodes.rms_norm(x, weight, eps, 3)
    width = sizes.width // sizes.groups
    x = ops.reshape(x, axes(0, 0, sizes.groups, width), True)
    x = nodes.rms_norm(x, np.ones(width, np.float32), eps, 4)
    x = ops.reshape(x, axes(0, 0, sizes.width), True)
    return ops.multiply(x, nodes.floats(weight.reshape(1, 1, -1)))


def _body(sizes: Mamba2) -> Body:
    heads, head_dim, width = sizes.heads, sizes.head_dim, sizes.state
    now, state, all_read = time(), part(-1, heads, head_dim, width), part(-1, -1, heads, head_dim)
    per_token = (
        part(-1, 1, heads, 1, 1),
        part(-1, 1, heads, head_dim, width),
        part(-1, 1, heads, 1, width),
    )
    kept, taken, reads = (ops.squeeze(value, i32(_TOKENS)) for value in per_token)
    new_state = ops.add(ops.multiply(state, kept), taken)
    read = ops.reduce_sum(ops.multiply(new_state, reads), i32(-1), False)
    read = ops.unsqueeze(read, i32(_TOKENS))
    return Body(now, per_token, state, all_read, new_state, written(all_read, now, read, _TOKENS))
