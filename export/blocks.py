"""GGUF blocks kept as they are: the file's own codes and scales, regrouped for OpenVINO.

Block layouts are those of ggml-common.h. Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 and IQ4_NL map exactly but
for the zero-points of Q4_1 and Q5_1, which become float16 (relative error 2**-11); `rounded`
makes them integers, which is faster and visibly worse.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.packing import Codes
from export.tensors import Bytes, StoredTensor

BLOCK_COLUMNS = 32
IQ4_NL_VALUES = np.array(
    [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.int8
)

Halves = NDArray[np.float16]


@dataclass(frozen=True)
class BlockLayout:
    """How a block type is stored: bytes a block, code type, whether it has an offset."""

    block_bytes: int
    code_type: str
    has_offset: bool
    codes: Callable[[Bytes], NDArray[np.generic]]


def _nibbles(packed: Bytes) -> Bytes:
    """16 bytes -> 32 codes: first the low halves, then the high ones."""
    return np.concatenate([packed & 15, packed >> 4], axis=-1)


def _five_bits(blocks: Bytes, start: int) -> Bytes:
    high = np.unpackbits(blocks[..., start : start + 4], axis=-1, bitorder="little")
    return _nibbles(blocks[..., start + 4 :]) + high * np.uint8(16)


LAYOUTS: dict[str, BlockLayout] = {
    "Q4_0": BlockLayout(18, "i4", False, lambda b: (_nibbles(b[..., 2:]) ^ 8) & 15),
    "Q4_1": BlockLayout(20, "u4", True, lambda b: _nibbles(b[..., 4:])),
    "Q5_0": BlockLayout(22, "i8", False, lambda b: _five_bits(b, 2).view(np.int8) - np.int8(16)),
    "Q5_1": BlockLayout(24, "u8", True, lambda b: _five_bits(b, 4)),
    "Q8_0": BlockLayout(34, "i8", False, lambda b: b[..., 2:]),
    "IQ4_NL": BlockLayout(18, "i8", False, lambda b: IQ4_NL_VALUES[_nibbles(b[..., 2:])]),
}


@dataclass(frozen=True)
class BlockCoder:
    """The coder of one GGUF block type."""

    encoding: str
    rounded: bool = False

    @property
    def code_type(self) -> str:
        """The type that holds the file's codes."""
        return LAYOUTS[self.encoding].code_type

    @property
    def zero_type(self) -> str | None:
        """float16 for blocks with an offset, or the codes' own type when rounded."""
        if not LAYOUTS[self.encoding].has_offset:
            return None
        return self.code_type if self.rounded else "f16"

    @property
    def group_size(self) -> int:
        """A block is a group."""
        return BLOCK_COLUMNS

    def encode(self, tensor: StoredTensor, start: int, stop: int) -> Codes:
        """The file's codes of rows [start, stop)."""
        assert tensor.encoding == self.encoding
        layout = LAYOUTS[self.encoding]
        stored = np.ascontiguousarray(tensor.stored_rows(start, stop)).view(np.uint8)
        blocks = stored.reshape(stop - start, -1, layout.block_bytes)
        codes = np.ascontiguousarray(layout.codes(blocks)).view(np.uint8)
        scales = _halves(blocks, 0)
        if not layout.has_offset:
            return Codes(codes, scales, None)
        offsets = _halves(blocks, 2)
        flat = scales == 0
        if flat.any():
            # All values of such a block equal its offset, which becomes the scale of code 1.
            codes[flat] = 1
            scales = np.where(flat, offsets, scales)
        zero_points = _zero_points(scales, offsets, flat)
        if self.rounded:
            limit = 15 if layout.code_type == "u4" else 31
            return Codes(codes, scales, np.clip(np.rint(zero_points), 0, limit).astype(np.uint8))
        return Codes(codes, scales, zero_points.astype(np.float16))


def _halves(blocks: Bytes, start: int) -> Halves:
    return np.ascontiguousarray(blocks[..., start : start + 2]).view(np.float16)[..., 0]


def _zero_points(scales: Halves, offsets: Halves, flat: NDArray[np.bool_]) -> NDArray[np.float32]:
    wide = scales.astype(np.float32)
    zeros = np.zeros_like(wide)
    return np.divide(-offsets.astype(np.float32), wide, out=zeros, where=(wide != 0) & ~flat)
