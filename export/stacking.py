"""Matrices of several experts as one, the rows of each below those of the one before.

A view: rows are read from the experts' own tensors. Codes stay codes where all experts have them in the same
form. Knows neither files nor families.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from export.coded import CodedMatrix
from export.tensors import Compound, Floats, StoredTensor, compound_tensor, to_float32

Rows = NDArray[np.intp]
Found = TypeVar("Found", bound=np.generic)


def stacked(name: str, parts: Sequence[StoredTensor]) -> StoredTensor:
    """One tensor of [count * rows, columns] from matrices [rows, columns], all of one shape."""
    rows, columns = parts[0].shape
    coded = [part.compound for part in parts if isinstance(part.compound, CodedMatrix)]
    forms = {(code.bits, code.group_size, code.order is None) for code in coded}
    compound: Compound = _Stacked(parts, rows)
    if len(coded) == len(parts) and forms == {(coded[0].bits, coded[0].group_size, True)}:
        compound = _stacked_codes(coded, rows)
    return compound_tensor(name, "EXPERTS", (len(parts) * rows, columns), compound)


def interleaved(name: str, first: StoredTensor, second: StoredTensor) -> StoredTensor:
    """One of [2 * rows, columns], in which rows of two of one shape take turns."""
    both = stacked(name, [first, second])
    rows = first.shape[0]
    return both.take(np.arange(2 * rows).reshape(2, rows).T.reshape(-1))


def flattened(tensor: StoredTensor) -> StoredTensor:
    """A tensor [count, rows, columns], as files may hold all experts, as [count * rows, columns]."""
    count, rows, columns = tensor.shape
    stored = tensor.stored.reshape(count * rows, *tensor.stored.shape[2:])
    return replace(tensor, stored=stored, shape=(count * rows, columns))


def transposed(tensor: StoredTensor) -> StoredTensor:
    """A tensor [count, columns, rows] as [count * rows, columns]."""
    count, columns, rows = tensor.shape
    compound = _Transposed(tensor.stored, tensor.encoding)
    return compound_tensor(tensor.name, "EXPERTS", (count * rows, columns), compound)


@dataclass(frozen=True)
class _Transposed:
    """Matrices [count, columns, rows] in an element encoding."""

    stored: NDArray[np.generic]
    encoding: str

    def read(self, rows: Rows) -> Floats:
        """The rows of these numbers, as float32."""
        readers = [
            lambda own, one=one: to_float32(np.ascontiguousarray(one[:, own].T), self.encoding)
            for one in self.stored
        ]
        return _from_each(readers, self.stored.shape[2])(rows)


@dataclass(frozen=True)
class _Stacked:
    """Experts that are read as numbers."""

    parts: Sequence[StoredTensor]
    height: int

    def read(self, rows: Rows) -> Floats:
        """The rows of these numbers, as float32."""
        readers = [lambda own, part=part: part.take(own).read() for part in self.parts]
        return _from_each(readers, self.height)(rows)


def _stacked_codes(parts: Sequence[CodedMatrix], height: int) -> CodedMatrix:
    return replace(
        parts[0],
        codes=_from_each([part.codes for part in parts], height),
        scales=_from_each([part.scales for part in parts], height),
        zero_points=_from_each([part.zero_points for part in parts], height),
    )


def _from_each(
    readers: Sequence[Callable[[Rows], NDArray[Found]]], height: int
) -> Callable[[Rows], NDArray[Found]]:
    """A reader of rows that asks that of each row's expert."""

    def read(rows: Rows) -> NDArray[Found]:
        experts, own = np.divmod(rows, height)
        which = np.unique(experts)
        if len(which) == 1:
            alone: NDArray[Found] = readers[which[0]](own)
            return alone
        found = {expert: readers[expert](own[experts == expert]) for expert in which.tolist()}
        first = found[int(which[0])]
        whole: NDArray[Found] = np.empty((len(rows), *first.shape[1:]), first.dtype)
        for expert, values in found.items():
            whole[experts == expert] = values
        return whole

    return read
