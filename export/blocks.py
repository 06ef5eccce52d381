"""GGUF blocks kept as they are: the file's own codes and scales, regrouped for OpenVINO.

Block layouts are those of ggml-common.h. Q4_0, Q5_0, Q8_0, IQ4_NL and MXFP4 map exactly. The offsets of
Q4_1 and Q5_1, and the scales of the super-blocks Q4_K and Q5_K, become float16 (relative error
2**-11). `rounded` makes zero-points integers, which is no faster and visibly worse.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.coded import CodedMatrix
from export.packing import Codes
from export.tensors import Bytes, StoredTensor

BLOCK_COLUMNS = 32
IQ4_NL_VALUES = np.array(
    [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.int8
)

# Twice the numbers of four bits, two of which are an exponent.
MXFP4_VALUES = np.array([0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12], np.int8)

Halves = NDArray[np.float16]
Grid = tuple[Halves, Halves]


@dataclass(frozen=True)
class BlockLayout:
    """How a block type is stored: bytes a block, code type, how codes and offsets are read.

    `codes` gives [rows, groups, 32] from [rows, blocks, bytes]; `grid` scales and offsets
    [rows, groups] of blocks whose value is code * scale + offset, None where there is no offset; `scales` those of
    other blocks.
    """

    block_bytes: int
    code_type: str
    codes: Callable[[Bytes], NDArray[np.generic]]
    grid: Callable[[Bytes], Grid] | None = None
    scales: Callable[[Bytes], Halves] = lambda blocks: _halves(blocks, 0)


def _nibbles(packed: Bytes) -> Bytes:
    """16 bytes -> 32 codes: first the low halves, then the high ones."""
    return np.concatenate([packed & 15, packed >> 4], axis=-1)


def _five_bits(blocks: Bytes, start: int) -> Bytes:
    high = np.unpackbits(blocks[..., start : start + 4], axis=-1, bitorder="little")
    return _nibbles(blocks[..., start + 4 :]) + high * np.uint8(16)


def _scale_and_offset(blocks: Bytes) -> Grid:
    return _halves(blocks, 0), _halves(blocks, 2)


def _super_grid(blocks: Bytes) -> Grid:
    """Eight 6-bit scales and minima a super-block, times its two factors."""
    packed = blocks[..., 4:16]
    low, high, mixed = packed[..., 0:4], packed[..., 4:8], packed[..., 8:12]
    scales = np.concatenate([low & 63, (mixed & 15) | ((low >> 2) & 48)], axis=-1)
    minima = np.concatenate([high & 63, (mixed >> 4) | ((high >> 2) & 48)], axis=-1)
    factor = _halves(blocks, 0).astype(np.float32)[..., None]
    minimum = _halves(blocks, 2).astype(np.float32)[..., None]
    rows = len(blocks)
    return (
        (factor * scales).reshape(rows, -1).astype(np.float16),
        (-minimum * minima).reshape(rows, -1).astype(np.float16),
    )


def _super_nibbles(blocks: Bytes, start: int) -> Bytes:
    """Runs of 32 bytes: a group of low halves, then a group of high ones."""
    packed = blocks[..., start : start + 128].reshape(len(blocks), -1, 1, 32)
    both = np.concatenate([packed & 15, packed >> 4], axis=2)
    return both.reshape(len(blocks), -1, BLOCK_COLUMNS)


def _super_five_bits(blocks: Bytes) -> Bytes:
    """Bit g of byte i of the second part is the fifth bit of code i in group g."""
    masks = blocks[..., 16:48][..., None, :]
    shifts = np.arange(8, dtype=np.uint8)[:, None]
    high = ((masks >> shifts) & 1).reshape(len(blocks), -1, BLOCK_COLUMNS)
    return _super_nibbles(blocks, 48) + high * np.uint8(16)


LAYOUTS: dict[str, BlockLayout] = {
    "Q4_0": BlockLayout(18, "i4", lambda b: (_nibbles(b[..., 2:]) ^ 8) & 15),
    "Q4_1": BlockLayout(20, "u4", lambda b: _nibbles(b[..., 4:]), _scale_and_offset),
    "Q5_0": BlockLayout(22, "i8", lambda b: _five_bits(b, 2).view(np.int8) - np.int8(16)),
    "Q5_1": BlockLayout(24, "u8", lambda b: _five_bits(b, 4), _scale_and_offset),
    "Q8_0": BlockLayout(34, "i8", lambda b: b[..., 2:]),
    "IQ4_NL": BlockLayout(18, "i8", lambda b: IQ4_NL_VALUES[_nibbles(b[..., 2:])]),
    "MXFP4": BlockLayout(
        17,
        "i8",
        lambda b: MXFP4_VALUES[_nibbles(b[..., 1:])],
        scales=lambda b: np.ldexp(1.0, b[..., 0].astype(np.int32) - 128).astype(np.float16),
    ),
    "Q4_K": BlockLayout(144, "u4", lambda b: _super_nibbles(b, 16), _super_grid),
    "Q5_K": BlockLayout(176, "u8", _super_five_bits, _super_grid),
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
        if LAYOUTS[self.encoding].grid is None:
            return None
        return self.code_type if self.rounded else "f16"

    @property
    def group_size(self) -> int:
        """A block is a group; a super-block holds eight."""
        return BLOCK_COLUMNS

    def encode(self, tensor: StoredTensor, start: int, stop: int) -> Codes:
        """The file's codes of rows [start, stop)."""
        assert tensor.encoding == self.encoding
        layout = LAYOUTS[self.encoding]
        stored = np.ascontiguousarray(tensor.stored_rows(start, stop)).view(np.uint8)
        blocks = stored.reshape(stop - start, -1, layout.block_bytes)
        codes = np.ascontiguousarray(layout.codes(blocks)).view(np.uint8)
        if layout.grid is None:
            return Codes(codes, layout.scales(blocks), None)
        scales, offsets = layout.grid(blocks)
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


def coded_rows(tensor: StoredTensor) -> CodedMatrix:
    """Codes of 8 bits, raised by 128, to be read row by row; of a matrix whose blocks have no offsets."""
    layout = LAYOUTS[tensor.encoding]
    assert layout.grid is None
    sign = np.uint8(8 if layout.code_type == "i4" else 128)

    def blocks(rows: NDArray[np.intp]) -> Bytes:
        stored = np.ascontiguousarray(tensor.stored[rows]).view(np.uint8)
        return stored.reshape(len(rows), -1, layout.block_bytes)

    def codes(rows: NDArray[np.intp]) -> Bytes:
        raised = np.ascontiguousarray(layout.codes(blocks(rows))).view(np.uint8) ^ sign
        return (raised + np.uint8(128 - sign)).reshape(len(rows), -1)

    groups = tensor.shape[1] // BLOCK_COLUMNS
    return CodedMatrix(
        8,
        BLOCK_COLUMNS,
        codes,
        lambda rows: layout.scales(blocks(rows)).astype(np.float32),
        lambda rows: np.full((len(rows), groups), 128, np.uint8),
    )


def _halves(blocks: Bytes, start: int) -> Halves:
    return np.ascontiguousarray(blocks[..., start : start + 2]).view(np.float16)[..., 0]


def _zero_points(scales: Halves, offsets: Halves, flat: NDArray[np.bool_]) -> NDArray[np.float32]:
    wide = scales.astype(np.float32)
    zeros = np.zeros_like(wide)
    return np.divide(-offsets.astype(np.float32), wide, out=zeros, where=(wide != 0) & ~flat)
