"""Matrices that come as integer codes in groups of columns, kept as they are.

value = (code - zero_point) * scale. The codes go into the IR bit by bit; scales become float16, which they
are in most files. Knows no file's layout: how rows of each part are read is given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.packing import Codes
from export.tensors import Bytes, Floats, StoredTensor

Rows = NDArray[np.intp]


@dataclass(frozen=True)
class CodedMatrix:
    """Unsigned codes of 4 or 8 bits; itself the coder that keeps them.

    The parts are read by row numbers: codes [rows, columns] in the file's order of columns, scales and
    zero-points [rows, groups]. order: the numbers of the columns, group by group; None where groups are of
    neighbours.
    """

    bits: int
    group_size: int
    codes: Callable[[Rows], Bytes]
    scales: Callable[[Rows], Floats]
    zero_points: Callable[[Rows], Bytes]
    order: NDArray[np.intp] | None = None

    @property
    def code_type(self) -> str:
        """OpenVINO's name of the codes' type."""
        return f"u{self.bits}"

    @property
    def zero_type(self) -> str:
        """That of the zero-points, the same."""
        return self.code_type

    def encode(self, tensor: StoredTensor, start: int, stop: int) -> Codes:
        """The file's codes of rows [start, stop) of a tensor over this matrix, columns in `order`."""
        rows = tensor.stored_rows(start, stop).astype(np.intp, copy=False)
        return Codes(
            self._grouped(rows), self.scales(rows).astype(np.float16), self.zero_points(rows)
        )

    def read(self, rows: Rows) -> Floats:
        """The rows of these numbers, as float32."""
        codes = self._grouped(rows).reshape(len(rows), -1, self.group_size).astype(np.float32)
        zero_points = self.zero_points(rows).astype(np.float32)
        values = (codes - zero_points[..., None]) * self.scales(rows)[..., None]
        flat: Floats = values.reshape(len(rows), -1)
        if self.order is None:
            return flat
        placed = np.empty_like(flat)
        placed[:, self.order] = flat
        return placed

    def _grouped(self, rows: Rows) -> Bytes:
        codes = self.codes(rows)
        return np.ascontiguousarray(codes if self.order is None else codes[:, self.order])
