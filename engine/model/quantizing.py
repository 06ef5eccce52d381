"""4-bit weights with fractional zero-points become int8, whose products take less time on every CPU.

Owns: that rewriting of the graph in memory, and in what groups activations are rounded beside it. Does
not know: files, attention. GGUF's Q4_1 stores a scale and a minimum for each group; as a zero-point the
minimum is a fraction, which OpenVINO's int8 products cannot take: it unpacks such weights to floats at
every step. Int8 codes with a scale for each row cost twice the bytes and a rounding of 5 to 8 % of a 4-bit
step. With VNNI they give half to two thirds of the time for more than one token at once; without, where
products stay in floats, they are unpacked in less time, which counts for few tokens (`bench/NOTES.md`).
Where a table of embeddings shares the weights, it keeps them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino as ov
from openvino import opset13 as ops

# Activations that share a scale beside such weights. OpenVINO's own 32 takes longer; matrices in groups of
# less, which the lm_head of a GGUF file has, are then multiplied in floats, and logits want that most.
ACTIVATION_GROUP = 64
MAX_WEIGHTS = 2 << 30  # of a model; larger ones keep their 4 bits, for the memory
_WEIGHTS_AT_ONCE = 4 << 20  # so that only a part is ever there as floats
_FRACTIONAL = (ov.Type.f16, ov.Type.f32)

Codes = npt.NDArray[np.int8]
Scales = npt.NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class _Grouped:
    """(codes - zero_points) * scales; constants [rows, groups, size] of u4 and [rows, groups, 1]."""

    codes: Any
    zero_points: Any
    scales: Any


def quantize_products(model: ov.Model) -> int:
    """Rewrite the weights of `model`; how many matrices are int8 now that were not."""
    weights = {
        node.input_value(1).get_node().get_name(): node.input_value(1)
        for node in model.get_ordered_ops()
        if node.get_type_name() == "MatMul"
        and node.get_attributes()["transpose_b"]
        and len(node.input_value(1).get_partial_shape()) == 2  # those of experts have one more
    }
    found = [(old, g) for old in weights.values() if (g := _find(old.get_node())) is not None]
    if sum(np.prod(grouped.codes.get_output_shape(0)) for _, grouped in found) > MAX_WEIGHTS:
        return 0
    for old, grouped in found:
        new = _int8(grouped, old).output(0)
        for port in old.get_target_inputs():
            if port.get_node().get_type_name() == "MatMul":
                port.replace_source_output(new)
    return len(found)


def _find(node: Any) -> _Grouped | None:
    """The parts of 4-bit weights in groups whose zero-points are fractions."""
    while node.get_type_name() in {"Convert", "Reshape"}:
        node = node.input_value(0).get_node()
    if node.get_type_name() != "Multiply":
        return None
    difference, scales = (node.input_value(i).get_node() for i in range(2))
    if difference.get_type_name() != "Subtract":
        return None
    codes = _constant(difference.input_value(0).get_node())
    zero_points = _constant(difference.input_value(1).get_node())
    scales = _constant(scales)
    if codes is None or zero_points is None or scales is None:
        return None
    is_fractional = zero_points.get_element_type() in _FRACTIONAL
    if codes.get_element_type() != ov.Type.u4 or not is_fractional:
        return None
    grouped = _Grouped(codes, zero_points, scales)
    return grouped if _has_one_each(grouped) else None


def _has_one_each(grouped: _Grouped) -> bool:
    """Whether each group has a zero-point and a scale of its own, and each row ends where a byte does."""
    shape = list(grouped.codes.get_output_shape(0))
    if len(shape) != 3 or shape[1] * shape[2] % 2:
        return False
    parts = (grouped.zero_points, grouped.scales)
    return all(list(part.get_output_shape(0)) == [*shape[:2], 1] for part in parts)


def _constant(node: Any) -> Any | None:
    while node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
    return node if node.get_type_name() == "Constant" else None


def _int8(grouped: _Grouped, old: Any) -> Any:
    """A node that gives what `old` gives, from int8 codes."""
    rows, groups, size = grouped.codes.get_output_shape(0)
    codes, scales = np.empty((rows, groups * size), np.int8), np.empty((rows, 1), np.float16)
    packed = grouped.codes.data.reshape(-1).view(np.uint8).reshape(rows, -1)
    height = max(_WEIGHTS_AT_ONCE // (groups * size), 1)
    for begin in range(0, rows, height):
        part = slice(begin, begin + height)
        values = _unpacked(packed[part]).reshape(-1, groups, size)
        values -= grouped.zero_points.data[part]
        values *= grouped.scales.data[part]
        codes[part], scales[part] = _rounded(values.reshape(len(values), -1))
    node = ops.multiply(ops.convert(ops.constant(codes), "f16"), ops.constant(scales))
    return ops.convert(node, old.get_element_type().to_string())


def _unpacked(packed: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Two codes from each byte, the low half first."""
    codes = np.empty((len(packed), packed.shape[1], 2), np.float32)
    codes[..., 0], codes[..., 1] = packed & 15, packed >> 4
    return codes


def _rounded(values: npt.NDArray[np.float32]) -> tuple[Codes, Scales]:
    """Symmetric int8 codes of values [rows, columns], and their scales [rows, 1]."""
    largest = np.abs(values).max(axis=-1, keepdims=True)
    # At least the smallest of halves, so that a row of zeros divides by something.
    smallest = np.finfo(np.float16).smallest_subnormal
    scales = np.maximum(largest / 127, smallest).astype(np.float16)
    return np.clip(np.rint(values / scales), -127, 127).astype(np.int8), scales
