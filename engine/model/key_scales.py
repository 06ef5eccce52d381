"""Whether 8-bit keys may have one scale for each token, instead of one for each channel of a block.

Owns: that look at the graph. Does not know: blocks, compiling. By token, a step of 16 sequences takes
0.9 of the time (`bench/NOTES.md`), and how keys are rounded does not depend on the steps in which a
conversation was read, since a block that fills up is not quantised again. But one channel much
larger than the others would take their precision (outlier channels: Liu et al., KIVI, 2024). Biases
and norms of keys, as Qwen2 and Qwen3 have them, are made for that: such models keep a scale for
each channel.
"""

from math import prod
from typing import Any

import openvino as ov

_KEY = 1  # which input of paged attention
_ENDS = {"MatMul", "Cos", "Sin", "Constant", "Parameter"}


def fit_tokens(model: ov.Model) -> bool:
    """Whether no key of the paged `model` has a bias or the weights of a norm."""
    attentions = [n for n in model.get_ops() if n.get_type_name() == "PagedAttentionExtension"]
    return bool(attentions) and not any(map(_has_uneven_keys, attentions))


def _has_uneven_keys(attention: Any) -> bool:
    """Whether channels are added to, or multiplied, between the key's product and the attention."""
    waiting, seen = [attention.input_value(_KEY).get_node()], set()
    while waiting:
        node = waiting.pop()
        if node.get_name() in seen or node.get_type_name() in _ENDS:
            continue
        seen.add(node.get_name())
        inputs = [value.get_node() for value in node.input_values()]
        if node.get_type_name() in {"Add", "Multiply"} and any(map(_has_channels, inputs)):
            return True
        waiting += inputs
    return False


def _has_channels(node: Any) -> bool:
    """Whether the node is a constant of more than one value."""
    while node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
    return bool(node.get_type_name() == "Constant" and prod(node.get_output_shape(0)) > 1)
