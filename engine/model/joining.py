"""Small weight matrices that multiply the same thing become one: q, k and v; gate and up.

Owns: that rewriting of the graph in memory. Does not know: attention, files. A decode step spends a
good part of its time on starting and ending products of small matrices; joined, a step of the
135M model takes 0.92 of the time, and its logits are equal bit for bit (`bench/NOTES.md`). Matrices
of a model large enough to be bound by memory are left as they are.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as ops

MAX_JOINED_BYTES = 8 << 20

_BINARY = {"Multiply": ops.multiply, "Subtract": ops.subtract}


class _NotAlikeError(Exception):
    """These weights cannot be put one below the other."""


def join_small_products(model: ov.Model) -> int:
    """Rewrite `model`; how many products there are less.

    A product is a MatMul with constant weights [out, in], compressed or not, as exported here, by
    Optimum and on the hub.
    """
    groups: dict[tuple[str, int], list[Any]] = defaultdict(list)
    for node in model.get_ordered_ops():
        if node.get_type_name() == "MatMul" and node.get_attributes()["transpose_b"]:
            source = node.input_value(0)
            groups[source.get_node().get_name(), source.get_index()].append(node)
    saved = sum(_join(group) for group in groups.values() if len(group) > 1)
    model.validate_nodes_and_infer_types()
    return saved


def _join(products: Sequence[Any]) -> int:
    if any(product.get_attributes()["transpose_a"] for product in products):
        return 0
    if any(len(product.input_value(1).get_partial_shape()) != 2 for product in products):
        return 0  # of several experts at once, whose first axis counts them
    try:
        heights = [product.input_value(1).get_shape()[0] for product in products]
        weights = _stacked([product.input_value(1).get_node() for product in products], heights)
    except (_NotAlikeError, RuntimeError, IndexError):  # RuntimeError: a shape is not known
        return 0
    whole = ops.matmul(products[0].input_value(0), weights, False, True)
    parts = ops.variadic_split(
        whole, ops.constant(np.int64(-1)), ops.constant(np.array(heights, np.int64))
    )
    for product, part in zip(products, parts.outputs(), strict=True):
        product.output(0).replace(part)
    return len(products) - 1


def _stacked(nodes: Sequence[Any], heights: Sequence[int]) -> Any:
    """One node for weights that are made alike, the first of them on top. Raises _NotAlikeError."""
    kinds = {node.get_type_name() for node in nodes}
    if len(kinds) > 1:
        raise _NotAlikeError
    (kind,) = kinds
    if kind == "Constant":
        return _stacked_constants(nodes, heights)
    first = _stacked([node.input_value(0).get_node() for node in nodes], heights)
    if kind == "Convert" and len({node.get_element_type() for node in nodes}) == 1:
        return ops.convert(first, nodes[0].get_element_type().to_string())
    if kind in _BINARY:
        second = _stacked([node.input_value(1).get_node() for node in nodes], heights)
        return _BINARY[kind](first, second)
    if kind == "Reshape" and len({tuple(node.get_output_shape(0)[1:]) for node in nodes}) == 1:
        shape = [sum(heights), *nodes[0].get_output_shape(0)[1:]]
        return ops.reshape(first, ops.constant(np.array(shape, np.int64)), False)
    raise _NotAlikeError


def _stacked_constants(nodes: Sequence[Any], heights: Sequence[int]) -> Any:
    shapes = [list(node.get_output_shape(0)) for node in nodes]
    element_type = nodes[0].get_element_type()
    is_alike = len({(*shape[1:], node.get_element_type().to_string())
                    for shape, node in zip(shapes, nodes, strict=True)}) == 1  # fmt: skip
    if not is_alike or [shape[:1] for shape in shapes] != [[height] for height in heights]:
        raise _NotAlikeError
    # Types of less than a byte come packed; each of them must end where a byte does.
    bits = [int(np.prod(shape)) * element_type.bitwidth for shape in shapes]
    if any(count % 8 for count in bits) or sum(bits) // 8 > MAX_JOINED_BYTES:
        raise _NotAlikeError
    raw = np.concatenate(
        [np.ascontiguousarray(node.data).reshape(-1).view(np.uint8) for node in nodes]
    )
    shape = ov.Shape([sum(heights), *shapes[0][1:]])
    tensor = ov.Tensor(element_type, shape)
    tensor.data.reshape(-1).view(np.uint8)[:] = raw
    return ov.op.Constant(tensor)
