"""Integer codes from float weights: int8 by row, int4 by group with a search for the scale.

Both are coders for `export.packing`. The search minimises each group's squared error over a few
clipping ratios, then fits the scale by least squares.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.packing import Codes
from export.tensors import Floats, StoredTensor

TINY = np.float32(6e-8)


@dataclass(frozen=True)
class Int8Coder:
    """Asymmetric 8-bit codes; one scale and zero-point for each row (group_size 0) or group."""

    group_size: int = 0
    code_type: str = "u8"
    zero_type: str | None = "u8"

    def encode(self, tensor: StoredTensor, start: int, stop: int) -> Codes:
        """Codes 0..255 of rows [start, stop)."""
        values = grouped(tensor.read(start, stop), self.group_size)
        low, high = bounds(values)
        scales = half_scales((high - low) / 255)
        zero_points = np.clip(np.rint(-low / scales), 0, 255)
        codes = np.clip(np.rint(values / scales[..., None]) + zero_points[..., None], 0, 255)
        return Codes(
            codes.astype(np.uint8), scales.astype(np.float16), zero_points.astype(np.uint8)
        )


def grouped(values: Floats, group_size: int) -> Floats:
    """[rows, columns] -> [rows, groups, group_size]."""
    rows, columns = values.shape
    size = group_size or columns
    return values.reshape(rows, columns // size, size)


def bounds(values: Floats) -> tuple[Floats, Floats]:
    """Smallest and largest value of each group, zero included."""
    low = np.minimum(values.min(axis=-1), 0)
    high = np.maximum(values.max(axis=-1), 0)
    return low, high


def half_scales(scales: NDArray[np.floating]) -> Floats:
    """The scales as float16 will hold them, never zero."""
    rounded: Floats = np.maximum(scales, TINY).astype(np.float16).astype(np.float32)
    return rounded
