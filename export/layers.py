"""What layers of several kinds have of their weights: norms, and rates of forgetting. Knows no kind of layer."""

from __future__ import annotations

import numpy as np

from export import nodes
from export.nodes import Node, Weights
from export.spec import DecoderSpec
from export.tensors import Floats


def norm(spec: DecoderSpec, weights: Weights, name: str, x: Node, rank: int) -> Node:
    """RMSNorm over the last axis of `x`."""
    return nodes.rms_norm(x, weights.vector(name) + np.float32(spec.norm_offset), spec.eps, rank)


def rates(weights: Weights, name: str, *, plain: bool) -> Floats:
    """How fast each head of a recurrent layer forgets, negative."""
    values = weights.vector(f"{name}.A_log")
    return values if plain else -np.exp(values)
