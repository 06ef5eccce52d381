"""Causal convolutions of each channel by itself, over the last tokens, as operations.

The shapes of these subgraphs are those that OpenVINO's paged-attention transformation knows: PagedCausalConv1D
is made of a past joined to what is new on the last axis, a GroupConvolution without padding, and a slice of
its end (paged_causal_conv1d_fusion.cpp); the mask of padding goes where it is a factor with a scale and a shift
(eliminate_conv_padding_mask_gating.cpp). Change them only with the tests.
"""

from __future__ import annotations

import openvino as ov
from openvino import opset13 as ops

from export import nodes
from export.nodes import Node, axes
from export.tensors import Floats


def causal(past: Node, new: Node, weight: Floats) -> tuple[Node, Node]:
    """The convolved `new` [batch, tokens, channels], and the past that is to come.

    past: [batch, channels, kernel], the inputs before `new`, oldest first. weight: [channels, 1, kernel], that
    of the newest token last.
    """
    channels, _, kernel = weight.shape
    both = ops.concat([past, ops.transpose(new, axes(0, 2, 1))], -1)
    filters = nodes.floats(weight.reshape(channels, 1, 1, kernel))
    mixed = ops.group_convolution(both, filters, [1], [0], [0], [1])
    # The first result is that of the past alone.
    mixed = ops.slice(mixed, axes(1), axes(nodes.TO_THE_END), axes(1), axes(2))
    kept = ops.slice(both, axes(-kernel), axes(nodes.TO_THE_END), axes(1), axes(2))
    # What shape inference does not know of a slice while the graph is rewritten.
    kept = ops.reshape(kept, axes(-1, channels, kernel), False)
    return ops.transpose(mixed, axes(0, 2, 1)), kept


def without_padding(x: Node, attention_mask: Node) -> Node:
    """`x` [batch, tokens, channels] with zeros where the mask [batch, keys] has some."""
    num_new = nodes.dimension(ops.shape_of(x, ov.Type.i64), 1, keep=True)
    first = ops.multiply(num_new, axes(-1))
    mask = ops.slice(attention_mask, first, axes(nodes.TO_THE_END), axes(1), axes(1))
    factor = ops.convert(ops.unsqueeze(mask, axes(2)), ov.Type.f32)
    factor = ops.add(ops.multiply(factor, nodes.number(1.0, 3)), nodes.number(0.0, 3))
    return ops.multiply(x, factor)
