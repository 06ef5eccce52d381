"""Readers of rows from words of 32 bits that hold several codes each, the first in the lowest bits.

All take row numbers and return [rows, columns]; words are read when rows are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.tensors import Bytes, Floats, to_float32

Rows = NDArray[np.intp]
CodeReader = Callable[[Rows], Bytes]


def along_columns(words: NDArray[Any], bits: int, columns: int) -> CodeReader:
    """A row's words [rows, words] hold its neighbouring columns."""

    def read(rows: Rows) -> Bytes:
        packed = np.ascontiguousarray(words[rows]).view(np.uint8)
        if bits == 8:
            return packed[:, :columns]
        codes = np.stack([packed & 15, packed >> 4], axis=-1)
        return codes.reshape(len(rows), -1)[:, :columns]

    return read


def along_rows(
    words: NDArray[Any], bits: int, lanes: Sequence[int] | None = None, offset: int = 0
) -> CodeReader:
    """A column's words [words, columns] hold neighbouring rows.

    lanes: where in its word each of them stands, if not in their order. offset: is added to each code, which
    wraps around.
    """
    per_word, mask = 32 // bits, (1 << bits) - 1
    places = np.array(range(per_word) if lanes is None else lanes, np.int32)

    def read(rows: Rows) -> Bytes:
        shifts = (places[rows % per_word] * bits).astype(np.int32)
        codes = (words[rows // per_word] >> shifts[:, None]) + offset
        return (codes & mask).astype(np.uint8)

    return read


def constant(value: int, columns: int) -> CodeReader:
    """The same everywhere."""
    return lambda rows: np.full((len(rows), columns), value, np.uint8)


def as_floats(stored: NDArray[Any], encoding: str) -> Callable[[Rows], Floats]:
    """Rows in an element encoding."""
    return lambda rows: to_float32(stored[rows], encoding)
