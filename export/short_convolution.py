"""LFM2's short convolutions as operations: over what two thirds of a projection make together, gated by the third."""

from __future__ import annotations

from openvino import opset13 as ops

from export import convolution, nodes
from export.inputs import Inputs
from export.nodes import Node, Weights, axes, linear
from export.recurrent import ShortConvolution
from export.spec import DecoderSpec


def short_convolution(
    spec: DecoderSpec, weights: Weights, inputs: Inputs, layer: int, x: Node
) -> Node:
    """What a layer's tokens take from the last ones, [batch, tokens, hidden]."""
    sizes, name = spec.recurrence, f"model.layers.{layer}.conv"
    assert isinstance(sizes, ShortConvolution)
    whole = linear(weights, f"{name}.in_proj", x, bias=sizes.bias)
    before, behind, value = (
        ops.slice(whole, axes(i * spec.hidden), axes((i + 1) * spec.hidden), axes(1), axes(2))
        for i in range(3)
    )
    fed, weight = ops.multiply(before, value), weights.vector(f"{name}.conv.weight")
    mixed = convolution.causal(inputs, layer, fed, weight)
    if sizes.bias:
        mixed = ops.add(mixed, nodes.floats(weights.vector(f"{name}.conv.bias").reshape(1, 1, -1)))
    return linear(weights, f"{name}.out_proj", ops.multiply(behind, mixed), bias=sizes.bias)
