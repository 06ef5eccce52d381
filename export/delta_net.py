"""A gated delta net as operations (Yang et al., arXiv 2412.06464; transformers' qwen3_5).

Token after token, a state S [key, value] of each head forgets by exp(g), and learns from its error:
S = S exp(g) + k (beta (v - k S)); the token takes q S / sqrt(key_dim). OpenVINO takes the loop and what stands
around it for its GatedDeltaNet, or, with paged attention, PagedGatedDeltaNet: change them only with the tests.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from export import nodes
from export.convolution import causal
from export.inputs import Inputs
from export.layers import rates
from export.nodes import Node, Weights, axes, linear, scalar
from export.recurrent import DeltaNet
from export.spec import DecoderSpec
from export.token_loop import Body, i32, over_tokens, part, time, written

_L2_EPS = 1e-6
_TOKENS = 2  # the axis of [batch, heads, tokens, ...]


def delta_net(spec: DecoderSpec, weights: Weights, inputs: Inputs, layer: int, x: Node) -> Node:
    """What a layer's tokens take from the state, [batch, tokens, hidden]."""
    sizes, name = spec.recurrence, f"model.layers.{layer}.linear_attn"
    assert isinstance(sizes, DeltaNet)
    mixed = linear(weights, f"{name}.in_proj_qkv", x, bias=False)
    mixed = causal(inputs, layer, mixed, weights.vector(f"{name}.conv1d.weight"))
    mixed = ops.swish(mixed)
    parts = ops.variadic_split(mixed, scalar(-1), axes(sizes.keys, sizes.keys, sizes.values))
    query, key = (_keys(sizes, part) for part in parts.outputs()[:2])
    value = ops.reshape(parts.output(2), axes(0, 0, sizes.value_heads, sizes.value_dim), True)
    beta = ops.sigmoid(linear(weights, f"{name}.in_proj_b", x, bias=False))
    steps = (
        ops.divide(_by_head(query), _root_of_width(query)),
        _by_head(key),
        _by_head(value),
        ops.transpose(_decay(weights, name, x, plain_rates=sizes.plain_rates), axes(0, 2, 1)),
        ops.transpose(beta, axes(0, 2, 1)),
    )
    read = _by_head(_recurrence(sizes, inputs, layer, steps))
    gate = ops.reshape(
        linear(weights, f"{name}.in_proj_z", x, bias=False),
        axes(0, 0, sizes.value_heads, sizes.value_dim),
        True,
    )
    read = nodes.rms_norm(read, weights.vector(f"{name}.norm.weight"), spec.eps, 4)
    read = ops.reshape(ops.multiply(read, ops.swish(gate)), axes(0, 0, sizes.values), True)
    return linear(weights, f"{name}.out_proj", read, bias=False)


def _decay(weights: Weights, name: str, x: Node, *, plain_rates: bool) -> Node:
    """The logarithm of what each head keeps at each token, [batch, tokens, heads]; never positive."""
    bias = nodes.floats(weights.vector(f"{name}.dt_bias").reshape(1, 1, -1))
    rate = nodes.floats(rates(weights, name, plain=plain_rates).reshape(1, 1, -1))
    time = ops.softplus(ops.add(linear(weights, f"{name}.in_proj_a", x, bias=False), bias))
    return ops.multiply(rate, time)


def _keys(sizes: DeltaNet, x: Node) -> Node:
    """Queries or keys of length one for every value head, [batch, tokens, heads, key_dim]."""
    x = ops.reshape(x, axes(0, 0, sizes.key_heads, sizes.key_dim), True)
    if (served := sizes.value_heads // sizes.key_heads) > 1:
        # Tiles, because OpenVINO 2026.4.1 sees through other ways to repeat, and then takes the number of key
        # heads for that of value heads.
        x = ops.unsqueeze(x, axes(2 if sizes.in_turn else 3))
        x = ops.tile(x, axes(1, 1, served, 1, 1) if sizes.in_turn else axes(1, 1, 1, served, 1))
        x = ops.reshape(x, axes(0, 0, sizes.value_heads, sizes.key_dim), True)
    squares = ops.reduce_sum(ops.multiply(x, x), axes(-1), True)
    length = ops.sqrt(ops.add(squares, nodes.number(_L2_EPS, 4)))
    return ops.multiply(x, ops.divide(nodes.number(1.0, 4), length))


def _root_of_width(x: Node) -> Node:
    """Of the last axis, taken from the shape: a constant is not matched."""
    width = ops.gather(ops.shape_of(x, ov.Type.i64), scalar(3), scalar(0))
    return ops.power(ops.convert(width, ov.Type.f32), ops.constant(np.float32(0.5)))


def _by_head(x: Node) -> Node:
    """[batch, tokens, heads, size] <-> [batch, heads, tokens, size]."""
    return ops.transpose(x, axes(0, 2, 1, 3))


def _recurrence(sizes: DeltaNet, inputs: Inputs, layer: int, steps: Sequence[Node]) -> Node:
    """What is read from the state at each token, [batch, heads, tokens, value_dim].

    steps: queries, keys, values, decays and betas, [batch, heads, tokens, size] and [batch, heads, tokens].
    """
    name, widths = f"ssm.{layer}", (sizes.value_heads, sizes.key_dim, sizes.value_dim)
    past, values = inputs.state(name, *widths), steps[2]
    read, present = over_tokens(_body(sizes), steps, past, values, axis=_TOKENS)
    inputs.keep_state(name, present, *widths)
    return read


def _body(sizes: DeltaNet) -> Body:
    heads, key_dim, value_dim = sizes.value_heads, sizes.key_dim, sizes.value_dim
    now, state = time(), part(-1, heads, key_dim, value_dim)
    all_read = part(-1, heads, -1, value_dim)
    query, key = part(-1, heads, 1, key_dim), part(-1, heads, 1, key_dim)
    value, decay, beta = part(-1, heads, 1, value_dim), part(-1, heads, 1), part(-1, heads, 1)
    q, k, v = (ops.squeeze(vector, i32(_TOKENS)) for vector in (query, key, value))
    kept = ops.multiply(state, ops.unsqueeze(ops.exp(decay), i32(-1)))
    column = ops.unsqueeze(k, i32(-1))
    expected = ops.reduce_sum(ops.multiply(kept, column), i32(-2), False)
    error = ops.multiply(ops.subtract(v, expected), beta)
    new_state = ops.add(kept, ops.multiply(column, ops.unsqueeze(error, i32(-2))))
    weighted = ops.multiply(new_state, ops.unsqueeze(q, i32(-1)))
    read = ops.reduce_sum(weighted, i32(-2), True)
    return Body(
        now,
        (query, key, value, decay, beta),
        state,
        all_read,
        new_state,
        written(all_read, now, read, _TOKENS),
    )
