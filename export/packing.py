"""Weights as the IR will hold them: dense arrays, or codes with scales and zero-points.

A coder turns rows of a stored tensor into codes; `pack` runs it in chunks of rows and keeps the
result in a scratch file, so that anonymous memory stays at a few chunks whatever the model's
size. value = (code - zero_point) * scale, per group of consecutive columns.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from export.tensors import ELEMENT_DTYPES, Bytes, StoredTensor

# A megabyte of float32 values: the fastest of the sizes tried (second-level cache).
CHUNK_VALUES = 1 << 18
MAPPED_FROM_BYTES = 1 << 16
MAX_THREADS = 8


@dataclass(frozen=True)
class Codes:
    """Codes [rows, columns] as bytes; scales, zero-points [rows, groups] (None: symmetric)."""

    codes: Bytes
    scales: NDArray[np.float16]
    zero_points: NDArray[np.generic] | None


class Coder(Protocol):
    """Turns rows into codes of one type; `zero_type` is None, "u4", "u8" or "f16"."""

    @property
    def code_type(self) -> str:
        """OpenVINO's name of the code type: u4, i4, u8 or i8."""

    @property
    def zero_type(self) -> str | None:
        """OpenVINO's name of the zero-points' type."""

    @property
    def group_size(self) -> int:
        """Columns that share a scale; 0 for whole rows."""

    def encode(self, tensor: StoredTensor, start: int, stop: int) -> Codes:
        """The codes of rows [start, stop)."""


@dataclass(frozen=True)
class Dense:
    """A weight in an element encoding (F32, F16 or BF16), [rows, columns] or [columns]."""

    values: NDArray[np.generic]
    encoding: str


@dataclass(frozen=True)
class Packed:
    """A compressed matrix of `shape`; 4-bit codes are packed two to a byte, low half first."""

    codes: Bytes
    code_type: str
    scales: NDArray[np.float16]
    zero_points: NDArray[np.generic] | None
    zero_type: str | None
    shape: tuple[int, int]
    group_size: int
    # The columns' numbers in the matrix that is meant, where groups gather distant ones.
    column_order: NDArray[np.intp] | None = None


Weight = Dense | Packed


class Scratch:
    """Arrays in unlinked temporary files under `folder`; they live as long as they are used."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def array(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[np.generic]:
        """A writable array, memory-mapped unless it is small."""
        if int(np.prod(shape)) * np.dtype(dtype).itemsize < MAPPED_FROM_BYTES:
            return np.zeros(shape, dtype)
        with tempfile.TemporaryFile(dir=self._folder) as file:
            # Space is taken now: writing to a hole on a full disk would end the program (SIGBUS).
            os.posix_fallocate(file.fileno(), 0, int(np.prod(shape)) * np.dtype(dtype).itemsize)
            return np.memmap(file, dtype, "r+", shape=shape)


def pack(tensor: StoredTensor, coder: Coder, scratch: Scratch) -> Packed:
    """The matrix `tensor`, coded in chunks of rows."""
    rows, columns = tensor.shape
    group_size = coder.group_size or columns
    assert columns % group_size == 0, (tensor.name, tensor.shape, group_size)
    groups = columns // group_size
    code_bits, zero_bits = _bits(coder.code_type), _bits(coder.zero_type or "u8")
    codes = scratch.array((_bytes(rows * columns, code_bits),), np.uint8)
    scales = scratch.array((rows, groups), np.float16)
    zero_points = _zero_array(scratch, rows * groups, coder.zero_type)

    def encode(start: int) -> None:
        stop = min(start + step, rows)
        part = coder.encode(tensor, start, stop)
        _store(codes, start * columns, part.codes, code_bits)
        scales[start:stop] = part.scales
        if zero_points is not None and part.zero_points is not None:
            _store(zero_points, start * groups, part.zero_points, zero_bits)

    step = _rows_per_chunk(columns)
    _in_threads(encode, range(0, rows, step))
    return Packed(
        codes.view(np.uint8),
        coder.code_type,
        scales.view(np.float16),
        zero_points,
        coder.zero_type,
        (rows, columns),
        group_size,
    )


def _in_threads(encode: Callable[[int], None], starts: range) -> None:
    """NumPy releases the lock in large operations, and chunks write to places of their own."""
    threads = min(len(os.sched_getaffinity(0)), MAX_THREADS, len(starts))
    if threads < 2:
        for start in starts:
            encode(start)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(encode, starts):
            pass


def dense(tensor: StoredTensor, encoding: str, scratch: Scratch) -> Dense:
    """`tensor` in an element encoding; the file's own memory where it is that already."""
    if tensor.encoding == encoding and tensor.order is None and usable(tensor.stored):
        return Dense(tensor.stored.reshape(tensor.shape), encoding)
    assert encoding in ("F16", "F32")
    values = scratch.array(tensor.shape, ELEMENT_DTYPES[encoding])
    step = _rows_per_chunk(int(np.prod(tensor.shape[1:], dtype=np.int64)))
    for start in range(0, tensor.rows, step):
        stop = min(start + step, tensor.rows)
        values[start:stop] = _fitting(tensor.read(start, stop), encoding)
    return Dense(values, encoding)


def pack_nibbles(values: NDArray[np.generic]) -> Bytes:
    """Values 0..15 (or -8..7), two to a byte, the first in the low half."""
    flat = values.reshape(-1).view(np.uint8)
    if flat.size % 2:
        flat = np.append(flat, np.uint8(0))
    return ((flat[0::2] & 15) | (flat[1::2] << 4)).astype(np.uint8, copy=False)


def usable(stored: NDArray[np.generic]) -> bool:
    """Whether OpenVINO can read the array where it lies."""
    return bool(stored.flags.c_contiguous and stored.flags.aligned and stored.flags.writeable)


def _fitting(values: NDArray[np.float32], encoding: str) -> NDArray[np.float32]:
    if encoding == "F16":
        limit = np.float32(np.finfo(np.float16).max)
        return np.clip(values, -limit, limit)
    return values


def _rows_per_chunk(columns: int) -> int:
    # Even, so that a chunk of 4-bit codes always starts on a byte.
    return max(2, CHUNK_VALUES // max(columns, 1) // 2 * 2)


def _bits(type_name: str) -> int:
    return {"u4": 4, "i4": 4, "u8": 8, "i8": 8, "f16": 16}[type_name]


def _bytes(count: int, bits: int) -> int:
    return (count * bits + 7) // 8


def _zero_array(scratch: Scratch, count: int, zero_type: str | None) -> NDArray[np.generic] | None:
    if zero_type is None:
        return None
    if zero_type == "f16":
        return scratch.array((count,), np.float16)
    return scratch.array((_bytes(count, _bits(zero_type)),), np.uint8)


def _store(target: NDArray[np.generic], first: int, values: NDArray[np.generic], bits: int) -> None:
    if bits == 4:
        assert first % 2 == 0
        packed = pack_nibbles(values)
        target[first // 2 : first // 2 + packed.size] = packed
    else:
        target[first : first + values.size] = values.reshape(-1).view(target.dtype)
