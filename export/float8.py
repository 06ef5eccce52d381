"""Matrices of 8-bit floating-point numbers (E4M3) with scales by block, row or matrix.

E4M3 is that of the OCP specification of 8-bit floating point: one sign, four bits of exponent with bias 7,
three of mantissa, no infinities. OpenVINO multiplies by none of these, so that they become float16.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.tensors import Floats


def _e4m3() -> Floats:
    """The 256 numbers."""
    codes = np.arange(256)
    exponents, mantissas = (codes >> 3) & 15, codes & 7
    normal = np.ldexp(1 + mantissas / 8, exponents - 7)
    values = np.where(exponents == 0, np.ldexp(mantissas / 8, -6), normal)
    values[(codes & 127) == 127] = np.nan
    return np.where(codes > 127, -values, values).astype(np.float32)


E4M3 = _e4m3()


@dataclass(frozen=True)
class ScaledFloat8:
    """Codes [rows, columns]; scales, read by row numbers, for each `width` columns, the last ones cut short."""

    codes: NDArray[Any]
    scales: Callable[[NDArray[np.intp]], Floats]
    width: int

    def read(self, rows: NDArray[np.intp]) -> Floats:
        """The rows of these numbers, as float32."""
        columns = np.arange(self.codes.shape[1]) // self.width
        values: Floats = E4M3[self.codes[rows]] * self.scales(rows)[:, columns]
        return values
