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
from export.inputs import Inputs
from export.nodes import Node, axes
from export.tensors import Floats


def causal(inputs: Inputs, layer: int, new: Node, weight: Floats) -> Node:
    """The convolved `new` [batch, tokens, channels]; weight: [channels, 1, kernel], of the newest token last.

    What a layer keeps is its last inputs, [batch, channels, kernel], the oldest first.
    """
    channels, _, kernel = weight.shape
    past = inputs.state(f"conv.{layer}", channels, kernel)
    new = without_padding(new, inputs.attention_mask)
    both = ops.concat([past, ops.transpose(new, axes(0, 2, 1))], -1)
    filters = nodes.floats(weight.reshape(channels, 1, 1, kernel))
    mixed = ops.group_convolution(both, filters, [1], [0], [0], [1])
    # The first result is that of the past alone.
    mixed = ops.slice(mixed, axes(1), axes(nodes.TO_THE_END), axes(1), axes(2))
    kept = ops.slice(both, axes(-kernel), axes(nodes.TO_THE_END), axes(1), axes(2))
    inputs.keep_state(f"conv.{layer}", kept, channels, kernel)
    return ops.transpose(mixed, axes(0, 2, 1))


def without_padding(x: Node, attention_mask: Node) -> Node:
    """`x` [batch, tokens, channels] with zeros where the mask [batch, keys] has some."""
    num_new = nodes.dimension(ops.shape_of(x, ov.Type.i64), 1, keep=True)
    first = ops.multiply(num_new, axes(-1))
    mask = ops.slice(attention_mask, first, axes(nodes.TO_THE_END), axes(1), axes(1))
    factor = ops.convert(ops.unsqueeze(mask, axes(2)), ov.Type.f32)
    factor = ops.add(ops.multiply(factor, nodes.number(1.0, 3)), nodes.number(0.0, 3))
    return ops.multiply(x, factor)
