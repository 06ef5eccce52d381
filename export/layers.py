"""What layers of every kind are made of: norms and products with the decoder's weights. Knows no kind of layer."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from openvino import opset13 as ops

from export import nodes
from export.nodes import Node
from export.packing import Weight
from export.spec import DecoderSpec
from export.tensors import Floats


class Weights(Protocol):
    """The decoder's weights by canonical name; their memory must outlive the model."""

    def matrix(self, name: str) -> Weight:
        """A matrix [rows, columns] as the IR will hold it."""

    def vector(self, name: str) -> Floats:
        """A norm's weight, a bias or another small array as float32."""


def norm(spec: DecoderSpec, weights: Weights, name: str, x: Node, rank: int) -> Node:
    """RMSNorm over the last axis of `x`."""
    return nodes.rms_norm(x, weights.vector(name) + np.float32(spec.norm_offset), spec.eps, rank)


def rates(weights: Weights, name: str, *, plain: bool) -> Floats:
    """How fast each head of a recurrent layer forgets, negative."""
    values = weights.vector(f"{name}.A_log")
    return values if plain else -np.exp(values)


def linear(weights: Weights, name: str, x: Node, *, bias: bool) -> Node:
    """X times the transposed matrix `name`.weight, plus its bias."""
    y = nodes.product(x, weights.matrix(f"{name}.weight"), f"{name}.weight")
    if not bias:
        return y
    return ops.add(y, nodes.floats(weights.vector(f"{name}.bias").reshape(1, 1, -1)))
