"""A loop over tokens as an operation, in the form that OpenVINO takes for its own operations.

The order of the body's inputs and results belongs to that form. Knows no recurrence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from export.nodes import Node, scalar


@dataclass(frozen=True)
class Body:
    """One token: what it takes (inputs) and makes (`new_state`, `all_read_now`).

    per_token: with an axis of length one where the token's is. all_read: what was read so far, for all tokens.
    """

    time: Node
    per_token: Sequence[Node]
    state: Node
    all_read: Node
    new_state: Node
    all_read_now: Node


def over_tokens(
    body: Body, per_token: Sequence[Node], state: Node, like: Node, axis: int
) -> tuple[Node, Node]:
    """What is read at all tokens, of the shape of `like`, and the last state; tokens stand along `axis`."""
    goes_on = ops.constant(np.array([True]))
    parameters = [body.time, *body.per_token, body.state, body.all_read]
    model = ov.Model([goes_on, body.new_state, body.all_read_now], parameters, "one_token")
    shape = ops.shape_of(like, ov.Type.i64)
    count = ops.convert(ops.gather(shape, scalar(axis), scalar(0)), ov.Type.i32)
    loop = ops.loop(count, ops.constant(np.array(True)))
    loop.set_function(model)
    for port, value in zip(body.per_token, per_token, strict=True):
        loop.set_sliced_input(port, value.output(0), 0, 1, 1, -1, axis)
    loop.set_merged_input(body.state, state.output(0), body.new_state.output(0))
    nothing = ops.broadcast(ops.constant(np.float32(0)), shape)
    loop.set_merged_input(body.all_read, nothing.output(0), body.all_read_now.output(0))
    loop.set_special_body_ports([0, 0])
    read = loop.get_iter_value(body.all_read_now.output(0), -1)
    return read, loop.get_iter_value(body.new_state.output(0), -1)


def time() -> Node:
    """The body's number of the token."""
    return ops.parameter(ov.PartialShape([]), ov.Type.i32)


def part(*shape: int) -> Node:
    """An input of the body."""
    return ops.parameter(ov.PartialShape(list(shape)), ov.Type.f32)


def written(all_read: Node, time: Node, read: Node, axis: int) -> Node:
    """`all_read` with what the token reads at its place."""
    return ops.scatter_update(all_read, ops.unsqueeze(time, i32(0)), read, i32(axis))


def i32(value: int) -> Node:
    """A zero-dimensional i32 constant, as the form wants them within the body."""
    return ops.constant(np.int32(value))
