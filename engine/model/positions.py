"""Rotary embeddings that count positions by themselves are made to read `position_ids`.

Owns: that rewriting of a stateful model in memory. Does not know: attention, files. Some IRs of Optimum-Intel
(Qwen3.5 and later hybrids) take the positions of new tokens from the length of the past and their own number.
The paged-attention transformation puts every token into a row of its own, where that number is one, and all
tokens would stand at the same place.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as ops

_POSITIONS = "position_ids"
_TURNS = {"Cos", "Sin"}
_SHAPING = {"Unsqueeze", "Reshape", "Broadcast", "Squeeze", "Convert"}


def read_positions(model: ov.Model) -> int:
    """Rewrite `model`; how many counts of positions were replaced."""
    counts = {node.get_name(): node for node in _rotary_inputs(model) if _is_counted(node)}
    if not counts or (positions := _position_ids(model)) is None:
        return 0
    for convert in counts.values():
        shape = list(convert.get_output_partial_shape(0))
        convert.input(0).replace_source_output(_like(shape, positions).output(0))
    model.validate_nodes_and_infer_types()
    return len(counts)


def _rotary_inputs(model: ov.Model) -> Iterator[Any]:
    """Where whole numbers become the numbers whose cosines and sines are taken."""
    waiting = [node for node in model.get_ordered_ops() if node.get_type_name() in _TURNS]
    seen: set[str] = set()
    while waiting:
        node = waiting.pop()
        if node.get_name() in seen:
            continue
        seen.add(node.get_name())
        if node.get_type_name() == "Convert" and node.get_input_element_type(0).is_integral():
            yield node
            continue
        sources = [value for value in node.input_values() if value.get_element_type().is_real()]
        waiting += [value.get_node() for value in sources]


def _is_counted(convert: Any) -> bool:
    """Whether the numbers [..., 1, tokens] are a range, with the length of the past in it or added to it."""
    shape = convert.get_output_partial_shape(0)
    if shape.rank.is_dynamic or len(shape) not in (3, 4) or shape[len(shape) - 2] != 1:
        return False
    node = convert.input_value(0).get_node()
    while node.get_type_name() in _SHAPING and len(node.get_output_partial_shape(0)) > 1:
        node = node.input_value(0).get_node()
    if len(node.get_output_partial_shape(0)) != 1:
        return False
    parts = [node, *(value.get_node() for value in node.input_values())]
    is_sum = node.get_type_name() == "Add"
    return any(part.get_type_name() == "Range" for part in (parts if is_sum else parts[:1]))


def _position_ids(model: ov.Model) -> Any | None:
    """The input [batch, tokens], made if there is none; None if it is of another form."""
    for port in model.inputs:
        if _POSITIONS in port.names:
            return port.get_node() if len(port.get_partial_shape()) == 2 else None
    parameter = ops.parameter([-1, -1], ov.Type.i64)
    parameter.output(0).set_names({_POSITIONS})
    parameter.set_friendly_name(_POSITIONS)
    model.add_parameters([parameter])
    return parameter


def _like(shape: list[Any], positions: Any) -> Any:
    """Positions [batch, tokens] as [batch, 1, tokens], or as [n, batch, 1, tokens]."""
    if len(shape) == 3:
        return ops.unsqueeze(positions, _i64(1))
    times = ops.unsqueeze(positions, _i64(0, 2))
    repeats = _i64(shape[0].get_length() if shape[0].is_static else 1, 1, 1, 1)
    return ops.broadcast(times, repeats, broadcast_spec="BIDIRECTIONAL")


def _i64(*values: int) -> Any:
    return ops.constant(np.array(values, np.int64))
