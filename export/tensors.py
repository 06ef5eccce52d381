"""A checkpoint's tensor as its file holds it: a memory-mapped array and its encoding.

Encodings carry the names of the gguf library (F32, F16, BF16, Q4_1, ...), whatever the file.
Slices and row orders are views, applied when rows are read, so that opening a checkpoint reads
nothing. Knows neither files nor families.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

ELEMENT_DTYPES: dict[str, np.dtype[np.generic]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
}
# Parts of quantised matrices, which become numbers only together (Compound); FP8 as its 8 bits.
PART_DTYPES: dict[str, np.dtype[np.generic]] = {
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "F8_E4M3": np.dtype("u1"),
}

QUANTIZED_PREFIXES = ("Q", "IQ", "TQ", "MXFP")


class Compound(Protocol):
    """A matrix that a file keeps in several tensors: codes, scales and the like."""

    def read(self, rows: NDArray[np.intp]) -> Floats:
        """The rows of these numbers, as float32."""


@dataclass(frozen=True)
class StoredTensor:
    """A tensor of shape `shape`; `stored` has the same rows, each as the file holds it.

    For the element encodings a stored row is an array of that dtype (BF16 as its 16 bits); for
    quantized encodings it is the bytes of the row's blocks, for a compound matrix the row's number.
    """

    name: str
    stored: NDArray[np.generic]
    encoding: str
    shape: tuple[int, ...]
    order: NDArray[np.intp] | None = None
    compound: Compound | None = None

    @property
    def readable(self) -> bool:
        """Whether its elements are numbers that `read` knows."""
        known = self.encoding in ELEMENT_DTYPES or self.encoding.startswith(QUANTIZED_PREFIXES)
        return known or self.compound is not None

    @property
    def rows(self) -> int:
        """Size of the first dimension."""
        return self.shape[0]

    def stored_rows(self, start: int, stop: int) -> NDArray[np.generic]:
        """Rows [start, stop) as the file holds them, in this tensor's order."""
        if self.order is None:
            return self.stored[start:stop]
        return self.stored[self.order[start:stop]]

    def read(self, start: int = 0, stop: int | None = None) -> Floats:
        """Rows [start, stop) as float32."""
        stop = self.rows if stop is None else stop
        stored = self.stored_rows(start, stop)
        if self.compound is not None:
            return self.compound.read(stored.astype(np.intp, copy=False))
        return to_float32(stored, self.encoding).reshape(stop - start, *self.shape[1:])

    def split(self, *sizes: int) -> list[StoredTensor]:
        """Consecutive groups of rows, as views; the sizes must add up to the rows."""
        assert self.order is None
        assert sum(sizes) == self.rows, (self.name, self.shape, sizes)
        stops = np.cumsum(sizes)
        return [
            replace(self, stored=self.stored[stop - size : stop], shape=(size, *self.shape[1:]))
            for size, stop in zip(sizes, stops.tolist(), strict=True)
        ]

    def reorder(self, order: NDArray[np.intp]) -> StoredTensor:
        """The same rows in another order."""
        assert order.shape == (self.rows,)
        return self.take(order)

    def take(self, rows: NDArray[np.intp]) -> StoredTensor:
        """Some rows, in this order."""
        assert self.order is None
        return replace(self, order=rows, shape=(len(rows), *self.shape[1:]))


def compound_tensor(
    name: str, encoding: str, shape: tuple[int, int], compound: Compound
) -> StoredTensor:
    """A compound matrix as a tensor, to be split and reordered like any other."""
    return StoredTensor(name, np.arange(shape[0]), encoding, shape, compound=compound)


def to_float32(stored: NDArray[np.generic], encoding: str) -> Floats:
    """Stored rows as float32; quantized blocks are de-quantised by the gguf library."""
    if encoding == "BF16":
        return (np.ascontiguousarray(stored).view(np.uint16).astype(np.uint32) << 16).view(
            np.float32
        )
    if encoding in ELEMENT_DTYPES:
        return stored.astype(np.float32)
    from gguf import GGMLQuantizationType  # noqa: PLC0415  (needed for GGUF only)
    from gguf.quants import dequantize  # noqa: PLC0415

    values: Floats = dequantize(np.ascontiguousarray(stored), GGMLQuantizationType[encoding])
    return values.astype(np.float32, copy=False)


def evens_then_odds(heads: int, head_dim: int, rotary_dim: int) -> NDArray[np.intp]:
    """Row order that turns interleaved rotary pairs of each head into half-split ones.

    Only the first `rotary_dim` rows of a head rotate; the rest keep their place.
    """
    one_head = np.concatenate(
        [
            np.arange(0, rotary_dim, 2),
            np.arange(1, rotary_dim, 2),
            np.arange(rotary_dim, head_dim),
        ]
    )
    order: NDArray[np.intp] = (np.arange(heads)[:, None] * head_dim + one_head).reshape(-1)
    return order
