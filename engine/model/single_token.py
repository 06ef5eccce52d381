"""A graph for the steps of one reply alone: a single token of a single sequence.

Owns: that copy of a paged model. Does not know: files, KV. With every shape but the block table's known
when it is compiled, the plugin need not look for new ones in some 600 operations at each step, nor
prepare itself anew between a prompt and its reply; and matrices of 8 bits are multiplied in floats, which
takes less time for a single row. Together 0.8 of a step's time for the 135M model (`bench/NOTES.md`). It holds the
weights once more, so it is for small models.
"""

import logging
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from engine.model.batch import Inputs

log = logging.getLogger(__name__)

# What it saves grows with the operations, its memory with all weights.
MAX_WEIGHT_BYTES = 1 << 30
_SHARE_OF_MEMORY = 8

_LENGTHS = {
    "input_ids": 1,
    "position_ids": 1,
    "past_lens": 1,
    "logit_indices": 1,
    "subsequence_begins": 2,
    "block_indices_begins": 2,
    "la.block_indices": 2,  # it reads one state and writes one
    "la.block_indices_begins": 2,
    "la.past_lens": 1,
    "la.cache_interval": 1,
}
_FOUR_BITS = (ov.Type.u4, ov.Type.i4, ov.Type.nf4)


def is_worth_it(weight_bytes: int, room: int) -> bool:
    """Whether weights of so many bytes may be there twice, with so many bytes of memory left."""
    return weight_bytes <= min(MAX_WEIGHT_BYTES, room // _SHARE_OF_MEMORY)


def is_single_token(inputs: Inputs) -> bool:
    """Whether a step computes one token, and wants its logits."""
    return len(inputs["input_ids"]) == 1 == len(inputs["logit_indices"])


def single_token_graph(model: ov.Model) -> ov.Model | None:
    """A copy of a paged model for such steps, which shares the constants; None if it cannot be made."""
    single = model.clone()
    _hide_lengths_from_experts(single)
    names = {name for port in single.inputs for name in port.names}
    try:
        single.reshape({name: [length] for name, length in _LENGTHS.items() if name in names})
    except RuntimeError as error:
        log.info("There is no graph for single tokens: %s", str(error).strip().splitlines()[-1])
        return None
    return single


def _hide_lengths_from_experts(model: ov.Model) -> None:
    """Let the number of tokens be unknown where experts are: the plugin finds only such ones.

    With a known number it drops reshapes that it looks for, and computes all experts for every token.
    """
    begins = [port for port in model.inputs if "subsequence_begins" in port.names]
    for node in model.get_ordered_ops():
        if begins and node.get_type_name() == "Tile" and _repeats_tokens(node):
            width = node.input_value(0).get_partial_shape()[1].get_length()
            count = ops.gather(begins[0].get_node(), ops.constant([-1]), ops.constant(0))
            target = ops.concat([ops.convert(count, "i64"), ops.constant([width])], 0)
            node.input_value(0).get_node().input(1).replace_source_output(target.output(0))


def _repeats_tokens(tile: Any) -> bool:
    """Whether it makes copies of tokens [tokens, width] for products of several experts."""
    flat = tile.input_value(0).get_node()
    if flat.get_type_name() != "Reshape" or len(flat.get_output_partial_shape(0)) != 2:
        return False
    shape, width = flat.input_value(0).get_partial_shape(), flat.get_output_partial_shape(0)[1]
    is_of_tokens = len(shape) == 3 and width.is_static and shape[2] == width and 1 in shape
    return is_of_tokens and any(
        product.get_node().get_type_name() == "MatMul"
        for copies in tile.output(0).get_target_inputs()
        for product in copies.get_node().output(0).get_target_inputs()
    )


def multiply_bytes_in_floats(model: ov.Model) -> dict[str, str]:
    """Properties to compile `model` with, so that its 8-bit matrices are multiplied in floats.

    Beside 4-bit matrices, which quantised activations make quicker, that takes zero-points that OpenVINO
    cannot take there: halves in the place of bytes.
    """
    matrices = [
        _follow(node.input_value(1).get_node())
        for node in model.get_ordered_ops()
        if node.get_type_name() == "MatMul" and node.get_attributes()["transpose_b"]
    ]
    types = [codes.get_element_type() for codes, _ in matrices]
    if not any(kind in _FOUR_BITS for kind in types):
        return {"DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}
    for kind, (_, differences) in zip(types, matrices, strict=True):
        if kind == ov.Type.u8:
            for difference in differences:
                _make_halves(difference.input(1))
    return {}


def _follow(node: Any) -> tuple[Any, list[Any]]:
    """Where a matrix comes from, its codes if it is compressed; and the subtractions on the way."""
    differences = []
    while node.get_type_name() in {"Convert", "Reshape", "Multiply", "Subtract"}:
        if node.get_type_name() == "Subtract":
            differences.append(node)
        node = node.input_value(0).get_node()
    return node, differences


def _make_halves(port: Any) -> None:
    convert = port.get_source_output().get_node()
    constant = (
        convert.input_value(0).get_node() if convert.get_type_name() == "Convert" else convert
    )
    if constant.get_type_name() == "Constant" and constant.get_element_type() == ov.Type.u8:
        halves = ops.constant(constant.data.astype(np.float16))
        port.replace_source_output(ops.convert(halves, convert.get_element_type()).output(0))
