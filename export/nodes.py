"""Small OpenVINO operations that the decoder's graph is written in.

Owns how a weight becomes a constant with its decompression, in the form that the CPU plugin
recognises (Convert, Subtract, Multiply, Reshape, Convert). Constants share memory with their
arrays, which must outlive the model. Knows no architecture.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as ops
from openvino.op import Constant
from openvino.utils.node_factory import NodeFactory

from export.packing import Dense, Packed, Weight
from export.tensors import Floats

Node = Any

TYPES: dict[str, Any] = {
    "u4": ov.Type.u4,
    "i4": ov.Type.i4,
    "u8": ov.Type.u8,
    "i8": ov.Type.i8,
    "f16": ov.Type.f16,
    "BF16": ov.Type.bf16,
    "F16": ov.Type.f16,
    "F32": ov.Type.f32,
}
TO_THE_END = 2**31 - 1


class Weights(Protocol):
    """The decoder's weights by canonical name; their memory must outlive the model."""

    def matrix(self, name: str) -> Weight:
        """A matrix [rows, columns] as the IR will hold it."""

    def vector(self, name: str) -> Floats:
        """A norm's weight or a bias as float32."""


def axes(*values: int) -> Node:
    """A one-dimensional i64 constant."""
    return ops.constant(np.array(values, np.int64))


def scalar(value: int) -> Node:
    """A zero-dimensional i64 constant."""
    return ops.constant(np.array(value, np.int64))


def floats(values: Floats) -> Node:
    """A small f32 constant, copied into the graph."""
    return ops.constant(np.ascontiguousarray(values, np.float32))


def number(value: float, rank: int) -> Node:
    """One f32 number of shape [1] * rank."""
    return floats(np.full((1,) * rank, value, np.float32))


def parameter(name: str, element: Any, shape: list[int]) -> Node:
    """A named input."""
    node = ops.parameter(ov.PartialShape(shape), element)
    node.set_friendly_name(name)
    node.output(0).tensor.set_names({name})
    return node


def result(node: Node, name: str) -> Node:
    """A named output."""
    node.output(0).tensor.set_names({name})
    output = ops.result(node)
    output.set_friendly_name(name)
    return output


def weight_node(weight: Weight, name: str, count: int | None = None) -> Node:
    """The weight as f32, decompressed in the graph; with `count`, as so many matrices [count, rows, columns]."""
    if isinstance(weight, Dense):
        shape = list(weight.values.shape)
        shape = shape if count is None else [count, shape[0] // count, *shape[1:]]
        node = shared(weight.values, TYPES[weight.encoding], shape, name)
        return node if weight.encoding == "F32" else _marked(ops.convert(node, ov.Type.f32))
    return _decompressed(weight, name, count)


def product(x: Node, weight: Weight, name: str) -> Node:
    """X times the transposed weight; with columns in an order of its own, `x` is brought into it."""
    if isinstance(weight, Packed) and weight.column_order is not None:
        order = ops.constant(weight.column_order.astype(np.int32))
        x = ops.gather(x, order, ops.constant(np.array(2, np.int32)))
    return ops.matmul(x, weight_node(weight, name), False, True)


def linear(weights: Weights, name: str, x: Node, *, bias: bool) -> Node:
    """X times a matrix, plus its bias where it has one."""
    y = product(x, weights.matrix(f"{name}.weight"), f"{name}.weight")
    if not bias:
        return y
    return ops.add(y, floats(weights.vector(f"{name}.bias").reshape(1, 1, -1)))


def shared(array: NDArray[np.generic], element: Any, shape: list[int], name: str) -> Node:
    """A constant over the array's own memory."""
    assert array.flags.c_contiguous
    node = Constant(ov.Tensor(array, ov.Shape(shape), element), True)
    node.set_friendly_name(name)
    return node


def _decompressed(weight: Packed, name: str, count: int | None) -> Node:
    rows, columns = weight.shape
    groups = columns // weight.group_size
    height = [rows] if count is None else [count, rows // count]
    shape = [*height, groups, weight.group_size] if groups > 1 else [*height, columns]
    per_group = [*height, groups, 1] if groups > 1 else [*height, 1]
    codes = shared(weight.codes, TYPES[weight.code_type], shape, name)
    value = ops.convert(codes, ov.Type.f16)
    if weight.zero_points is not None:
        value = ops.subtract(value, _zero_point(weight, per_group, name))
    value = ops.multiply(value, shared(weight.scales, ov.Type.f16, per_group, f"{name}/scale"))
    if groups > 1:
        value = ops.reshape(value, axes(*height, columns), False)
    return ops.convert(value, ov.Type.f32)


def _zero_point(weight: Packed, shape: list[int], name: str) -> Node:
    assert weight.zero_points is not None
    assert weight.zero_type is not None
    node = shared(weight.zero_points, TYPES[weight.zero_type], shape, f"{name}/zero_point")
    return node if weight.zero_type == "f16" else ops.convert(node, ov.Type.f16)


def _marked(convert: Node) -> Node:
    # Without the mark constant folding would unfold half-precision weights to f32.
    convert.get_rt_info()["decompression"] = ""
    return convert


def rms_norm(x: Node, weight: Floats, eps: float, rank: int) -> Node:
    """X / sqrt(mean(x**2) + eps) * weight over the last axis."""
    last = ops.constant(np.array([-1], np.int32))
    mean = ops.reduce_mean(ops.power(x, number(2.0, rank)), last, True)
    root = ops.sqrt(ops.add(mean, number(eps, rank)))
    scaled = ops.multiply(x, ops.divide(number(1.0, rank), root))
    return ops.multiply(scaled, floats(weight.reshape((1,) * (rank - 1) + (-1,))))


def swish(x: Node) -> Node:
    """X * sigmoid(x). With one input: transformations of experts do not take the factor that opset13's has."""
    return NodeFactory("opset13").create("Swish", [x.output(0)], {})


def attention_with_sinks(*inputs: Node) -> Node:
    """Of queries, keys, values, mask, scale and sinks [1, heads, 1, 1], for which opset13's has no parameter."""
    attributes = {"causal": False}
    factory = NodeFactory("opset13")
    return factory.create("ScaledDotProductAttention", [x.output(0) for x in inputs], attributes)


def scaled(x: Node, factor: float, rank: int) -> Node:
    """X * factor; `x` itself where that is one."""
    return x if factor == 1.0 else ops.multiply(x, number(factor, rank))


def dimension(shape: Node, axis: int, *, keep: bool) -> Node:
    """One entry of a shape, as [1] (keep) or as a scalar."""
    index = axes(axis) if keep else scalar(axis)
    return ops.gather(shape, index, scalar(0))
