"""What each token may look at, as operations: everything before it, or a window.

The shapes of these subgraphs are those that OpenVINO's transformations match: change them only with the tests.
"""

from __future__ import annotations

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from export import nodes
from export.nodes import Node, axes, scalar

_MASKED = -65504.0


def causal_mask(attention_mask: Node, num_queries: Node) -> Node:
    """[batch, 1, queries, keys]: 0 where a query may look, a large negative number elsewhere."""
    num_keys = nodes.dimension(ops.shape_of(attention_mask, ov.Type.i64), 1, keep=False)
    keys = ops.range(scalar(0), num_keys, scalar(1), ov.Type.i64)
    queries = ops.range(ops.subtract(num_keys, num_queries), num_keys, scalar(1), ov.Type.i64)
    causal = ops.less_equal(ops.unsqueeze(keys, axes(0)), ops.unsqueeze(queries, axes(1)))
    real = ops.not_equal(ops.unsqueeze(attention_mask, axes(1, 2)), scalar(0))
    allowed = ops.logical_and(real, ops.unsqueeze(causal, axes(0, 1)))
    return ops.select(allowed, ops.constant(np.float32(0)), ops.constant(np.float32(_MASKED)))


def window_mask(attention_mask: Node, num_queries: Node, window: int) -> Node:
    """The same where a query may look at `window` keys, its own included.

    The paged-attention transformation finds the window by the shape of these operations, which is that of
    transformers' masks as Optimum-Intel exports them.
    """
    num_keys = nodes.dimension(ops.shape_of(attention_mask, ov.Type.i64), 1, keep=False)
    keys = ops.unsqueeze(ops.range(scalar(0), num_keys, scalar(1), ov.Type.i64), axes(0, 1, 2))
    first = ops.subtract(num_keys, num_queries)
    queries = ops.unsqueeze(ops.range(first, num_keys, scalar(1), ov.Type.i64), axes(0, 1, 3))
    near = ops.greater(
        keys, ops.add(queries, ops.constant(np.full((1, 1, 1, 1), -window, np.int64)))
    )
    yes = ops.constant(np.array(True))
    near = ops.bitwise_and(ops.bitwise_and(yes, near), ops.less_equal(keys, queries))
    real = ops.not_equal(ops.unsqueeze(attention_mask, axes(1, 2)), scalar(0))
    allowed = ops.bitwise_and(ops.bitwise_and(yes, near), real)
    shape = ops.concat(
        [
            nodes.dimension(ops.shape_of(attention_mask, ov.Type.i64), 0, keep=True),
            axes(1),
            ops.unsqueeze(num_queries, axes(0)),
            ops.unsqueeze(num_keys, axes(0)),
        ],
        0,
    )
    allowed = ops.broadcast(allowed, shape)
    return ops.select(allowed, ops.constant(np.float32(0)), ops.constant(np.float32(_MASKED)))
