"""MXFP4 as gpt-oss has it: numbers of four bits (E2M1), 32 of which share a power of two (E8M0).

NAME_blocks [experts, rows, groups, 16] holds two neighbouring columns in a byte, the first in its low half, and
NAME_scales [experts, rows, groups] exponents, raised by 127; both U8 (OCP's specification of microscaling formats).
Twice such a number is an integer, which eight bits hold exactly; OpenVINO's four are evenly spaced and do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.coded import CodedMatrix
from export.sources.checkpoint import Config
from export.sources.quantized.parts import Parts
from export.sources.quantized.words import Rows, constant
from export.tensors import Bytes, Floats, StoredTensor, compound_tensor

_GROUP, _BLOCKS, _SCALES = 32, "_blocks", "_scales"
# Twice the sixteen numbers, raised by 128.
CODES = np.array([0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12], np.int16)
RAISED = (CODES + 128).astype(np.uint8)


def assembled(tensors: dict[str, StoredTensor], _settings: Config) -> dict[str, StoredTensor]:
    """Experts' matrices [experts * rows, columns] in the place of their parts."""
    return dict(_items(tensors))


def _items(tensors: dict[str, StoredTensor]) -> Iterator[tuple[str, StoredTensor]]:
    for name, tensor in tensors.items():
        whole = name.removesuffix(_BLOCKS)
        if whole != name:
            yield whole, _matrix(whole, tensor, tensors.get(whole + _SCALES))
        elif name.removesuffix(_SCALES) + _BLOCKS not in tensors:
            yield name, tensor


def _matrix(name: str, blocks: StoredTensor, scales: StoredTensor | None) -> StoredTensor:
    parts = Parts(name, "mxfp4", {})
    if scales is None:
        raise parts.misfit()
    parts.expect(len(blocks.shape) == 4, blocks.encoding == scales.encoding == "U8")
    parts.expect(blocks.shape == (*scales.shape, _GROUP // 2))
    experts, rows, groups = scales.shape
    codes = blocks.stored.reshape(experts * rows, groups * _GROUP // 2)
    exponents = scales.stored.reshape(experts * rows, groups)
    coded = CodedMatrix(8, _GROUP, _codes(codes), _scales(exponents), constant(128, groups))
    return compound_tensor(name, "MXFP4", (experts * rows, groups * _GROUP), coded)


def _codes(packed: NDArray[Any]) -> Any:
    def read(rows: Rows) -> Bytes:
        both = packed[rows]
        return RAISED[np.stack([both & 15, both >> 4], axis=-1).reshape(len(rows), -1)]

    return read


def _scales(exponents: NDArray[Any]) -> Any:
    def read(rows: Rows) -> Floats:
        halved = exponents[rows].astype(np.int32) - 128
        return np.ldexp(np.float32(1), halved).astype(np.float32)

    return read
