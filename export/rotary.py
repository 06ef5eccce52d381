"""What positions do, as operations: rotary embeddings, half-split, where dimension i turns with i + rotary_dim / 2."""

from __future__ import annotations

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from export import nodes
from export.nodes import Node, axes
from export.spec import DecoderSpec

Turns = tuple[Node, Node]  # cosines and sines, [batch, 1, tokens, rotary_dim]


def turns_of(inv_freq: tuple[float, ...], position_ids: Node, scale: float) -> Turns:
    """Of each position; both multiplied by `scale`."""
    frequencies = nodes.floats(np.array(inv_freq, np.float32).reshape(1, -1, 1))
    positions = ops.convert(ops.unsqueeze(position_ids, axes(1)), ov.Type.f32)
    angles = ops.transpose(ops.matmul(frequencies, positions, False, False), axes(0, 2, 1))
    angles = ops.concat([angles, angles], -1)
    cos, sin = (nodes.scaled(turn(angles), scale, 3) for turn in (ops.cos, ops.sin))
    return ops.unsqueeze(cos, axes(1)), ops.unsqueeze(sin, axes(1))


def growth_of(position_ids: Node, beta: float, original: int) -> Node:
    """What queries are multiplied by, [batch, 1, tokens, 1]: one within the original context, then more."""
    positions = ops.convert(ops.unsqueeze(position_ids, axes(1, 3)), ov.Type.f32)
    passed = ops.floor(ops.divide(positions, nodes.number(original, 4)))
    grown = ops.log(ops.add(passed, nodes.number(1.0, 4)))
    return ops.add(ops.multiply(grown, nodes.number(beta, 4)), nodes.number(1.0, 4))


def rotated(spec: DecoderSpec, turns: Turns, x: Node) -> Node:
    """Half-split rotary embedding of the first rotary_dim dimensions."""
    half = spec.rotary_dim // 2
    turning, rest = x, None
    if spec.rotary_dim != spec.head_dim:
        turning = ops.slice(x, axes(0), axes(spec.rotary_dim), axes(1), axes(3))
        rest = ops.slice(x, axes(spec.rotary_dim), axes(nodes.TO_THE_END), axes(1), axes(3))
    first = ops.slice(turning, axes(0), axes(half), axes(1), axes(3))
    second = ops.slice(turning, axes(half), axes(nodes.TO_THE_END), axes(1), axes(3))
    crossed = ops.concat([ops.multiply(second, nodes.number(-1.0, 4)), first], -1)
    cos, sin = turns
    y = ops.add(ops.multiply(turning, cos), ops.multiply(crossed, sin))
    return y if rest is None else ops.concat([y, rest], -1)
