"""Layers that keep a state of fixed size instead of keys and values: their sizes, and the names of their weights.

Names are those of Hugging Face's checkpoints. Knows neither config files nor OpenVINO.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

Shapes = Iterator[tuple[str, tuple[int, ...]]]


@dataclass(frozen=True)
class ShortConvolution:
    """A gated convolution over the last `kernel` tokens, as LFM2 has it."""

    kernel: int
    bias: bool = False

    @property
    def shares(self) -> tuple[int, int]:
        """It has no heads."""
        return 1, 1

    def weight_shapes(self, hidden: int) -> Shapes:
        """Every weight of a layer, by its name within it."""
        shapes = {
            "in_proj": (3 * hidden, hidden),
            "conv": (hidden, 1, self.kernel),
            "out_proj": (hidden, hidden),
        }
        for name, shape in shapes.items():
            yield f"conv.{name}.weight", shape
            if self.bias:
                yield f"conv.{name}.bias", shape[:1]


@dataclass(frozen=True)
class DeltaNet:
    """A gated delta net (arXiv 2412.06464), as Qwen3.5 has it.

    Each key head serves value_heads / key_heads value heads in a row, or in_turn: every key_heads-th one. kernel:
    inputs that the convolution sees. plain_rates: A_log is -exp of what it is elsewhere, as GGUF files have it.
    """

    key_heads: int
    value_heads: int
    key_dim: int
    value_dim: int
    kernel: int
    in_turn: bool = False
    plain_rates: bool = False

    @property
    def shares(self) -> tuple[int, int]:
        """Heads, and what they share."""
        return self.value_heads, self.key_heads

    @property
    def keys(self) -> int:
        """Channels of all keys, or of all queries."""
        return self.key_heads * self.key_dim

    @property
    def values(self) -> int:
        """Channels of all values."""
        return self.value_heads * self.value_dim

    @property
    def channels(self) -> int:
        """What the convolution runs over: queries, keys, then values."""
        return 2 * self.keys + self.values

    def weight_shapes(self, hidden: int) -> Shapes:
        """Every weight of a layer, by its name within it."""
        yield "linear_attn.in_proj_qkv.weight", (self.channels, hidden)
        yield "linear_attn.in_proj_z.weight", (self.values, hidden)
        yield "linear_attn.in_proj_b.weight", (self.value_heads, hidden)
        yield "linear_attn.in_proj_a.weight", (self.value_heads, hidden)
        yield "linear_attn.conv1d.weight", (self.channels, 1, self.kernel)
        yield "linear_attn.A_log", (self.value_heads,)
        yield "linear_attn.dt_bias", (self.value_heads,)
        yield "linear_attn.norm.weight", (self.value_dim,)
        yield "linear_attn.out_proj.weight", (hidden, self.values)


@dataclass(frozen=True)
class Mamba2:
    """A selective state space model (Mamba-2, arXiv 2405.21060), as Granite 4's hybrids have it.

    Each of `groups` pairs of B and C, which write to the state and read from it, serves heads / groups heads in a
    row. kernel: inputs that the convolution sees. time_limits: of a token's time step. plain_rates: as in DeltaNet.
    """

    heads: int
    head_dim: int
    groups: int
    state: int
    kernel: int
    bias: bool = False
    conv_bias: bool = True
    time_limits: tuple[float, float] = (0.0, inf)
    plain_rates: bool = False

    @property
    def shares(self) -> tuple[int, int]:
        """Heads, and what they share."""
        return self.heads, self.groups

    @property
    def width(self) -> int:
        """Of all heads."""
        return self.heads * self.head_dim

    @property
    def channels(self) -> int:
        """What the convolution runs over: heads, B, then C."""
        return self.width + 2 * self.groups * self.state

    def weight_shapes(self, hidden: int) -> Shapes:
        """Every weight of a layer, by its name within it."""
        matrices = {
            "gate_proj": (self.width, hidden),
            "conv_proj": (self.channels, hidden),
            "dt_proj": (self.heads, hidden),
            "out_proj": (hidden, self.width),
        }
        for name, shape in matrices.items():
            yield f"mamba.{name}.weight", shape
            if self.bias:
                yield f"mamba.{name}.bias", shape[:1]
        yield "mamba.conv1d.weight", (self.channels, 1, self.kernel)
        if self.conv_bias:
            yield "mamba.conv1d.bias", (self.channels,)
        yield "mamba.A_log", (self.heads,)
        yield "mamba.D", (self.heads,)
        yield "mamba.dt_bias", (self.heads,)
        yield "mamba.norm.weight", (self.width,)


Recurrence = ShortConvolution | DeltaNet | Mamba2
